#include "tasks.h"

#include <chrono>

#include "clock.h"
#include "front.h"
#include "generation.h"
#include "log_origin.h"
#include "plugin.h"
#include "thread_priority.h"

namespace tenon::core {

Tasks::Tasks(Plugin& plugin, uint64_t generation)
    : plugin_(plugin),
      crew_(plugin, generation, ThreadKind::Task, "tasks", kThreads, &Tasks::loop, &Tasks::wake, this) {}

tenon_status Tasks::add(const Work& work, uint64_t delay_ms, uint64_t period_ms, uint64_t* number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::Open && state_ != State::Retired) return TENON_ERROR_STATE;
  if (jobs_.size() >= TENON_TASKS_LIMIT) return TENON_ERROR_TOO_LARGE;
  auto job = std::make_unique<Job>();
  job->number = ++numbers_;
  job->work = work;
  job->due = now() + milliseconds(delay_ms);
  job->period = milliseconds(period_ms);
  job->is_timer = delay_ms > 0 || period_ms > 0;
  if (number != nullptr) *number = job->number;
  queue_.emplace(job->due, job->number);
  jobs_.emplace(job->number, std::move(job));
  if (serving_) summon();
  if (serving_ && crew_.alive() == 0) {
    const auto added = jobs_.find(numbers_);
    queue_.erase({added->second->due, numbers_});
    jobs_.erase(added);
    return TENON_ERROR_MEMORY;
  }
  return TENON_OK;
}

tenon_status Tasks::cancel(uint64_t number) {
  std::unique_ptr<Job> over;
  ImageIndex image = kNoImage;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = jobs_.find(number);
    if (found == jobs_.end()) return TENON_ERROR_NOT_FOUND;
    image = lease_->generation->image();
    found->second->cancelled = true;
    if (found->second->running) return TENON_OK;
    over = std::move(found->second);
    jobs_.erase(found);
    queue_.erase({over->due, number});
  }
  end(*over, image);
  return TENON_OK;
}

bool Tasks::is_cancelled(uint64_t number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = jobs_.find(number);
  return !serving_ || found == jobs_.end() || found->second->cancelled;
}

bool Tasks::owe(tenon_task_end_fn work, void* context) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_ || lease_ == nullptr) return false;
  owed_.emplace_back(work, context);
  summon();
  if (crew_.alive() > 0) return true;
  owed_.pop_back();
  return false;
}

void Tasks::open(Lease& lease) {
  const std::lock_guard<std::mutex> lock(mutex_);
  lease_ = &lease;
  if (state_ == State::Early) state_ = State::Open;
}

void Tasks::serve() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::Open) return;
  serving_ = true;
  if (!queue_.empty()) summon();
}

void Tasks::drain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  serving_ = false;
}

void Tasks::retire() {
  const std::lock_guard<std::mutex> lock(mutex_);
  serving_ = false;
  if (state_ != State::Closed) state_ = State::Retired;
}

void Tasks::close() {
  std::vector<std::unique_ptr<Job>> over;
  ImageIndex image = kNoImage;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (lease_ != nullptr) image = lease_->generation->image();
    serving_ = false;
    state_ = State::Closed;
    for (const auto& [due, number] : queue_) {
      const auto found = jobs_.find(number);
      over.push_back(std::move(found->second));
      jobs_.erase(found);
    }
    queue_.clear();
    for (const auto& [number, job] : jobs_) job->cancelled = true;
  }
  for (const std::unique_ptr<Job>& job : over) end(*job, image);
}

void Tasks::end(const Job& job, ImageIndex image) {
  if (job.work.end == nullptr) return;
  const Inside inside(image, core::Work::Task);
  job.work.end(job.work.context);
}

uint32_t Tasks::stop(uint64_t until) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    work_.notify_all();
  }
  return crew_.stop(until);
}

Tasks::Counts Tasks::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Counts counts;
  for (const auto& [number, job] : jobs_) {
    (job->is_timer ? counts.timers : counts.tasks)++;
    if (job->running) counts.running.push_back(number);
  }
  return counts;
}

void Tasks::loop(void* tasks, ThreadGuard& guard, const ThreadVisits& visits) {
  static_cast<Tasks*>(tasks)->run(guard, visits);
}

void Tasks::wake(void* tasks) {
  Tasks& self = *static_cast<Tasks*>(tasks);
  const std::lock_guard<std::mutex> lock(self.mutex_);
  self.work_.notify_all();
  if (!self.stopping_ && self.has_work()) self.summon();
}

// Under the mutex: see to it that somebody comes for what is there.
void Tasks::summon() {
  if (idle_ > 0) {
    work_.notify_all();
  } else {
    crew_.add();
  }
}

void Tasks::run(ThreadGuard& guard, const ThreadVisits& visits) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_ && !visits.must_end() && !ThreadEffort::is_current_lowered()) {
    if (!owed_.empty()) {
      repay(lock, guard);
    } else if (serving_ && !queue_.empty() && queue_.begin()->first <= now()) {
      perform(lock, guard, *jobs_.find(queue_.begin()->second)->second);
    } else {
      rest(lock);
    }
  }
}

// Until there may be something to do. One thread at a time waits for what is due next.
void Tasks::rest(std::unique_lock<std::mutex>& lock) {
  idle_++;
  if (serving_ && !queue_.empty() && !watching_) {
    const uint64_t time = now();
    const uint64_t due = queue_.begin()->first;
    watching_ = true;
    work_.wait_for(lock, std::chrono::nanoseconds(due > time ? due - time : 0));
    watching_ = false;
  } else {
    work_.wait(lock);
  }
  idle_--;
}

void Tasks::perform(std::unique_lock<std::mutex>& lock, ThreadGuard& guard, Job& job) {
  Lease& lease = *lease_;
  queue_.erase(queue_.begin());
  job.running = true;
  lease.count.fetch_add(1, std::memory_order_seq_cst);
  // Somebody must look after the rest meanwhile.
  if (has_work()) summon();
  lock.unlock();
  {
    const WorkOfThread work(plugin_, lease.generation->number(), job.is_timer ? "timer" : "task", job.number);
    const Inside inside(lease.generation->image(), core::Work::Task, 0, kNoSlot, now());
    const FloatingPointGuard floating_point;
    const AtWork at_work;
    plugin_.front().watch();
    job.work.run(job.work.context, job.number);
  }
  guard.restore_signals();
  lock.lock();
  job.running = false;
  std::unique_ptr<Job> over;
  if (job.period == 0 || job.cancelled || state_ == State::Closed) {
    const auto found = jobs_.find(job.number);
    over = std::move(found->second);
    jobs_.erase(found);
  } else {
    job.due += (1 + (now() - job.due) / job.period) * job.period;
    queue_.emplace(job.due, job.number);
    if (watching_) work_.notify_all();
  }
  if (over && over->work.end != nullptr) {
    lock.unlock();
    {
      const FloatingPointGuard floating_point;
      end(*over, lease.generation->image());
    }
    guard.restore_signals();
    lock.lock();
  }
  plugin_.leave(lease);
}

void Tasks::repay(std::unique_lock<std::mutex>& lock, ThreadGuard& guard) {
  const auto [work, context] = owed_.front();
  const ImageIndex image = lease_->generation->image();
  owed_.pop_front();
  if (has_work()) summon();
  lock.unlock();
  {
    const FloatingPointGuard floating_point;
    const Inside inside(image, core::Work::Task);
    const AtWork at_work;
    plugin_.front().watch();
    work(context);
  }
  guard.restore_signals();
  lock.lock();
}

}  // namespace tenon::core
