#include "watchdog.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "black_box.h"
#include "clock.h"
#include "front.h"
#include "generation.h"
#include "image_threads.h"
#include "thread_guard.h"
#include "thread_priority.h"

namespace tenon::core {

Watchdog& Watchdog::instance() {
  static Watchdog& watchdog = *std::unique_ptr<Watchdog>(new Watchdog()).release();
  return watchdog;
}

// Under the mutex. Tried again with the next deadline when no thread can be had.
void Watchdog::start() {
  pthread_t thread;
  const auto main = [](void* watchdog) -> void* {
    static_cast<Watchdog*>(watchdog)->run();
    return nullptr;
  };
  if (!start_core_thread(thread, nullptr, main, this)) return;
  pthread_detach(thread);
  running_ = true;
}

void Watchdog::add(std::shared_ptr<Front> front) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    fronts_.push_back(std::move(front));
  }
  due_.notify_one();
}

void Watchdog::remove(const Front& front) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto same = [&front](const std::shared_ptr<Front>& known) { return known.get() == &front; };
  fronts_.erase(std::remove_if(fronts_.begin(), fronts_.end(), same), fronts_.end());
}

// The fence keeps the look at `asleep_` behind the store of the deadline; `run` has one the other way round.
void Watchdog::attend() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!asleep_.load(std::memory_order_relaxed)) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!running_) start();
  if (!running_) return;
  asleep_.store(false, std::memory_order_relaxed);
  due_.notify_one();
}

void Watchdog::abandon(std::shared_ptr<Generation> generation) {
  const std::lock_guard<std::mutex> lock(mutex_);
  abandoned_.push_back(std::move(generation));
}

bool Watchdog::end_without_parent(uint64_t stood_ns) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    parent_.emplace(getppid(), stood_ns);
  }
  attend();
  const std::lock_guard<std::mutex> lock(mutex_);
  return running_;
}

// Under the mutex. Nobody is left to read a report.
void Watchdog::look_for_parent(uint64_t time) {
  const BoxMemory* const box = process_box();
  if (!parent_ || box == nullptr) return;
  if (parent_->is_over(time, getppid(), box->header.beat.load(std::memory_order_relaxed))) kill(getpid(), SIGKILL);
}

void Watchdog::sleep(std::unique_lock<std::mutex>& lock) {
  const auto woken = [this] { return !asleep_.load(std::memory_order_relaxed); };
  while (parent_ && !due_.wait_for(lock, std::chrono::milliseconds(kParentMs), woken)) look_for_parent(now());
  due_.wait(lock, woken);
}

void Watchdog::run() {
  const ThreadGuard guard(ThreadKind::Watchdog);
  std::unique_lock<std::mutex> lock(mutex_);
  const auto check = [&] {
    const std::vector<std::shared_ptr<Front>> fronts = fronts_;
    lock.unlock();
    const uint64_t time = now();
    bool armed = ThreadEffort::weigh(time);
    for (const std::shared_ptr<Front>& front : fronts) armed = front->check_deadlines(time) || armed;
    lock.lock();
    look_for_parent(time);
    return armed;
  };
  for (;;) {
    if (check()) {
      due_.wait_for(lock, std::chrono::milliseconds(kTickMs));
      continue;
    }
    asleep_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!check()) sleep(lock);
    asleep_.store(false, std::memory_order_relaxed);
  }
}

}  // namespace tenon::core
