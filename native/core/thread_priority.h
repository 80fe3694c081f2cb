#ifndef TENON_CORE_THREAD_PRIORITY_H
#define TENON_CORE_THREAD_PRIORITY_H

#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace tenon::core {

/*
 * How hard a thread of the core works for a plugin, and what it may have of the processors. A call that has wanted a
 * processor for about kLongNs goes on at a lower priority than the event loop and short calls, after as long again at
 * the lowest; where many are at work for each processor, after 10 to 20 ms and 10 more, before the event loop has had
 * to wait for a turn of each of them. One that was given up is at the lowest at once; those share one processor, where
 * the process may have several. One that waits wants no processor, however long it takes. Threads that it starts begin
 * at the usual priority, on any processor, programs as it is. Linux; elsewhere nothing is lowered.
 *
 * No thread may raise itself again without privilege: one that was lowered ends after its call, and a fresh one takes
 * its place. One on the stack of each thread that runs handlers, tasks or batches of events.
 */
class ThreadEffort {
 public:
  static constexpr uint64_t kLongNs = 50'000'000;
  static constexpr int kLoweredBy = 10;  // of nice, each time
  static constexpr int kSteps = 2;

  ThreadEffort();
  ~ThreadEffort();
  ThreadEffort(const ThreadEffort&) = delete;
  ThreadEffort& operator=(const ThreadEffort&) = delete;

  // A piece of work begins, or is over. [its thread]
  void begin() { turn_.store(turn_.load(std::memory_order_relaxed) | 1u, std::memory_order_release); }
  // In one order with `give_up`: a thread that it lowers says so from the end of that turn on.
  void end() { turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst); }
  bool is_lowered() const { return lowered_.load(std::memory_order_seq_cst); }  // [any]
  // What it is at. Another thread may have its stack by the time that is asked for.
  struct Turn {
    const ThreadEffort* effort;
    pid_t thread;
    uint64_t number;  // odd: at work
  };
  Turn turn() const { return {this, id_, turn_.load(std::memory_order_relaxed)}; }
  // Nobody waits any more for what a thread does, if it still does it. [any]
  static void give_up(const Turn& turn);

  // That of this thread, or null.
  static ThreadEffort* current();
  static bool is_current_lowered() {
    const ThreadEffort* const own = current();
    return own != nullptr && own->is_lowered();
  }
  // Look at all threads that are at work, and lower those that deserve it. True when some are not known yet: look again
  // in a few ms. [watchdog]
  static bool weigh(uint64_t time);

 private:
  struct Register;

  bool weigh_one(uint64_t time, bool many);

  const pid_t id_;
  ThreadEffort* const outer_;
  // All there are. A list of pointers would have to grow, and a thread that is new waits long for memory among many.
  ThreadEffort* before_ = nullptr;
  ThreadEffort* after_ = nullptr;
  std::atomic<uint64_t> turn_{0};  // odd: at work
  std::atomic<bool> lowered_{false};

  // Of `weigh`, under its mutex.
  uint64_t seen_ = 0;
  uint64_t since_ = 0;
  uint64_t next_ = 0;
  uint64_t wanted_ = 0;  // when it was looked at first
  bool measured_ = false;
  int steps_ = 0;
};

// pthread_create, by a thread of the usual priority where this one was lowered: a thread begins as the one that made it
// is. Its answer.
int create_thread(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument);

// Work on this thread, if it has a ThreadEffort.
class AtWork {
 public:
  AtWork() : effort_(ThreadEffort::current()) {
    if (effort_ != nullptr) effort_->begin();
  }
  ~AtWork() {
    if (effort_ != nullptr) effort_->end();
  }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;

 private:
  ThreadEffort* const effort_;
};

}  // namespace tenon::core

#endif
