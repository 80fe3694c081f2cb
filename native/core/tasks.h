#ifndef TENON_CORE_TASKS_H
#define TENON_CORE_TASKS_H

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crew.h"
#include "image_registry.h"
#include "lease.h"
#include "tenon/ext/tasks.h"

namespace tenon::core {

class Plugin;

/*
 * Work and timers of one generation, on at most two threads of its own.
 *
 * A task begins under the mutex, and only while the generation serves; whoever runs holds a lease. `drain` and `retire`
 * take the mutex too, and the leases are counted after that: no task is in a generation that nobody waits for.
 */
class Tasks {
 public:
  static constexpr uint32_t kThreads = 2;

  Tasks(Plugin& plugin, uint64_t generation);
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;

  struct Work {
    tenon_task_fn run = nullptr;
    tenon_task_end_fn end = nullptr;
    void* context = nullptr;
  };

  // First in `delay_ms`, then every `period_ms`; 0: once. [any]
  tenon_status add(const Work& work, uint64_t delay_ms, uint64_t period_ms, uint64_t* number);
  tenon_status cancel(uint64_t number);  // [any]
  bool is_cancelled(uint64_t number);    // [any]
  // The host's own: `work` as soon as a thread is free, also while tasks pause and when none begins any more. Whoever
  // asks for it holds a lease until it has run. False when no thread could be started, or all have been told to end.
  // [any]
  bool owe(tenon_task_end_fn work, void* context);

  void open(Lease& lease);  // `ready` begins: tasks may be added
  void serve();             // they run
  void drain();             // none begins until it serves again
  void retire();            // none begins any more
  // Nothing is allowed any more, and what has not run is ended, here. [control]
  void close();

  uint32_t alive() const { return crew_.alive(); }
  uint32_t stop(uint64_t until);  // [closer]

  struct Counts {
    size_t timers = 0;  // delayed or periodic
    size_t tasks = 0;   // others
    std::vector<uint64_t> running;
  };
  Counts counts() const;  // [any]

 private:
  struct Job {
    uint64_t number = 0;
    Work work;
    uint64_t due = 0;     // ns of the monotonic clock
    uint64_t period = 0;  // ns
    bool is_timer = false;
    bool running = false;
    bool cancelled = false;
  };
  enum class State { Early, Open, Retired, Closed };

  static void loop(void* tasks, ThreadGuard& guard, const ThreadVisits& visits);
  static void wake(void* tasks);
  static void end(const Job& job, ImageIndex image);
  void run(ThreadGuard& guard, const ThreadVisits& visits);
  void perform(std::unique_lock<std::mutex>& lock, ThreadGuard& guard, Job& job);
  void repay(std::unique_lock<std::mutex>& lock, ThreadGuard& guard);
  void rest(std::unique_lock<std::mutex>& lock);
  bool has_work() const { return !owed_.empty() || (serving_ && !queue_.empty()); }
  void summon();

  Plugin& plugin_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  State state_ = State::Early;
  bool serving_ = false;
  bool stopping_ = false;
  Lease* lease_ = nullptr;
  uint64_t numbers_ = 0;
  uint32_t idle_ = 0;
  bool watching_ = false;  // a thread waits for the next that is due
  std::unordered_map<uint64_t, std::unique_ptr<Job>> jobs_;
  std::set<std::pair<uint64_t, uint64_t>> queue_;  // due, number; of those that do not run
  std::deque<std::pair<tenon_task_end_fn, void*>> owed_;
  Crew crew_;
};

}  // namespace tenon::core

#endif
