#include "thread_priority.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "image_threads.h"
#include "thread_guard.h"

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/syscall.h>
#endif

namespace tenon::core {

namespace {

// Until a thread is first looked at: most calls are over by then, and cost nothing.
constexpr uint64_t kFirstLookNs = 10'000'000;
// How long work is waited for that may turn out to be long, by a watchdog that has nothing else to do.
constexpr uint64_t kUndecidedNs = 1'000'000'000;

struct Register {
  std::mutex mutex;
  std::vector<ThreadEffort*> threads;
};

// Never taken down: threads of the core end after static objects have.
Register& all() {
  static Register& instance = *std::unique_ptr<Register>(new Register()).release();
  return instance;
}

thread_local ThreadEffort* own_effort = nullptr;

// Makes threads for those that were lowered. Begins before the first of them is, and is never taken down.
class Starter {
 public:
  static Starter& instance() {
    static Starter& starter = *std::unique_ptr<Starter>(new Starter()).release();
    return starter;
  }

  // Whether it is there; on a thread that was not lowered.
  bool begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (running_) return true;
    pthread_t thread;
    const auto main = [](void* starter) -> void* {
      const ThreadGuard guard(ThreadKind::Other);
      static_cast<Starter*>(starter)->run();
      return nullptr;
    };
    running_ = start_core_thread(thread, nullptr, main, this);
    if (running_) pthread_detach(thread);
    return running_;
  }

  int create(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) {
    Request request = {&thread, attributes, main, argument, {}};
    pthread_sigmask(SIG_SETMASK, nullptr, &request.signals);
    std::unique_lock<std::mutex> lock(mutex_);
    requests_.push_back(&request);
    changed_.notify_all();
    changed_.wait(lock, [&request] { return request.is_done; });
    return request.status;
  }

 private:
  struct Request {
    pthread_t* thread;
    const pthread_attr_t* attributes;
    void* (*main)(void*);
    void* argument;
    sigset_t signals;  // blocked where it was asked for
    bool is_done = false;
    int status = 0;
  };

  void run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !requests_.empty(); });
      Request& request = *requests_.front();
      requests_.pop_front();
      sigset_t own;
      pthread_sigmask(SIG_SETMASK, &request.signals, &own);
      request.status = pthread_create(request.thread, request.attributes, request.main, request.argument);
      pthread_sigmask(SIG_SETMASK, &own, nullptr);
      request.is_done = true;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request*> requests_;
  bool running_ = false;
};

#if defined(__linux__)

pid_t this_thread() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// How long the thread has been on a processor or has waited for one, ns: also what has been starved of it wants it.
bool read_wanted(pid_t thread, uint64_t& wanted) {
  char text[96];
  std::snprintf(text, sizeof text, "/proc/self/task/%d/schedstat", static_cast<int>(thread));
  const int file = open(text, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return false;
  text[size] = 0;
  char* rest = nullptr;
  wanted = std::strtoull(text, &rest, 10);
  wanted += std::strtoull(rest, nullptr, 10);
  return true;
}

constexpr int kLowest = 19;

bool lower(pid_t thread) {
  const auto id = static_cast<id_t>(thread);
  const int own = getpriority(PRIO_PROCESS, id);
  return own < kLowest && setpriority(PRIO_PROCESS, id, std::min(own + ThreadEffort::kLoweredBy, kLowest)) == 0;
}

// SCHED_IDLE would be lower still: a thread that gets nothing never leaves a lock that others wait for.
bool make_lowest(pid_t thread) { return setpriority(PRIO_PROCESS, static_cast<id_t>(thread), kLowest) == 0; }

// That of the first thread of the process, which has an event loop as a rule; -1 when nothing says so.
int main_processor() {
  constexpr int kField = 39;
  char text[1024];
  const int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return -1;
  text[size] = 0;
  // Field 2 is a name in parentheses, which may have blanks.
  const char* at = std::strrchr(text, ')');
  for (int field = 2; at != nullptr && field < kField; field++) at = std::strchr(at + 1, ' ');
  return at == nullptr ? -1 : static_cast<int>(std::strtol(at, nullptr, 10));
}

// Many at the lowest priority weigh as much as the event loop, and one of them keeps its turn until the next tick of
// the kernel. So all of them share one processor, not the one that the event loop is on when the first is given up:
// from then on it finds the others free, and has no reason to go there.
void confine(pid_t thread) {
  static const int kAvoided = main_processor();
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(thread, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
  int chosen = CPU_SETSIZE - 1;
  while (!CPU_ISSET(chosen, &allowed) || chosen == kAvoided) chosen--;
  CPU_ZERO(&allowed);
  CPU_SET(chosen, &allowed);
  sched_setaffinity(thread, sizeof allowed, &allowed);
}

#else

pid_t this_thread() { return 0; }
bool read_wanted(pid_t, uint64_t&) { return false; }
bool lower(pid_t) { return false; }
bool make_lowest(pid_t) { return false; }
void confine(pid_t) {}

#endif

}  // namespace

int create_thread(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) {
  if (ThreadEffort::is_current_lowered()) return Starter::instance().create(thread, attributes, main, argument);
  return pthread_create(&thread, attributes, main, argument);
}

ThreadEffort::ThreadEffort() : id_(this_thread()), before_(std::exchange(own_effort, this)) {
  Register& threads = all();
  const std::lock_guard<std::mutex> lock(threads.mutex);
  threads.threads.push_back(this);
}

ThreadEffort::~ThreadEffort() {
  own_effort = before_;
  Register& threads = all();
  const std::lock_guard<std::mutex> lock(threads.mutex);
  threads.threads.erase(std::find(threads.threads.begin(), threads.threads.end(), this));
}

ThreadEffort* ThreadEffort::current() { return own_effort; }

void ThreadEffort::give_up() {
  if (!Starter::instance().begin() || !make_lowest(id_)) return;
  lowered_.store(true, std::memory_order_release);
  confine(id_);
}

bool ThreadEffort::weigh(uint64_t time) {
  Register& threads = all();
  const std::lock_guard<std::mutex> lock(threads.mutex);
  bool undecided = false;
  for (ThreadEffort* const thread : threads.threads) undecided = thread->weigh_one(time) || undecided;
  return undecided;
}

bool ThreadEffort::weigh_one(uint64_t time) {
  const uint64_t turn = turn_.load(std::memory_order_acquire);
  if (turn % 2 == 0 || steps_ == kSteps) return false;
  if (turn != seen_) {
    seen_ = turn;
    since_ = time;
    next_ = time + kFirstLookNs;
    measured_ = false;
    return true;
  }
  const uint64_t age = time - since_;
  if (time < next_) return age < kUndecidedNs;
  uint64_t wanted = 0;
  if (!read_wanted(id_, wanted)) return false;
  if (!std::exchange(measured_, true)) wanted_ = wanted;
  const uint64_t got = wanted - std::min(wanted, wanted_);
  constexpr uint64_t kRest = kLongNs - kFirstLookNs;
  if (got < kRest) {
    // One that waits is looked at less and less often.
    next_ = time + std::max({kRest - got, kFirstLookNs, age / 4});
    return age < kUndecidedNs;
  }
  // It may have come to another call meanwhile: then that one runs at the lower priority, and the thread ends after it.
  if (Starter::instance().begin() && lower(id_)) lowered_.store(true, std::memory_order_release);
  steps_++;
  measured_ = false;
  next_ = time + kFirstLookNs;
  return steps_ < kSteps;
}

}  // namespace tenon::core
