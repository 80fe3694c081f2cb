#include "crew.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "byte_buffer.h"
#include "clock.h"
#include "front.h"
#include "image_threads.h"
#include "plugin.h"
#include "pool.h"
#include "thread_priority.h"

namespace tenon::core {

Crew::Crew(Plugin& plugin, uint64_t generation, ThreadKind kind, const char* work, uint32_t limit, Loop loop, Wake wake,
           void* context)
    : plugin_(plugin),
      generation_(generation),
      kind_(kind),
      work_(work),
      limit_(limit),
      loop_(loop),
      wake_(wake),
      context_(context),
      link_(std::make_shared<Link>()) {
  link_->crew = this;
}

bool Crew::add() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_ || alive_.load(std::memory_order_relaxed) >= limit_) return false;
  reap();
  if (start()) {
    missed_ = false;
    return true;
  }
  miss();
  return false;
}

// Under the mutex.
bool Crew::start() {
  auto member = std::make_unique<Member>();
  member->crew = this;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  const bool started = start_core_thread(member->thread, &attributes, &Crew::main, member.get());
  pthread_attr_destroy(&attributes);
  if (!started) return false;
  alive_.fetch_add(1, std::memory_order_acq_rel);
  members_.push_back(std::move(member));
  return true;
}

void* Crew::main(void* argument) {
  Member& member = *static_cast<Member*>(argument);
  Crew& crew = *member.crew;
  ThreadGuard guard(crew.kind_);
  Pool::enter_thread();
  {
    const ThreadEffort effort;
    const ThreadVisits visits(crew.wake_, crew.context_);
    crew.loop_(crew.context_, guard, visits);
  }
  {
    const std::lock_guard<std::mutex> lock(crew.mutex_);
    crew.alive_.fetch_sub(1, std::memory_order_acq_rel);
    member.ended = true;
    crew.ended_.notify_all();
  }
  // Whoever stops the crew joins this thread: both are still there.
  crew.wake_(crew.context_);
  return nullptr;
}

// Under the mutex: say so, once, and have the owner asked again.
void Crew::miss() {
  Front& front = plugin_.front();
  if (!std::exchange(missed_, true) && plugin_.log_level() <= TENON_LOG_ERROR) {
    const std::string text = "no thread could be started for " + std::string(work_) + " of " + plugin_.id() +
                             ", generation " + std::to_string(generation_) + ": it is tried again";
    if (front.log().write({plugin_.id(), generation_, {}}, TENON_LOG_ERROR, bytes(text), nullptr, 0)) front.wake();
  }
  if (std::exchange(asking_, true)) return;
  front.try_again([link = link_] {
    const std::lock_guard<std::mutex> linked(link->mutex);
    if (link->crew == nullptr) return;
    Crew& crew = *link->crew;
    {
      const std::lock_guard<std::mutex> lock(crew.mutex_);
      crew.asking_ = false;
    }
    crew.wake_(crew.context_);
  });
}

void Crew::break_link() {
  const std::lock_guard<std::mutex> linked(link_->mutex);
  link_->crew = nullptr;
}

// Under the mutex: join threads that have ended, without waiting for one that is still running its destructors. Where
// there is no join that does not wait, they stay until `stop`.
void Crew::reap() {
#if defined(__linux__)
  const auto gone = [](const std::unique_ptr<Member>& member) {
    return member->ended && pthread_tryjoin_np(member->thread, nullptr) == 0;
  };
  members_.erase(std::remove_if(members_.begin(), members_.end(), gone), members_.end());
#endif
}

uint32_t Crew::stop(uint64_t until) {
  break_link();
  std::vector<std::unique_ptr<Member>> ended;
  uint32_t left = 0;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stopping_ = true;
    const uint64_t time = now();
    ended_.wait_for(lock, std::chrono::nanoseconds(until > time ? until - time : 0),
                    [this] { return alive_.load(std::memory_order_acquire) == 0; });
    for (std::unique_ptr<Member>& member : members_) {
      if (member->ended) ended.push_back(std::move(member));
    }
    members_.erase(std::remove(members_.begin(), members_.end(), nullptr), members_.end());
    left = static_cast<uint32_t>(members_.size());
  }
  for (const std::unique_ptr<Member>& member : ended) pthread_join(member->thread, nullptr);
  return left;
}

}  // namespace tenon::core
