#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cfenv>
#include <string>

#include "harness.h"
#include "tenon/ext/tasks.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

// Code of a plugin that leaves its thread with another rounding and with all signals blocked.
struct Spoiler {
  std::atomic<int> runs{0};
  std::atomic<int> wrong{0};  // that began with what an earlier one had left

  void spoil() {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    if (fegetround() != FE_TONEAREST || sigismember(&mask, SIGSEGV) != 0) wrong++;
    fesetround(FE_UPWARD);
    sigfillset(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    runs++;
  }
};

struct World {
  World() : plugin(front->plugin("test")) {
    plugin.open(100);
    code.max_concurrency = 1;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  }
  void live() {
    generation = front.bring_up(plugin, code, 1);
    REQUIRE(static_cast<bool>(generation));
    plugin.swap(generation->lease());
  }
  ~World() {
    plugin.swap(nullptr);
    CHECK(front.take_down(generation));
    CHECK(spoiler.wrong == 0);
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  }

  FrontUnderTest front;
  core::Plugin& plugin;
  PluginUnderTest code;
  Spoiler spoiler;
  std::shared_ptr<core::Generation> generation;
  sigset_t mask;
};

void run_task(void* context, uint64_t) { static_cast<Spoiler*>(context)->spoil(); }
void end_task(void* context) { static_cast<Spoiler*>(context)->spoil(); }

}  // namespace

TEST_CASE("a handler on the pool leaves its thread as it found it") {
  World world;
  world.code.route(TENON_HTTP_GET, "/pool", TENON_EXECUTION_POOL,
                   [&](auto&, auto*, auto*) -> tenon_status { return world.spoiler.spoil(), TENON_OK; });
  world.live();
  for (int count = 0; count < 3; count++) world.front.ask(world.front.slot(world.plugin, "GET", "/test/pool"), "/");
  CHECK(world.spoiler.runs == 3);
}

TEST_CASE("an inline handler leaves the arithmetic of the event loop's thread as it found it") {
  World world;
  world.code.route(TENON_HTTP_GET, "/inline", TENON_EXECUTION_INLINE, [&](auto&, auto*, auto*) -> tenon_status {
    return fesetround(FE_UPWARD) == 0 ? TENON_OK : TENON_ERROR;
  });
  world.live();
  world.front.ask(world.front.slot(world.plugin, "GET", "/test/inline"), "/");
  CHECK(fegetround() == FE_TONEAREST);
}

TEST_CASE("the function that frees a body leaves the arithmetic of its thread as it found it") {
  World world;
  world.code.route(TENON_HTTP_GET, "/give", TENON_EXECUTION_INLINE, [](auto& http, auto*, auto* response) {
    const auto free_body = [](void*, size_t, void*) { fesetround(FE_UPWARD); };
    return http.give_body(response, "given", 5, free_body, nullptr);
  });
  world.live();
  CHECK(world.front.ask(world.front.slot(world.plugin, "GET", "/test/give"), "/").body == "given");
  CHECK(fegetround() == FE_TONEAREST);
}

TEST_CASE("the steps of a life leave the control thread as they found it") {
  World world;
  world.code.on_initialize = [&]() -> tenon_status { return world.spoiler.spoil(), TENON_OK; };
  world.code.on_routes = [&] { world.spoiler.spoil(); };
  world.code.on_ready = [&] { world.spoiler.spoil(); };
  world.code.on_health = [&]() -> tenon_status { return world.spoiler.spoil(), TENON_OK; };
  world.live();
  CHECK(world.front.perform(world.generation, core::Step::Health));
  CHECK(world.spoiler.runs >= 4);
}

TEST_CASE("a task, and what ends it, leave their thread as they found it") {
  World world;
  world.live();
  const auto* const tasks =
      static_cast<const tenon_host_tasks_t*>(world.code.host->get_extension(world.code.host, TENON_TASKS_ID));
  for (int count = 1; count <= 3; count++) {
    CHECK(tasks->submit(world.code.host, run_task, end_task, &world.spoiler, nullptr) == TENON_OK);
    CHECK(world.front.until([&] { return world.spoiler.runs == 2 * count; }));
  }
}

TEST_CASE("a batch of events leaves its thread as it found it") {
  World world;
  world.code.on_event = [&](const tenon_event_t*, size_t, uint64_t) { world.spoiler.spoil(); };
  world.code.on_ready = [&] {
    const auto* const events =
        static_cast<const tenon_host_events_t*>(world.code.host->get_extension(world.code.host, TENON_EVENTS_ID));
    events->subscribe(world.code.host, bytes("test.*"));
  };
  world.live();
  core::EventParts parts;
  parts.topic = "test.one";
  for (int count = 1; count <= 3; count++) {
    world.front->events().publish(core::Event::make(parts, TENON_EVENT_LIMIT), nullptr);
    CHECK(world.front.until([&] { return world.spoiler.runs == count; }));
  }
}
