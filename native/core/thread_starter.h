#ifndef TENON_CORE_THREAD_STARTER_H
#define TENON_CORE_THREAD_STARTER_H

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>

namespace tenon::core {

/*
 * The one thread of the process that makes threads for those that must not, or cannot: the event loop, which would wait
 * for the memory map of the process while threads that compute have it and no processor; and threads that were lowered,
 * as a thread begins as the one that makes it is.
 */
class ThreadStarter {
 public:
  // Never taken down: threads of the core end after static objects have.
  static ThreadStarter& instance();

  // Whether it is there, or has come; on a thread that was not lowered.
  bool begin();
  // Call `make` there, soon, which makes a thread, and says whether it has; that one says when it has `entered`, and
  // the next is made then: threads that begin at once would wait for each other's turns, and the memory map, for a
  // second. False where it is not there, and cannot be. As `begin`.
  bool post(bool (*make)(void*), void* argument);
  // A thread that was made has what it needs to work. [that thread]
  void entered();
  // pthread_create, with the signals blocked that are here; its answer. It does not wait for what others have posted:
  // whoever asks may have what a thread needs to enter. Once it has begun. [any]
  int create(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument);

 private:
  struct Request {
    bool (*make)(void*);
    void* argument;
  };
  struct Creation;

  ThreadStarter() = default;
  bool begin_under_lock();
  void run();

  std::mutex mutex_;
  std::condition_variable asked_;
  std::condition_variable created_;
  std::deque<Request> requests_;
  std::deque<Creation*> creations_;
  int entering_ = 0;
  bool running_ = false;
};

}  // namespace tenon::core

#endif
