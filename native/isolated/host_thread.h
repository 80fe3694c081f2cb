#ifndef TENON_ISOLATED_HOST_THREAD_H
#define TENON_ISOLATED_HOST_THREAD_H

#include <pthread.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "thread_priority.h"

namespace tenon::isolated {

// A thread of the host that sees to a runner. Joined before this ends. std::thread would end the host where the system
// has no thread left.
class HostThread {
 public:
  // False: the system has none left. [its owner's]
  bool start(std::function<void()> main) {
    auto given = std::make_unique<std::function<void()>>(std::move(main));
    pthread_t thread;
    if (core::create_thread(thread, nullptr, &HostThread::run, given.get()) != 0) return false;
    static_cast<void>(given.release());
    thread_ = thread;
    return true;
  }
  bool joinable() const { return thread_.has_value(); }
  void join() { pthread_join(*std::exchange(thread_, std::nullopt), nullptr); }

 private:
  static void* run(void* argument) {
    const std::unique_ptr<std::function<void()>> main(static_cast<std::function<void()>*>(argument));
    (*main)();
    return nullptr;
  }

  std::optional<pthread_t> thread_;
};

}  // namespace tenon::isolated

#endif
