#include "thread_starter.h"

#include <doctest/doctest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "thread_priority.h"

using namespace tenon::core;

namespace {

// At most 10 s.
bool until(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

TEST_CASE("one that was made enters before the next is made, and a thread that was lowered waits for neither") {
  ThreadStarter& starter = ThreadStarter::instance();
  REQUIRE(starter.begin());
  std::atomic<int> first{0};
  std::atomic<int> second{0};
  const auto enters_later = [](void* made) { return ++*static_cast<std::atomic<int>*>(made) > 0; };
  REQUIRE(starter.post(enters_later, &first));
  REQUIRE(until([&] { return first == 1; }));
  REQUIRE(starter.post(enters_later, &second));
  std::atomic<bool> own{false};
  std::thread lowered([&own] {
    ThreadEffort effort;
    effort.begin();
    ThreadEffort::give_up(effort.turn());
    pthread_t thread;
    if (create_thread(
            thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) == 0) {
      pthread_join(thread, nullptr);
      own = true;
    }
    effort.end();
  });
  CHECK(until([&] { return own.load(); }));
  CHECK(second == 0);
  starter.entered();
  CHECK(until([&] { return second == 1; }));
  starter.entered();
  lowered.join();
}
