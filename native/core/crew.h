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

/*
 * A few threads of one generation for work that the host begins by itself: tasks, events. Each runs its owner's loop.
 * They are started when they are first needed and end before the library is closed, so that destructors of thread-local
 * variables run while their code exists.
 */
class Crew {
 public:
  static constexpr size_t kStackBytes = 1024 * 1024;

  // The loop of one thread; it returns when the thread is to end.
  using Loop = void (*)(void* context, ThreadGuard& guard, const ThreadVisits& visits);
  // One that waits is to look again, and one that is missing to be added: a thread is to end, or has ended.
  using Wake = void (*)(void* context);

  Crew(uint32_t limit, Loop loop, Wake wake, void* context)
      : limit_(limit), loop_(loop), wake_(wake), context_(context) {}
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
  static void* main(void* member);
  void reap();

  const uint32_t limit_;
  const Loop loop_;
  const Wake wake_;
  void* const context_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<std::unique_ptr<Member>> members_;
  bool stopping_ = false;
  std::atomic<uint32_t> alive_{0};
};

}  // namespace tenon::core

#endif
