#ifndef TENON_CORE_STORE_JOBS_H
#define TENON_CORE_STORE_JOBS_H

#include <pthread.h>

#include <array>
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
  // Short: reads a few records. Write: waits for the disk, or for who writes the same. Long: goes through many records,
  // or copies files.
  enum class Length : uint8_t { Short, Write, Long };

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
 * The threads of a store's front. Started when they are first needed. The oldest job is next; one thread is left to
 * short ones, and one more to short ones and writes, so that these do not wait for the slower ones. Functions without a
 * note run on the front's thread.
 */
class StoreJobs {
 public:
  using Wake = void (*)(void* context);
  static constexpr uint32_t kThreads = 4;
  static constexpr uint32_t kSlow = kThreads - 1;  // writes and long jobs at a time
  static constexpr uint32_t kLong = kSlow - 1;     // of which long ones
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
  static constexpr size_t kLengths = 3;
  struct Waiting {
    uint64_t number;  // the older, the less
    std::unique_ptr<StoreJob> job;
  };
  struct Queue {
    std::deque<Waiting> waiting;
    uint32_t running = 0;
  };

  static void* main(void* jobs);
  void run();
  bool may_run(StoreJob::Length length) const;
  std::unique_ptr<StoreJob> take();
  bool start();
  Queue& queue(StoreJob::Length length) { return queues_[static_cast<size_t>(length)]; }
  const Queue& queue(StoreJob::Length length) const { return queues_[static_cast<size_t>(length)]; }
  size_t waiting() const;

  const Wake wake_;
  void* const context_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::array<Queue, kLengths> queues_;  // by length
  std::vector<std::unique_ptr<StoreJob>> done_;
  std::vector<pthread_t> threads_;
  uint32_t idle_ = 0;
  uint64_t submitted_ = 0;
  bool stopping_ = false;
};

}  // namespace tenon::core

#endif
