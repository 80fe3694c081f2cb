#ifndef TENON_CORE_POOL_H
#define TENON_CORE_POOL_H

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "thread_priority.h"

namespace tenon::core {

class Call;
class Pool;
class ThreadVisits;

// One thread of a pool. `state_` is the number of its turn and what it does in it, in one word, so that it can be
// written off for exactly the call it hangs in.
class Worker {
 public:
  explicit Worker(Pool& owner) : pool(owner) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Pool& pool;
  bool came = false;               // to the queue; under the pool's mutex
  bool ended = false;              // under the pool's mutex
  pthread_t thread = {};           // once it has ended
  ThreadEffort* effort = nullptr;  // set before its first turn

  // Begin a turn; its ticket. [worker]
  uint64_t begin();
  // End it; false when the worker has been written off meanwhile. [worker]
  bool end(uint64_t ticket);
  // Write the worker off if it is still in this turn. [any]
  bool lose(uint64_t ticket);

 private:
  enum State : uint64_t { kIdle = 0, kBusy = 1, kLost = 2 };
  std::atomic<uint64_t> state_{kIdle};
};

/*
 * The threads of one generation. Started when they are first needed, up to a limit; they end before the library closes,
 * so that thread_local and pthread_key destructors run while their code exists. A thread that has run the code of
 * another generation ends before that one's library closes, and is replaced when it is needed. A thread that hangs past
 * a deadline is written off and replaced, up to kMostLost.
 */
class Pool {
 public:
  static constexpr uint32_t kMostLost = 8;
  static constexpr size_t kStackBytes = 1024 * 1024;

  enum class Submission { Accepted, Full, Unresponsive };

  Pool(uint32_t thread_limit, uint32_t queue_limit) : thread_limit_(thread_limit), queue_limit_(queue_limit) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void set_thread_limit(uint32_t limit);
  // [front]
  Submission submit(Call& call);
  // The deadline of `call` has passed and the watchdog has claimed it: take it out of the queue, or write its thread
  // off. True when it was taken out: nobody else has it any more. [watchdog]
  bool expire(Call& call);

  // Calls whose handlers run elsewhere, and that no thread here waits for, count as its threads do: both together are
  // not more than the limit.
  // `call` is to begin elsewhere; false: there are as many as may be, or others wait. `more`: as long as no thread
  // here has a call, so many of those that would be queued may wait there. [front]
  bool enter(Call& call, uint32_t more);
  // It is over there, or was not begun. `takes_next`: the call that has waited longest, entered, or null. [any]
  Call* leave(Call& call, bool takes_next);
  // It goes on, or begins after all, on a thread of this pool, before those that wait. [any]
  void take_over(Call& call);

  // Where threads hang, what is queued is not to wait for them to its deadline: it is refused. The generation is not
  // live and will not be again. [front]
  void give_up_queued();

  // Ask all threads to end and wait for them until `until` (monotonic, ns). How many have not ended. [closer]
  uint32_t stop(uint64_t until);

  // Whether this thread is one of a pool: it runs a handler. [any]
  static bool is_pool_thread();
  // This thread holds leases while it works, as those of a pool do. Before anything else. [crew]
  static void enter_thread();

  uint32_t alive() const { return alive_.load(std::memory_order_acquire); }
  // Calls that wait for a thread. [any]
  uint32_t queued() const { return queued_.load(std::memory_order_acquire) + ahead(); }
  // Those of them that wait elsewhere. [any]
  uint32_t ahead() const { return ahead_.load(std::memory_order_acquire); }
  uint32_t thread_limit() const { return thread_limit_; }  // [front]
  uint32_t lost() const { return lost_.load(std::memory_order_acquire); }

 private:
  class Hold;

  static void* main(void* worker);
  void run(Worker& worker);
  Call* take(Worker& worker, const ThreadVisits& visits, uint64_t& ticket, bool spin);
  bool expire(Call& call, std::optional<ThreadEffort::Turn>& lost);
  void want_thread();
  static bool make_thread(void* worker);
  void summon();
  uint32_t busy() const;
  bool may_run(uint32_t own) const;
  bool may_take(uint32_t own) const;
  void count_begun(int more);
  bool leave_under_lock(Call& call);
  void answer_stranded();
  void strand_queued(uint32_t lost);
  void reap();
  bool regain();

  uint32_t thread_limit_;
  const uint32_t queue_limit_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable ended_;
  std::deque<Call*> queue_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> wanted_;  // those of them that have no thread yet
  uint32_t idle_ = 0;
  uint32_t coming_ = 0;  // threads that were wanted and have not come to the queue yet
  uint32_t begun_ = 0;   // calls that were entered
  std::atomic<uint32_t> ahead_{0};
  bool spinning_ = false;
  bool stopping_ = false;
  std::atomic<uint32_t> queued_{0};
  std::atomic<uint32_t> alive_{0};
  std::atomic<uint32_t> lost_{0};
};

}  // namespace tenon::core

#endif
