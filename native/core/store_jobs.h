#ifndef TENON_CORE_STORE_JOBS_H
#define TENON_CORE_STORE_JOBS_H

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

namespace tenon::core {

// Something to do that may touch a disk. Made and told of on the front's thread, run on a thread of the store.
class StoreJob {
 public:
  enum class Length : uint8_t { Short, Long };  // Long: goes through many records, or copies files

  explicit StoreJob(Length length) : length_(length) {}
  StoreJob(const StoreJob&) = delete;
  StoreJob& operator=(const StoreJob&) = delete;
  virtual ~StoreJob() = default;

  virtual void run() = 0;
  Length length() const { return length_; }

 private:
  const Length length_;
};

/*
 * The threads of a store's front. Started when they are first needed. Long jobs never take all of them, so that a short
 * one waits for short ones only. Functions without a note run on the front's thread.
 */
class StoreJobs {
 public:
  using Wake = void (*)(void* context);
  static constexpr uint32_t kThreads = 4;
  static constexpr uint32_t kLong = kThreads - 1;
  static constexpr size_t kStackBytes = 1024 * 1024;

  // `wake` is called on any thread when there is something to take; not after `stop`.
  StoreJobs(Wake wake, void* context) : wake_(wake), context_(context) {}
  ~StoreJobs() { stop(); }
  StoreJobs(const StoreJobs&) = delete;
  StoreJobs& operator=(const StoreJobs&) = delete;

  // False when no thread could be started and none is there: the job was not taken.
  bool submit(std::unique_ptr<StoreJob>& job);
  // Jobs that were run, in the order of their ends.
  std::vector<std::unique_ptr<StoreJob>> take_done();
  // What has not begun is dropped, what runs is waited for. Twice is fine.
  void stop();

 private:
  static void* main(void* jobs);
  void run();
  std::unique_ptr<StoreJob> take();
  bool start();

  const Wake wake_;
  void* const context_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::unique_ptr<StoreJob>> short_;
  std::deque<std::unique_ptr<StoreJob>> long_;
  std::vector<std::unique_ptr<StoreJob>> done_;
  std::vector<pthread_t> threads_;
  uint32_t idle_ = 0;
  uint32_t long_running_ = 0;
  bool stopping_ = false;
};

}  // namespace tenon::core

#endif
