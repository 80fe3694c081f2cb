#include "image_threads.h"

#include <doctest/doctest.h>

#if defined(__linux__)

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "read_faults.h"
#include "thread_guard.h"

using namespace tenon::core;
using namespace tenon::tests;

namespace {

// The image of this test: the program itself, which the loader knows without a name.
const std::string kProgram;

// Whether `thread` is in the program, by that name when one is given, and known to be when `known`.
bool is_found(pid_t thread, const std::string& name = {}, bool known = true) {
  const auto found = threads_in_images({"/no/such/image", kProgram});
  CHECK(found.at(0).empty());
  return std::any_of(found.at(1).begin(), found.at(1).end(), [&](const ImageThread& one) {
    return one.id == thread && one.known == known && (name.empty() || one.name == name);
  });
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
  {
    const RefusedReads refused;
    CHECK(is_found(waiting, "waiting", false));
  }
  CHECK(write(ends[1], "x", 1) == 1);
  thread.join();
  CHECK_FALSE(is_found(waiting));
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("a thread of an image is found although the process has no descriptor left") {
  know_present_threads();
  std::atomic<pid_t> id{0};
  std::atomic<bool> leave{false};
  std::thread thread([&] {
    id = own_id();
    while (!leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  const pid_t waiting = wait_for(id);
  rlimit limits;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limits) == 0);
  const rlimit none = {0, limits.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) == -1);
  bool found = false;
  for (int looks = 0; looks < 1000 && !found; looks++) found = is_found(waiting) || is_found(waiting, {}, false);
  CHECK(setrlimit(RLIMIT_NOFILE, &limits) == 0);
  CHECK(found);
  leave = true;
  thread.join();
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

TEST_CASE("a thread that gives no answer may be in an image, however young it is") {
  std::atomic<pid_t> id{0};
  std::atomic<bool> leave{false};
  std::thread thread([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    id = own_id();
    while (!leave) {
    }
  });
  CHECK(is_found(wait_for(id), {}, false));
  leave = true;
  thread.join();
}

TEST_CASE("threads of the core and the one that looks are not looked for") {
  struct Shared {
    std::atomic<pid_t> id{0};
    std::atomic<bool> leave{false};
  } shared;
  const auto main = [](void* given) -> void* {
    const ThreadGuard guard(ThreadKind::Other);
    Shared& own = *static_cast<Shared*>(given);
    own.id = own_id();
    while (!own.leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return nullptr;
  };
  pthread_t thread;
  REQUIRE(start_core_thread(thread, nullptr, main, &shared));
  CHECK_FALSE(is_found(wait_for(shared.id)));
  CHECK_FALSE(is_found(own_id()));
  shared.leave = true;
  CHECK(pthread_join(thread, nullptr) == 0);
}

#endif
