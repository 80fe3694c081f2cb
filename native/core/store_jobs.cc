#include "store_jobs.h"

#include <utility>

#include "image_threads.h"
#include "thread_guard.h"

namespace tenon::core {

bool StoreJobs::submit(std::unique_ptr<StoreJob>& job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return false;
  if (idle_ <= waiting() && threads_.size() < kThreads && !start() && threads_.empty()) return false;
  const StoreJob::Length length = job->length();
  queue(length).waiting.push_back({submitted_++, std::move(job)});
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
  const ThreadGuard guard(ThreadKind::Store);
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "tenon:store");
#else
  pthread_setname_np("tenon:store");
#endif
  static_cast<StoreJobs*>(argument)->run();
  return nullptr;
}

// Under the mutex.
size_t StoreJobs::waiting() const {
  size_t count = 0;
  for (const Queue& one : queues_) count += one.waiting.size();
  return count;
}

bool StoreJobs::may_run(StoreJob::Length length) const {
  using Length = StoreJob::Length;
  if (length == Length::Short) return true;
  const uint32_t running = queue(Length::Long).running;
  return running + queue(Length::Write).running < kSlow && (length == Length::Write || running < kLong);
}

// Under the mutex.
std::unique_ptr<StoreJob> StoreJobs::take() {
  using Length = StoreJob::Length;
  Queue* oldest = nullptr;
  for (const Length length : {Length::Short, Length::Write, Length::Long}) {
    Queue& candidate = queue(length);
    if (candidate.waiting.empty() || !may_run(length)) continue;
    if (oldest == nullptr || candidate.waiting.front().number < oldest->waiting.front().number) oldest = &candidate;
  }
  if (oldest == nullptr) return nullptr;
  std::unique_ptr<StoreJob> job = std::move(oldest->waiting.front().job);
  oldest->waiting.pop_front();
  oldest->running++;
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
    const StoreJob::Length length = job->length();
    lock.unlock();
    job->run();
    lock.lock();
    queue(length).running--;
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
  for (Queue& one : queues_) one.waiting.clear();
  done_.clear();
}

}  // namespace tenon::core
