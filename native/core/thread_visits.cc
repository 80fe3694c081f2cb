#include "thread_visits.h"

#include <pthread.h>
#include <sys/types.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "clock.h"

namespace tenon::core {

// What is known of one thread. Outlives its ThreadVisits until the thread has ended.
struct Visitor {
  ThreadVisits::Wake wake;
  void* context;
  std::vector<const Generation*> visited;  // written by its thread, under the mutex of all
  std::atomic<bool> must_end{false};
  bool leaving = false;
#if defined(__linux__)
  long thread = syscall(SYS_gettid);
  uint64_t started = 0;  // known when it leaves: the system gives the id of a thread that has ended to another one
#endif
};

namespace {

thread_local ThreadVisits* current_visits = nullptr;

#if defined(__linux__)
// When thread `id` of this process was started, in ticks since the machine was; 0 when that cannot be told. Field 22 of
// its `stat`; the second one is its name, which may have anything in it.
uint64_t start_of_thread(long id) {
  constexpr int kBehindName = 20;
  const std::string path = "/proc/self/task/" + std::to_string(id) + "/stat";
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return 0;
  std::array<char, 1024> text;
  const size_t size = std::fread(text.data(), 1, text.size() - 1, file.get());
  text[size] = '\0';
  const char* at = std::strrchr(text.data(), ')');
  for (int field = 0; at != nullptr && field < kBehindName; field++) at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at + 1, nullptr, 10);
}
#endif

// Its ThreadVisits is gone before the destructors of its thread_local variables run. Only the system knows when they
// are through. Elsewhere than on Linux nobody is asked: dyld of macOS keeps an image with thread_local variables mapped
// for good, so that only a destructor of a pthread key, which runs after that, may be called when its code is gone.
bool has_ended(const Visitor& visitor) {
  if (!visitor.leaving) return false;
#if defined(__linux__)
  if (syscall(SYS_tgkill, getpid(), visitor.thread, 0) != 0) return errno == ESRCH;
  return visitor.started != 0 && start_of_thread(visitor.thread) > visitor.started;
#else
  return true;
#endif
}

class Visitors {
 public:
  static Visitors& instance() {
    static Visitors& visitors = *std::unique_ptr<Visitors>(new Visitors()).release();
    return visitors;
  }

  Visitor& add(ThreadVisits::Wake wake, void* context) {
    auto visitor = std::make_unique<Visitor>();
    visitor->wake = wake;
    visitor->context = context;
    const std::lock_guard<std::mutex> lock(mutex_);
    forget_ended();
    visitors_.push_back(std::move(visitor));
    return *visitors_.back();
  }

  void visit(Visitor& visitor, const Generation& generation) {
    const std::lock_guard<std::mutex> lock(mutex_);
    visitor.visited.push_back(&generation);
  }

  void leave(Visitor& visitor) {
    {
#if defined(__linux__)
      if (!visitor.visited.empty()) visitor.started = start_of_thread(visitor.thread);
#endif
      const std::lock_guard<std::mutex> lock(mutex_);
      visitor.leaving = true;
      if (visitor.visited.empty()) {
        const auto same = [&visitor](const std::unique_ptr<Visitor>& known) { return known.get() == &visitor; };
        visitors_.erase(std::remove_if(visitors_.begin(), visitors_.end(), same), visitors_.end());
      }
    }
    left_.notify_all();
  }

  uint32_t count(const Generation& generation) {
    const std::lock_guard<std::mutex> lock(mutex_);
    forget_ended();
    return static_cast<uint32_t>(of(generation).size());
  }

  uint32_t dismiss(const Generation& generation, uint64_t until) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      forget_ended();
      const std::vector<Visitor*> left = of(generation);
      for (Visitor* const visitor : left) {
        if (!visitor->leaving && !visitor->must_end.exchange(true)) visitor->wake(visitor->context);
      }
      const uint64_t time = now();
      if (left.empty() || time >= until) return static_cast<uint32_t>(left.size());
      // Nothing tells of the end of a thread that somebody else joins.
      left_.wait_for(lock, std::chrono::nanoseconds(std::min(until - time, milliseconds(1))));
    }
  }

 private:
  // Under the mutex.
  void forget_ended() {
    const auto ended = [](const std::unique_ptr<Visitor>& visitor) { return has_ended(*visitor); };
    visitors_.erase(std::remove_if(visitors_.begin(), visitors_.end(), ended), visitors_.end());
  }

  std::vector<Visitor*> of(const Generation& generation) const {
    std::vector<Visitor*> found;
    for (const std::unique_ptr<Visitor>& visitor : visitors_) {
      const std::vector<const Generation*>& visited = visitor->visited;
      if (std::find(visited.begin(), visited.end(), &generation) != visited.end()) found.push_back(visitor.get());
    }
    return found;
  }

  std::mutex mutex_;
  std::condition_variable left_;
  std::vector<std::unique_ptr<Visitor>> visitors_;
};

}  // namespace

ThreadVisits::ThreadVisits(Wake wake, void* context) : visitor_(Visitors::instance().add(wake, context)) {
  current_visits = this;
}

ThreadVisits::~ThreadVisits() {
  current_visits = nullptr;
  Visitors::instance().leave(visitor_);
}

ThreadVisits* ThreadVisits::current() { return current_visits; }

// Only this thread writes the list: it may read it without the mutex.
void ThreadVisits::visit(const Generation& foreign) {
  const std::vector<const Generation*>& visited = visitor_.visited;
  if (std::find(visited.begin(), visited.end(), &foreign) != visited.end()) return;
  Visitors::instance().visit(visitor_, foreign);
}

bool ThreadVisits::must_end() const { return visitor_.must_end.load(std::memory_order_acquire); }

uint32_t visitors_of(const Generation& generation) { return Visitors::instance().count(generation); }

uint32_t dismiss_visitors(const Generation& generation, uint64_t until) {
  return Visitors::instance().dismiss(generation, until);
}

}  // namespace tenon::core
