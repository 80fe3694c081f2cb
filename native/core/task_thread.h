#ifndef TENON_CORE_TASK_THREAD_H
#define TENON_CORE_TASK_THREAD_H

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>

namespace tenon::core {

// A thread of a generation for what neither a request nor its life has asked for. Made when it is first needed; ends
// before the library is closed.
class TaskThread {
 public:
  static constexpr size_t kStackBytes = 1024 * 1024;
  using Work = std::function<void()>;

  TaskThread() = default;
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  // Have the thread, so that `run` cannot fail; false when it cannot be had. [any]
  bool start();
  // Do `work` on it, after what was given before. It must have been started, and must not have been stopped. [any]
  void run(Work work);
  // Ask it to end when nothing is left to do, and wait until `until`; false when it has not ended. [closer]
  bool stop(uint64_t until);
  bool alive() const { return alive_.load(std::memory_order_acquire); }

 private:
  static void* main(void* thread);
  void loop();

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable ended_;
  std::deque<Work> queue_;
  pthread_t thread_ = {};
  bool started_ = false;
  bool stopping_ = false;
  std::atomic<bool> alive_{false};
};

}  // namespace tenon::core

#endif
