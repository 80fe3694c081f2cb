#include "image_threads.h"

#include <doctest/doctest.h>

#if defined(__linux__)

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "thread_guard.h"

using namespace tenon::core;

namespace {

// The image of this test: the program itself, which the loader knows without a name.
bool is_found(pid_t thread, const std::string& name = {}) {
  const auto found = threads_in_image("");
  return std::any_of(found.begin(), found.end(),
                     [&](const ImageThread& one) { return one.id == thread && (name.empty() || one.name == name); });
}

pid_t wait_for(const std::atomic<pid_t>& id) {
  while (id == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return id;
}

pid_t own_id() { return static_cast<pid_t>(syscall(SYS_gettid)); }

}  // namespace

TEST_CASE("a thread of an image that waits is found by its name, until it has ended") {
  std::atomic<pid_t> id{0};
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  std::thread thread([&] {
    pthread_setname_np(pthread_self(), "waiting");
    id = own_id();
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
  });
  const pid_t waiting = wait_for(id);
  CHECK(is_found(waiting, "waiting"));
  CHECK(write(ends[1], "x", 1) == 1);
  thread.join();
  CHECK_FALSE(is_found(waiting));
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("a thread of an image that runs is found") {
  std::atomic<pid_t> id{0};
  std::atomic<bool> leave{false};
  std::thread thread([&] {
    id = own_id();
    while (!leave) {
    }
  });
  const pid_t running = wait_for(id);
  // It answers when it gets a processor.
  bool found = false;
  for (int looks = 0; looks < 1000 && !found; looks++) found = is_found(running);
  CHECK(found);
  leave = true;
  thread.join();
}

TEST_CASE("threads of the core and the one that looks are not looked for") {
  std::atomic<pid_t> id{0};
  std::atomic<bool> leave{false};
  std::thread thread([&] {
    const ThreadGuard guard;
    id = own_id();
    while (!leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  CHECK_FALSE(is_found(wait_for(id)));
  CHECK_FALSE(is_found(own_id()));
  CHECK(threads_in_image("/no/such/image").empty());
  leave = true;
  thread.join();
}

#endif
