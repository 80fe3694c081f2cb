#ifndef TENON_CORE_THREAD_VISITS_H
#define TENON_CORE_THREAD_VISITS_H

#include <atomic>
#include <cstdint>

namespace tenon::core {

class Generation;
struct Visitor;

/*
 * The generations other than its own whose code a thread has run: they may have thread_local variables and pthread keys
 * in it, whose destructors run at its end and need their image. One on the stack of each core thread that may run
 * foreign code, from its first to its last function. The thread of a front has none, because it cannot end: a
 * thread_local with a destructor that an inline route leaves there pins the image it is of.
 */
class ThreadVisits {
 public:
  // Called once, from any thread, when this one is to end: it wakes a thread that is idle.
  using Wake = void (*)(void* context);

  ThreadVisits(Wake wake, void* context);
  ~ThreadVisits();
  ThreadVisits(const ThreadVisits&) = delete;
  ThreadVisits& operator=(const ThreadVisits&) = delete;

  // That of this thread, or null. [any]
  static ThreadVisits* current();

  // Before code of `foreign` runs here, under a lease on it. [its thread]
  void visit(const Generation& foreign);
  // Whether the thread is to end as soon as it runs nobody's code. [any]
  bool must_end() const;

 private:
  Visitor& visitor_;
};

// Threads that have visited `generation` and have not ended, their destructors included. [any]
uint32_t visitors_of(const Generation& generation);

// Ask the threads that have visited `generation` to end when they are idle, and wait for them until `until` (monotonic,
// ns); how many have not ended. Nobody has a lease on it any more. [closer]
uint32_t dismiss_visitors(const Generation& generation, uint64_t until);

}  // namespace tenon::core

#endif
