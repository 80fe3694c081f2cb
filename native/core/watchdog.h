#ifndef TENON_CORE_WATCHDOG_H
#define TENON_CORE_WATCHDOG_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "parent_watch.h"

namespace tenon::core {

class Front;
class Generation;

/*
 * The one thread of the process that looks at deadlines: every 10 ms while any is armed, asleep otherwise. Looking at
 * all of them is cheaper for a call than a timer of its own: arming a deadline is one store. It also ends a process
 * that hangs and has no parent any more; where that is asked for it looks twice a second all the while.
 */
class Watchdog {
 public:
  static constexpr int kTickMs = 10;
  static constexpr int kParentMs = 500;

  // The registry of the process; begins with its first use and is never taken down, because a thread that hangs in
  // plugin code at exit may still need it.
  static Watchdog& instance();

  void add(std::shared_ptr<Front> front);
  void remove(const Front& front);
  // A deadline has been armed. [any]
  void attend();

  // Keep a generation whose owner is gone before it was closed: its threads may still run in it. [any]
  void abandon(std::shared_ptr<Generation> generation);

  // Kill the process when its parent of this moment has ended and the beat of its black box stands for `stood_ns` from
  // then on. False where no thread can be had for that. [any]
  bool end_without_parent(uint64_t stood_ns);

 private:
  Watchdog() = default;
  void start();
  void run();
  void look_for_parent(uint64_t time);
  void sleep(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable due_;
  std::vector<std::shared_ptr<Front>> fronts_;
  std::vector<std::shared_ptr<Generation>> abandoned_;
  std::optional<ParentWatch> parent_;
  bool running_ = false;
  std::atomic<bool> asleep_{true};
};

}  // namespace tenon::core

#endif
