#include "store_jobs.h"

#include <utility>

#include "image_threads.h"
#include "thread_guard.h"

namespace tenon::core {

bool StoreJobs::submit(std::unique_ptr<StoreJob>& job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return false;
  if (idle_ <= short_.size() + long_.size() && threads_.size() < kThreads && !start() && threads_.empty()) return false;
  (job->length() == StoreJob::Length::Long ? long_ : short_).push_back(std::move(job));
  work_.notify_one();
  return true;
}

// Under the mutex.
bool StoreJobs::start() {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  const bool started = start_core_thread(thread, &attributes, &StoreJobs::main, this);
  pthread_attr_destroy(&attributes);
  if (started) threads_.push_back(thread);
  return started;
}

void* StoreJobs::main(void* argument) {
  const ThreadGuard guard;
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "tenon:store");
#else
  pthread_setname_np("tenon:store");
#endif
  static_cast<StoreJobs*>(argument)->run();
  return nullptr;
}

// Under the mutex.
std::unique_ptr<StoreJob> StoreJobs::take() {
  std::unique_ptr<StoreJob> job;
  if (!short_.empty()) {
    job = std::move(short_.front());
    short_.pop_front();
  } else if (!long_.empty() && long_running_ < kLong) {
    job = std::move(long_.front());
    long_.pop_front();
    long_running_++;
  }
  return job;
}

void StoreJobs::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    std::unique_ptr<StoreJob> job = take();
    if (!job) {
      idle_++;
      work_.wait(lock);
      idle_--;
      continue;
    }
    const bool is_long = job->length() == StoreJob::Length::Long;
    lock.unlock();
    job->run();
    lock.lock();
    if (is_long) long_running_--;
    const bool first = done_.empty();
    done_.push_back(std::move(job));
    if (!first || stopping_) continue;
    lock.unlock();
    wake_(context_);
    lock.lock();
  }
}

std::vector<std::unique_ptr<StoreJob>> StoreJobs::take_done() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(done_, {});
}

void StoreJobs::stop() {
  std::vector<pthread_t> threads;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    threads = std::exchange(threads_, {});
    work_.notify_all();
  }
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  short_.clear();
  long_.clear();
  done_.clear();
}

}  // namespace tenon::core
