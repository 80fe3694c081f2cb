#ifndef TENON_CORE_CREW_H
#define TENON_CORE_CREW_H

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "thread_guard.h"
#include "thread_visits.h"

namespace tenon::core {

class Plugin;

/*
 * A few threads of one generation for work that the host begins by itself: tasks, events. Each runs its owner's loop.
 * They are started when they are first needed and end before the library is closed, so that destructors of thread-local
 * variables run while their code exists. One that cannot be started is told of in the log, and its owner is asked again
 * by `Wake` until it can or is no longer needed.
 */
class Crew {
 public:
  static constexpr size_t kStackBytes = 1024 * 1024;

  // The loop of one thread; it returns when the thread is to end.
  using Loop = void (*)(void* context, ThreadGuard& guard, const ThreadVisits& visits);
  // One that waits is to look again, and one that is missing to be added: a thread is to end, has ended, or could not
  // be started. Also on [watchdog].
  using Wake = void (*)(void* context);

  // `work`: what its threads do, for people.
  Crew(Plugin& plugin, uint64_t generation, ThreadKind kind, const char* work, uint32_t limit, Loop loop, Wake wake,
       void* context);
  ~Crew() { break_link(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // One more thread; false when there are as many as may be, none may begin any more or none could be started. [any]
  bool add();
  uint32_t alive() const { return alive_.load(std::memory_order_acquire); }
  // Wait until `until` for all threads, which their owner has told to end; how many have not ended. [closer]
  uint32_t stop(uint64_t until);

 private:
  struct Member {
    Crew* crew;
    pthread_t thread = {};
    bool ended = false;  // under the mutex
  };
  // For who asks again: it may come when the crew is gone.
  struct Link {
    std::mutex mutex;
    Crew* crew;
  };
  static void* main(void* member);
  bool start();
  void reap();
  void miss();
  void break_link();

  Plugin& plugin_;
  const uint64_t generation_;
  const ThreadKind kind_;
  const char* const work_;
  const uint32_t limit_;
  const Loop loop_;
  const Wake wake_;
  void* const context_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<std::unique_ptr<Member>> members_;
  bool stopping_ = false;
  bool missed_ = false;  // the last that was to be started could not be
  bool asking_ = false;  // somebody will ask again
  const std::shared_ptr<Link> link_;
  std::atomic<uint32_t> alive_{0};
};

}  // namespace tenon::core

#endif
