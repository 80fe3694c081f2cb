#include "task_thread.h"

#include <chrono>
#include <utility>

#include "clock.h"
#include "image_threads.h"
#include "thread_guard.h"

namespace tenon::core {

bool TaskThread::start() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (started_ || stopping_) return started_;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  started_ = start_core_thread(thread_, &attributes, &TaskThread::main, this);
  pthread_attr_destroy(&attributes);
  if (started_) alive_.store(true, std::memory_order_release);
  return started_;
}

void TaskThread::run(Work work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  queue_.push_back(std::move(work));
  work_.notify_one();
}

void* TaskThread::main(void* thread) {
  static_cast<TaskThread*>(thread)->loop();
  return nullptr;
}

void TaskThread::loop() {
  ThreadGuard guard;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    while (queue_.empty() && !stopping_) work_.wait(lock);
    if (queue_.empty()) break;
    Work work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    {
      const FloatingPointGuard floating_point;
      work();
    }
    work = nullptr;
    guard.restore_signals();
    lock.lock();
  }
  alive_.store(false, std::memory_order_release);
  ended_.notify_all();
}

bool TaskThread::stop(uint64_t until) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    const uint64_t time = now();
    ended_.wait_for(lock, std::chrono::nanoseconds(until > time ? until - time : 0),
                    [this] { return !alive_.load(std::memory_order_acquire); });
    if (alive_.load(std::memory_order_acquire)) return false;
    if (!started_) return true;
    started_ = false;
  }
  pthread_join(thread_, nullptr);
  return true;
}

}  // namespace tenon::core
