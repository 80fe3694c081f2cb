#include "thread_priority.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "thread_starter.h"

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/syscall.h>
#endif

namespace tenon::core {

namespace {

// Until a thread is first looked at: most calls are over by then, and cost nothing.
constexpr uint64_t kFirstLookNs = 10'000'000;
// That of one among many, each of which waits in turn for all others: one that computes has wanted all the time since
// it was looked at first.
constexpr uint64_t kLongAmongManyNs = 5'000'000;
// More than so many at work are many.
constexpr int kManyPerProcessor = 4;
// How long work is waited for that may turn out to be long, by a watchdog that has nothing else to do.
constexpr uint64_t kUndecidedNs = 1'000'000'000;

thread_local ThreadEffort* own_effort = nullptr;

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

int count_processors() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? std::max(CPU_COUNT(&allowed), 1) : 1;
}

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

int count_processors() { return 1; }
pid_t this_thread() { return 0; }
bool read_wanted(pid_t, uint64_t&) { return false; }
bool lower(pid_t) { return false; }
bool make_lowest(pid_t) { return false; }
void confine(pid_t) {}

#endif

}  // namespace

struct ThreadEffort::Register {
  std::mutex mutex;
  ThreadEffort* first = nullptr;

  // Never taken down: threads of the core end after static objects have.
  static Register& instance() {
    static Register& all = *std::unique_ptr<Register>(new Register()).release();
    return all;
  }

  template <typename Visit>
  void each(Visit visit) {
    for (ThreadEffort* thread = first; thread != nullptr; thread = thread->after_) visit(*thread);
  }
};

int create_thread(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) {
  if (ThreadEffort::is_current_lowered()) return ThreadStarter::instance().create(thread, attributes, main, argument);
  return pthread_create(&thread, attributes, main, argument);
}

ThreadEffort::ThreadEffort() : id_(this_thread()), outer_(std::exchange(own_effort, this)) {
  Register& all = Register::instance();
  const std::lock_guard<std::mutex> lock(all.mutex);
  after_ = std::exchange(all.first, this);
  if (after_ != nullptr) after_->before_ = this;
}

ThreadEffort::~ThreadEffort() {
  own_effort = outer_;
  Register& all = Register::instance();
  const std::lock_guard<std::mutex> lock(all.mutex);
  (before_ == nullptr ? all.first : before_->after_) = after_;
  if (after_ != nullptr) after_->before_ = before_;
}

ThreadEffort* ThreadEffort::current() { return own_effort; }

void ThreadEffort::give_up(const Turn& turn) {
  if (turn.number % 2 == 0 || !ThreadStarter::instance().begin()) return;
  Register& all = Register::instance();
  // A thread that is over takes itself off the list first.
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.each([&turn](ThreadEffort& thread) {
    if (&thread != turn.effort || thread.id_ != turn.thread) return;
    // Said first: one that comes back meanwhile ends, or has not been lowered.
    const bool before = thread.lowered_.exchange(true, std::memory_order_seq_cst);
    if (thread.turn_.load(std::memory_order_seq_cst) == turn.number && make_lowest(thread.id_)) {
      confine(thread.id_);
    } else {
      thread.lowered_.store(before, std::memory_order_seq_cst);
    }
  });
}

bool ThreadEffort::weigh(uint64_t time) {
  static const int kMany = kManyPerProcessor * count_processors();
  Register& all = Register::instance();
  const std::lock_guard<std::mutex> lock(all.mutex);
  int busy = 0;
  all.each([&busy](const ThreadEffort& thread) { busy += thread.turn().number % 2 == 1 ? 1 : 0; });
  const bool many = busy > kMany;
  bool undecided = false;
  all.each([&](ThreadEffort& thread) { undecided = thread.weigh_one(time, many) || undecided; });
  return undecided;
}

bool ThreadEffort::weigh_one(uint64_t time, bool many) {
  const uint64_t turn = turn_.load(std::memory_order_acquire);
  if (turn % 2 == 0 || steps_ == kSteps) return false;
  if (turn != seen_) {
    seen_ = turn;
    since_ = time;
    next_ = time + kFirstLookNs;
    measured_ = many && read_wanted(id_, wanted_);
    return true;
  }
  const uint64_t age = time - since_;
  if (time < next_) return age < kUndecidedNs;
  uint64_t wanted = 0;
  if (!read_wanted(id_, wanted)) return false;
  if (!std::exchange(measured_, true)) wanted_ = wanted;
  const uint64_t got = wanted - std::min(wanted, wanted_);
  const uint64_t rest = many ? kLongAmongManyNs : kLongNs - kFirstLookNs;
  if (got < rest) {
    // One that waits is looked at less and less often.
    next_ = time + std::max({rest - got, kFirstLookNs, age / 4});
    return age < kUndecidedNs;
  }
  // It may have come to another call meanwhile: then that one runs at the lower priority, and the thread ends after it.
  if (ThreadStarter::instance().begin() && lower(id_)) lowered_.store(true, std::memory_order_release);
  steps_++;
  wanted_ = wanted;
  next_ = time + kFirstLookNs;
  return steps_ < kSteps;
}

}  // namespace tenon::core
