#ifndef TENON_CORE_CONTROL_H
#define TENON_CORE_CONTROL_H

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "process_audit.h"

namespace tenon::core {

class Generation;

// A step of a generation's life.
enum class Step {
  Create,
  Initialize,
  Routes,
  Ready,
  Health,
  Quiesce,
  Resume,
  Save,
  Load,
  Shutdown,
  Destroy,
  Configure,
  Drain,
  Stop
};

const char* step_name(Step step);

// One life-cycle call: what is asked, by whom, until when, and what came of it. Settled once: by the thread that
// carried it out, or by the watchdog. Whoever claims it hands it to the front; the other leaves it alone.
struct Task {
  Step step;
  std::shared_ptr<Generation> generation;
  uint64_t deadline = 0;
  void* waiter = nullptr;       // the front's: who is told
  ProcessAudit::Section audit;  // the front's
  enum class State { Waiting, Running, Settled };
  std::atomic<State> state{State::Waiting};
  bool abandoned = false;  // the front closed before it was settled

  // False when it was settled before its turn came: it is not to be carried out any more.
  bool begin() {
    State waiting = State::Waiting;
    return state.compare_exchange_strong(waiting, State::Running, std::memory_order_acq_rel);
  }
  // True for the one who settles it; `running` tells whether a thread is in it.
  bool claim(bool* running = nullptr) {
    const State before = state.exchange(State::Settled, std::memory_order_acq_rel);
    if (running != nullptr) *running = before == State::Running;
    return before != State::Settled;
  }

  // For Load: the state. For Configure: what is set now, for `application`, or for the plugin when that is empty.
  std::string bytes;
  std::string application;
  uint32_t version = 0;
  bool dry_run = false;

  // Outcome. After `timed_out` nothing else is read: the thread may still be writing it.
  bool timed_out = false;
  bool failed = false;
  bool must_reload = false;  // of Configure
  std::string message;
  std::string missing;  // the permission it failed for want of
  uint32_t count = 0;
};

// The control thread of a generation: carries out its life-cycle calls one after the other.
class Control {
 public:
  static constexpr size_t kStackBytes = 1024 * 1024;

  Control() = default;
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // False when no thread could be started, or one is lost: the task is not carried out. [front]
  bool submit(std::shared_ptr<Task> task);
  // The thread hangs in a task that has timed out; it is taken back when it returns. [watchdog]
  void lose() { lost_.store(true, std::memory_order_release); }
  // Ask the thread to end and wait until `until`; false when it has not ended. [closer]
  bool stop(uint64_t until);

  bool alive() const { return alive_.load(std::memory_order_acquire); }
  bool lost() const { return alive() && lost_.load(std::memory_order_acquire); }

 private:
  static void* main(void* control);
  void run();

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable ended_;
  std::deque<std::shared_ptr<Task>> queue_;
  pthread_t thread_ = {};
  bool started_ = false;
  bool stopping_ = false;
  std::atomic<bool> alive_{false};
  std::atomic<bool> lost_{false};
};

}  // namespace tenon::core

#endif
