#include "thread_visits.h"

#include <doctest/doctest.h>

#include <pthread.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "harness.h"
#include "thread_faults.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

std::atomic<int> destructors_run{0};

// As a plugin may leave behind in every thread that runs its code.
struct Leftover {
  ~Leftover() {
    if (!used) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    destructors_run++;
  }
  bool used = false;
};
thread_local Leftover leftover;

struct TwoPlugins {
  TwoPlugins() : host(front->plugin("host")), guest(front->plugin("guest")) {
    host.open(100);
    guest.open(100);
    host_code.max_concurrency = 1;
    host_code.route(TENON_HTTP_GET, "/visit", TENON_EXECUTION_POOL, [this](auto&, auto*, auto*) -> tenon_status {
      core::ThreadVisits::current()->visit(*visited);
      leftover.used = true;
      entered++;
      while (!leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return TENON_OK;
    });
    host_generation = front.bring_up(host, host_code, 1, "/host");
    visited = front.bring_up(guest, guest_code, 1, "/guest");
    host.swap(host_generation->lease());
  }
  ~TwoPlugins() {
    host.swap(nullptr);
    CHECK(front.take_down(host_generation));
  }

  FrontUnderTest front;
  core::Plugin& host;
  core::Plugin& guest;
  PluginUnderTest host_code;
  PluginUnderTest guest_code;
  std::shared_ptr<core::Generation> host_generation;
  std::shared_ptr<core::Generation> visited;
  std::atomic<int> entered{0};
  std::atomic<bool> leave{true};
};

}  // namespace

TEST_CASE("a thread that has run the code of a generation ends before that generation is closed") {
  TwoPlugins world;
  const uint32_t slot = world.front.slot(world.host, "GET", "/host/visit");
  CHECK(world.front.ask(slot, "/host/visit").status == 200);
  CHECK(world.host_generation->threads_alive() == 2);
  CHECK(core::visitors_of(*world.visited) == 1);
  const int before = destructors_run;
  CHECK(world.front.take_down(world.visited));
  CHECK(destructors_run == before + 1);
  CHECK(core::visitors_of(*world.visited) == 0);
  // Another thread takes its place.
  CHECK(world.host_generation->threads_alive() == 1);
  CHECK(world.front.ask(slot, "/host/visit").status == 200);
}

TEST_CASE("a visitor that is busy counts until it is through, and others take what waits for it") {
  TwoPlugins world;
  world.leave = false;
  const uint32_t slot = world.front.slot(world.host, "GET", "/host/visit");
  Answer& first = world.front.send(slot, "/host/visit");
  CHECK(world.front.until([&] { return world.entered == 1; }));
  Answer& second = world.front.send(slot, "/host/visit");
  CHECK(world.front.perform(world.visited, core::Step::Shutdown));
  CHECK(world.front.perform(world.visited, core::Step::Destroy));
  CHECK_FALSE(world.front.perform(world.visited, core::Step::Stop, 30));
  CHECK(world.visited->threads_alive() == 1);
  CHECK(second.outcome == core::Outcome::Pending);
  world.leave = true;
  CHECK(world.front.until([&] { return world.entered == 2 && world.front->pending() == 0; }));
  CHECK(first.status == 200);
  CHECK(second.status == 200);
  // The second call has visited it as well, which no call with a lease could.
  CHECK(world.front.perform(world.visited, core::Step::Stop));
  CHECK(world.visited->threads_alive() == 0);
  world.visited->close();
}

#if defined(__linux__)

TEST_CASE("calls that wait for a thread that ends are answered when none can be started in its place") {
  TwoPlugins world;
  world.leave = false;
  const uint32_t slot = world.front.slot(world.host, "GET", "/host/visit");
  const Answer& first = world.front.send(slot, "/host/visit");
  CHECK(world.front.until([&] { return world.entered == 1; }));
  const Answer& second = world.front.send(slot, "/host/visit");
  const Answer& third = world.front.send(slot, "/host/visit");
  CHECK(world.front.perform(world.visited, core::Step::Shutdown));
  CHECK(world.front.perform(world.visited, core::Step::Destroy));
  CHECK_FALSE(world.front.perform(world.visited, core::Step::Stop, 30));
  {
    const NoThreads none;
    world.leave = true;
    CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  }
  CHECK(first.status == 200);
  for (const Answer* const answer : {&second, &third}) {
    CHECK(answer->refusal == core::Refusal::PluginUnresponsive);
    CHECK(answer->body == "no thread could be started for host");
  }
  CHECK(world.entered == 1);
  CHECK(world.front.perform(world.visited, core::Step::Stop));
  world.visited->close();
}

TEST_CASE("a thread that the system gives the id of a visitor that has ended is not taken for it") {
  TwoPlugins world;
  // Of the same pid namespace, and for root alone.
  const auto ask_for = [](long id) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/sys/kernel/ns_last_pid", "we"), std::fclose);
    return file && std::fprintf(file.get(), "%ld", id - 1) > 0;
  };
  long id = 0;
  bool found = false;
  bool allowed = true;
  for (int attempt = 0; attempt < 100 && !found && allowed; attempt++) {
    // Another process has the id of the one before, or its thread is not quite gone: the next try may find it free.
    if (attempt % 10 == 0) {
      std::thread([&] {
        const core::ThreadVisits visits([](void*) {}, nullptr);
        core::ThreadVisits::current()->visit(*world.visited);
        id = syscall(SYS_gettid);
        // So that the next one starts in another tick of the system's clock.
        std::this_thread::sleep_for(std::chrono::milliseconds(40));
      }).join();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    allowed = ask_for(id);
    std::thread([&] {
      found = syscall(SYS_gettid) == id;
      if (found) CHECK(core::visitors_of(*world.visited) == 0);
    }).join();
  }
  if (!found) {
    MESSAGE("SKIPPED: ",
            allowed ? "no thread could be given the id" : "/proc/sys/kernel/ns_last_pid may not be written");
  }
  CHECK(world.front.take_down(world.visited));
}

#endif
