#include "thread_starter.h"

#include <signal.h>

#include <memory>

#include "image_threads.h"
#include "thread_guard.h"

namespace tenon::core {

struct ThreadStarter::Creation {
  pthread_t* thread;
  const pthread_attr_t* attributes;
  void* (*main)(void*);
  void* argument;
  sigset_t signals;
  bool is_done = false;
  int status = 0;

  void carry_out() {
    sigset_t own;
    pthread_sigmask(SIG_SETMASK, &signals, &own);
    status = pthread_create(thread, attributes, main, argument);
    pthread_sigmask(SIG_SETMASK, &own, nullptr);
  }
};

ThreadStarter& ThreadStarter::instance() {
  static ThreadStarter& starter = *std::unique_ptr<ThreadStarter>(new ThreadStarter()).release();
  return starter;
}

bool ThreadStarter::begin() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return begin_under_lock();
}

bool ThreadStarter::begin_under_lock() {
  if (running_) return true;
  pthread_t thread;
  const auto main = [](void* starter) -> void* {
    const ThreadGuard guard(ThreadKind::Other);
    static_cast<ThreadStarter*>(starter)->run();
    return nullptr;
  };
  running_ = start_core_thread(thread, nullptr, main, this);
  if (running_) pthread_detach(thread);
  return running_;
}

bool ThreadStarter::post(bool (*make)(void*), void* argument) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!begin_under_lock()) return false;
    requests_.push_back({make, argument});
  }
  asked_.notify_one();
  return true;
}

void ThreadStarter::entered() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // Also one that was made elsewhere says so.
    if (entering_ > 0) entering_--;
  }
  asked_.notify_one();
}

int ThreadStarter::create(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) {
  Creation creation = {&thread, attributes, main, argument, {}};
  pthread_sigmask(SIG_SETMASK, nullptr, &creation.signals);
  std::unique_lock<std::mutex> lock(mutex_);
  creations_.push_back(&creation);
  asked_.notify_one();
  created_.wait(lock, [&creation] { return creation.is_done; });
  return creation.status;
}

void ThreadStarter::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    asked_.wait(lock, [this] { return !creations_.empty() || (!requests_.empty() && entering_ == 0); });
    if (!creations_.empty()) {
      Creation& creation = *creations_.front();
      creations_.pop_front();
      lock.unlock();
      creation.carry_out();
      lock.lock();
      creation.is_done = true;
      created_.notify_all();
    }
    if (requests_.empty() || entering_ > 0) continue;
    const Request request = requests_.front();
    requests_.pop_front();
    // It may have entered before `make` is back.
    entering_++;
    lock.unlock();
    const bool is_made = request.make(request.argument);
    lock.lock();
    if (!is_made && entering_ > 0) entering_--;
  }
}

}  // namespace tenon::core
