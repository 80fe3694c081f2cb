#include <cerrno>
#include <cstring>

#include "image_threads.h"
#include "store_body.h"
#include "thread_guard.h"

namespace tenon::core {

namespace {

constexpr auto kSweepEvery = std::chrono::seconds(2);

void name_thread(const char* name) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), name);
#else
  pthread_setname_np(name);
#endif
}

}  // namespace

bool Store::Body::start_threads(StoreFailure& failure) {
  keeper_started_ = start_core_thread(keeper_, nullptr, &Body::keeper_main, this);
  worker_started_ = keeper_started_ && start_core_thread(worker_, nullptr, &Body::worker_main, this);
  if (worker_started_) return true;
  failure = store_failure(TENON_ERROR_STORAGE,
                          std::string("a thread of the tables cannot be started: ") + std::strerror(errno));
  return false;
}

void Store::Body::stop_threads() {
  {
    const std::lock_guard<std::mutex> lock(threads_mutex_);
    stopping_.store(true);
  }
  threads_wake_.notify_all();
  if (keeper_started_) pthread_join(keeper_, nullptr);
  if (worker_started_) pthread_join(worker_, nullptr);
  keeper_started_ = worker_started_ = false;
}

void Store::Body::wake_worker() {
  const std::lock_guard<std::mutex> lock(threads_mutex_);
  work_ = true;
  threads_wake_.notify_all();
}

void* Store::Body::keeper_main(void* argument) {
  const ThreadGuard guard(ThreadKind::Store);
  name_thread("tenon:tables");
  Body& body = *static_cast<Body*>(argument);
  const auto pause = std::chrono::milliseconds(body.options.sync_ms);
  std::unique_lock<std::mutex> lock(body.threads_mutex_);
  while (!body.stopping_.load()) {
    body.threads_wake_.wait_for(lock, pause, [&body] { return body.stopping_.load(); });
    lock.unlock();
    body.keep_log();
    lock.lock();
  }
  return nullptr;
}

void* Store::Body::worker_main(void* argument) {
  const ThreadGuard guard(ThreadKind::Store);
  name_thread("tenon:indexes");
  Body& body = *static_cast<Body*>(argument);
  std::unique_lock<std::mutex> lock(body.threads_mutex_);
  while (!body.stopping_.load()) {
    body.work_ = false;
    lock.unlock();
    body.build_indexes();
    body.sweep_expired();
    body.release_dropped();
    lock.lock();
    body.threads_wake_.wait_for(lock, kSweepEvery, [&body] { return body.stopping_.load() || body.work_; });
  }
  return nullptr;
}

}  // namespace tenon::core
