#include "pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "call.h"
#include "clock.h"
#include "image_threads.h"
#include "pipeline.h"
#include "thread_guard.h"
#include "thread_priority.h"
#include "thread_starter.h"
#include "thread_visits.h"

namespace tenon::core {

namespace {

// About 5 us: shorter than the wake-up of a sleeping thread, which is what a spinning one saves.
constexpr int kSpins = 100;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

thread_local bool pool_thread = false;

}  // namespace

// The mutex, held. The threads that were wanted meanwhile are made when it is free again, and elsewhere: that takes
// long where others compute, and neither the event loop nor who waits for the mutex is to wait for it.
class Pool::Hold {
 public:
  explicit Hold(Pool& pool) : pool_(pool), lock_(pool.mutex_) {}
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  // A thread that is wanted counts as one that is there: until all are made, the pool is.
  ~Hold() {
    const std::vector<Worker*> wanted = std::exchange(pool_.wanted_, {});
    lock_.unlock();
    for (Worker* const worker : wanted) {
      if (!ThreadStarter::instance().post(&Pool::make_thread, worker)) make_thread(worker);
    }
  }

  std::unique_lock<std::mutex>& lock() { return lock_; }

 private:
  Pool& pool_;
  std::unique_lock<std::mutex> lock_;
};

bool Pool::is_pool_thread() { return pool_thread; }
void Pool::enter_thread() { pool_thread = true; }

uint64_t Worker::begin() {
  const uint64_t ticket = (state_.load(std::memory_order_relaxed) >> 2) + 1;
  state_.store(ticket << 2 | kBusy, std::memory_order_release);
  return ticket;
}

bool Worker::end(uint64_t ticket) {
  uint64_t expected = ticket << 2 | kBusy;
  return state_.compare_exchange_strong(expected, ticket << 2 | kIdle, std::memory_order_acq_rel);
}

bool Worker::lose(uint64_t ticket) {
  uint64_t expected = ticket << 2 | kBusy;
  return state_.compare_exchange_strong(expected, ticket << 2 | kLost, std::memory_order_acq_rel);
}

void Pool::set_thread_limit(uint32_t limit) {
  const std::lock_guard<std::mutex> lock(mutex_);
  thread_limit_ = limit;
}

Pool::Submission Pool::submit(Call& call) {
  bool wake = false;
  {
    const Hold hold(*this);
    const uint32_t kept = alive_.load(std::memory_order_relaxed) - lost_.load(std::memory_order_relaxed) + begun_;
    const uint32_t startable = kept < thread_limit_ ? thread_limit_ - kept : 0;
    const bool may = may_run(0);
    const uint32_t free = may ? idle_ + (spinning_ ? 1 : 0) + coming_ + startable : 0;
    if (queue_.size() + ahead() >= queue_limit_ + free) return Submission::Full;
    if (!spinning_ && may) {
      if (idle_ > queue_.size()) {
        wake = true;
      } else if (startable > 0) {
        want_thread();
      }
    }
    // Nobody is left who could take it.
    if (alive_.load(std::memory_order_relaxed) == lost_.load(std::memory_order_relaxed) && begun_ == 0) {
      return Submission::Unresponsive;
    }
    queue_.push_back(&call);
    queued_.store(static_cast<uint32_t>(queue_.size()), std::memory_order_release);
  }
  if (wake) work_.notify_one();
  return Submission::Accepted;
}

// Under the mutex: threads that have a call, or are about to, also those that are still to be made.
uint32_t Pool::busy() const {
  const uint32_t kept = alive_.load(std::memory_order_relaxed) - lost_.load(std::memory_order_relaxed);
  return kept - idle_ - (spinning_ ? 1 : 0);
}

// Under the mutex: whether one more may run beside those that do. `own`: threads among them that are to.
bool Pool::may_run(uint32_t own) const { return begun_ == 0 || busy() - own + begun_ < thread_limit_; }

// Under the mutex: the same of what is queued. What goes on runs already.
bool Pool::may_take(uint32_t own) const { return may_run(own) || (!queue_.empty() && queue_.front()->goes_on); }

bool Pool::enter(Call& call, uint32_t more) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint32_t most = thread_limit_ + (busy() == 0 ? std::min(more, queue_limit_) : 0);
  if (!queue_.empty() || busy() + begun_ >= most || stopping_) return false;
  count_begun(1);
  call.begun.store(true, std::memory_order_relaxed);
  return true;
}

// Under the mutex.
void Pool::count_begun(int more) {
  begun_ = static_cast<uint32_t>(static_cast<int>(begun_) + more);
  ahead_.store(begun_ > thread_limit_ ? begun_ - thread_limit_ : 0, std::memory_order_release);
}

// Under the mutex. False: it has been counted off already.
bool Pool::leave_under_lock(Call& call) {
  if (!call.begun.exchange(false, std::memory_order_acq_rel)) return false;
  count_begun(-1);
  return true;
}

Call* Pool::leave(Call& call, bool takes_next) {
  const Hold hold(*this);
  if (!leave_under_lock(call) || queue_.empty() || stopping_) return nullptr;
  // What goes on has its handler.
  if (!takes_next || queue_.front()->goes_on) {
    summon();
    return nullptr;
  }
  Call* const next = queue_.front();
  queue_.pop_front();
  queued_.store(static_cast<uint32_t>(queue_.size()), std::memory_order_release);
  count_begun(1);
  next->begun.store(true, std::memory_order_relaxed);
  return next;
}

void Pool::take_over(Call& call) {
  const Hold hold(*this);
  // One whose deadline has passed goes on all the same.
  leave_under_lock(call);
  if (stopping_) return strand(call, lost_.load(std::memory_order_relaxed));
  const auto before = std::find_if(queue_.begin(), queue_.end(), [](const Call* other) { return !other->goes_on; });
  queue_.insert(before, &call);
  queued_.store(static_cast<uint32_t>(queue_.size()), std::memory_order_release);
  summon();
}

bool Pool::expire(Call& call) {
  std::optional<ThreadEffort::Turn> lost;
  const bool taken_out = expire(call, lost);
  // Not under the mutex: the kernel moves the thread to another processor, and the event loop would wait for that.
  if (lost) ThreadEffort::give_up(*lost);
  return taken_out;
}

bool Pool::expire(Call& call, std::optional<ThreadEffort::Turn>& lost) {
  const Hold hold(*this);
  if (leave_under_lock(call)) {
    if (!queue_.empty() && !stopping_) summon();
    return false;
  }
  const auto found = std::find(queue_.begin(), queue_.end(), &call);
  // One that goes on is with its handler.
  if (found != queue_.end() && !call.goes_on) {
    queue_.erase(found);
    queued_.store(static_cast<uint32_t>(queue_.size()), std::memory_order_release);
    return true;
  }
  Worker* const worker = call.worker.load(std::memory_order_acquire);
  if (worker != nullptr && worker->lose(call.ticket.load(std::memory_order_acquire))) {
    lost_.fetch_add(1, std::memory_order_acq_rel);
    lost = worker->effort->turn();
    if (!queue_.empty() && !stopping_) summon();
  }
  return false;
}

// Under the mutex, in a Hold. Not where so many hang that no more are made.
void Pool::want_thread() {
  if (lost_.load(std::memory_order_relaxed) >= kMostLost) return;
  reap();
  workers_.push_back(std::make_unique<Worker>(*this));
  wanted_.push_back(workers_.back().get());
  alive_.fetch_add(1, std::memory_order_acq_rel);
  coming_++;
}

// From when it is made on it may be over, and the pool with it.
bool Pool::make_thread(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  Pool& pool = worker.pool;
  const auto is_over = [&pool] {
    const std::lock_guard<std::mutex> lock(pool.mutex_);
    return pool.stopping_ && pool.queue_.empty();
  };
  // Its turn may come long after it was wanted, when it would only have to end.
  if (!is_over()) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    pthread_t thread;
    const bool made = start_core_thread(thread, &attributes, &Pool::main, &worker);
    pthread_attr_destroy(&attributes);
    if (made) return true;
  }
  const std::lock_guard<std::mutex> lock(pool.mutex_);
  const auto same = [&worker](const std::unique_ptr<Worker>& other) { return other.get() == &worker; };
  pool.workers_.erase(std::find_if(pool.workers_.begin(), pool.workers_.end(), same));
  pool.alive_.fetch_sub(1, std::memory_order_acq_rel);
  pool.coming_--;
  // As long as this one counted, an idle one may have left to it what is queued.
  if (pool.idle_ > 0) pool.work_.notify_one();
  pool.answer_stranded();
  pool.ended_.notify_all();
  return false;
}

void* Pool::main(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  worker.pool.run(worker);
  return nullptr;
}

void Pool::run(Worker& worker) {
  ThreadGuard guard(ThreadKind::Pool);
  const auto rouse = [](void* pool) {
    Pool& self = *static_cast<Pool*>(pool);
    const std::lock_guard<std::mutex> lock(self.mutex_);
    self.work_.notify_all();
  };
  auto visits = std::make_unique<ThreadVisits>(rouse, this);
  ThreadEffort effort;
  worker.effort = &effort;
  enter_thread();
  ThreadStarter::instance().entered();
  bool kept = true;
  bool worked = false;
  while (kept) {
    uint64_t ticket = 0;
    Call* const call = take(worker, *visits, ticket, worked);
    if (call == nullptr) break;
    worked = true;
    const uint64_t time = now();
    const bool skipped = !call->goes_on && (call->abandoned() || call->miss(time));
    if (!skipped && !call->goes_on) call->began.store(time, std::memory_order_relaxed);
    effort.begin();
    const tenon_status status = skipped ? TENON_ERROR_CANCELLED : handle(*call);
    effort.end();
    guard.restore_signals();
    // The turn ends before the call does: from its conclusion on, the call may be another one.
    call->worker.store(nullptr, std::memory_order_release);
    const bool lost = !worker.end(ticket);
    call->conclude(status);
    if (call->let_go()) call->post(kFinished);
    if (lost) kept = regain();
    if (effort.is_lowered()) kept = false;
  }
  // Nobody asks this thread for anything once it has said that it ends.
  visits.reset();
  const Hold hold(*this);
  alive_.fetch_sub(1, std::memory_order_acq_rel);
  if (!queue_.empty() && !stopping_) summon();
  worker.thread = pthread_self();
  worker.ended = true;
  ended_.notify_all();
}

// A thread that was written off has come back: it stays unless it has been replaced.
bool Pool::regain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint32_t lost = lost_.fetch_sub(1, std::memory_order_acq_rel) - 1;
  return alive_.load(std::memory_order_relaxed) - lost <= thread_limit_;
}

// Under the mutex: join threads that have ended, without waiting for one that is still running its destructors. Where
// there is no join that does not wait, they stay until `stop`.
void Pool::reap() {
#if defined(__linux__)
  const auto gone = [](const std::unique_ptr<Worker>& worker) {
    return worker->ended && pthread_tryjoin_np(worker->thread, nullptr) == 0;
  };
  workers_.erase(std::remove_if(workers_.begin(), workers_.end(), gone), workers_.end());
#endif
}

// Under the mutex, in a Hold: see to it that somebody comes for what is queued, where one may.
void Pool::summon() {
  if (!may_take(0)) return;
  if (idle_ > 0) {
    work_.notify_one();
  } else if (alive_.load(std::memory_order_relaxed) - lost_.load(std::memory_order_relaxed) < thread_limit_) {
    want_thread();
  }
}

// Under the mutex, when a thread could not be made: what is queued and nobody is left who could take it. The mutex
// keeps the pool alive, also when all these calls are over. Where threads hang, what is queued hangs with them, to its
// deadline: one may come back. What was entered elsewhere takes it, or asks for a thread again, when it leaves.
void Pool::answer_stranded() {
  const uint32_t lost = lost_.load(std::memory_order_relaxed);
  if ((begun_ > 0 && !stopping_) || lost >= kMostLost || alive_.load(std::memory_order_relaxed) != lost) return;
  strand_queued(lost);
}

// Under the mutex; as above.
void Pool::strand_queued(uint32_t lost) {
  queued_.store(0, std::memory_order_release);
  for (Call* const call : std::exchange(queue_, {})) strand(*call, lost);
}

void Pool::give_up_queued() {
  const Hold hold(*this);
  const uint32_t lost = lost_.load(std::memory_order_relaxed);
  if (lost > 0) strand_queued(lost);
}

Call* Pool::take(Worker& worker, const ThreadVisits& visits, uint64_t& ticket, bool spin) {
  Hold hold(*this);
  std::unique_lock<std::mutex>& lock = hold.lock();
  if (!std::exchange(worker.came, true)) coming_--;
  for (;;) {
    if (visits.must_end() && !stopping_) return nullptr;
    if (!queue_.empty() && may_take(1)) {
      Call* const call = queue_.front();
      queue_.pop_front();
      queued_.store(static_cast<uint32_t>(queue_.size()), std::memory_order_release);
      // Under the mutex, where `expire` looks: a call is in the queue or has its worker, never neither.
      ticket = worker.begin();
      call->ticket.store(ticket, std::memory_order_relaxed);
      call->worker.store(&worker, std::memory_order_release);
      // While this thread was spinning for work nobody else was woken for it.
      if (!queue_.empty()) summon();
      return call;
    }
    if (stopping_) return nullptr;
    if (spin && !spinning_) {
      spinning_ = true;
      lock.unlock();
      for (int count = 0; count < kSpins && queued_.load(std::memory_order_acquire) == 0; count++) relax();
      lock.lock();
      spinning_ = false;
      spin = false;
      continue;
    }
    idle_++;
    work_.wait(lock);
    idle_--;
  }
}

uint32_t Pool::stop(uint64_t until) {
  std::vector<std::unique_ptr<Worker>> ended;
  uint32_t left = 0;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    const uint64_t time = now();
    ended_.wait_for(lock, std::chrono::nanoseconds(until > time ? until - time : 0),
                    [this] { return alive_.load(std::memory_order_acquire) == 0; });
    for (std::unique_ptr<Worker>& worker : workers_) {
      if (worker->ended) ended.push_back(std::move(worker));
    }
    workers_.erase(std::remove(workers_.begin(), workers_.end(), nullptr), workers_.end());
    left = static_cast<uint32_t>(workers_.size());
  }
  for (const std::unique_ptr<Worker>& worker : ended) pthread_join(worker->thread, nullptr);
  return left;
}

}  // namespace tenon::core
