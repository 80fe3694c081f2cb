#include "thread_priority.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "harness.h"

#if defined(__linux__)
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#endif

using namespace tenon;
using namespace tenon::tests;

namespace {

#if defined(__linux__)
int nice_of_thread() { return getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))); }
// Not the address of its stack, which another thread may have next.
std::string id_of_thread() { return std::to_string(syscall(SYS_gettid)); }
#else
int nice_of_thread() { return 0; }
std::string id_of_thread() { return std::to_string(std::hash<std::thread::id>()(std::this_thread::get_id())); }
#endif

bool can_be_lowered() {
  if (access("/proc/self/schedstat", R_OK) == 0 && nice_of_thread() < 19) return true;
  MESSAGE("not tested: no thread can be lowered here");
  return false;
}

// A plugin whose handlers compute until they are told to stop.
struct Endless {
  explicit Endless(uint32_t concurrency, uint32_t deadline_ms) : plugin(front->plugin("test")) {
    plugin.open(1000);
    code.max_concurrency = concurrency;
    code.route(
        TENON_HTTP_GET, "/endless", TENON_EXECUTION_POOL,
        [this](auto&, auto*, auto*) -> tenon_status {
          begun++;
          while (!over.load(std::memory_order_relaxed)) {
          }
          return TENON_OK;
        },
        deadline_ms);
    code.route(TENON_HTTP_GET, "/quick", TENON_EXECUTION_INLINE, [](auto& http, auto*, auto* response) -> tenon_status {
      return http.set_body(response, bytes("quick"));
    });
    generation = front.bring_up(plugin, code, 1);
    REQUIRE(static_cast<bool>(generation));
    plugin.swap(generation->lease());
  }
  ~Endless() {
    over = true;
    CHECK(front.until([&] { return front->pending() == 0; }));
    plugin.swap(nullptr);
    CHECK(front.take_down(generation));
  }

  FrontUnderTest front;
  core::Plugin& plugin;
  PluginUnderTest code;
  std::shared_ptr<core::Generation> generation;
  std::atomic<bool> over{false};
  std::atomic<uint32_t> begun{0};
};

}  // namespace

TEST_CASE("of 64 endless calls at once each is answered by its deadline, however many of them have a thread") {
  for (const uint32_t concurrency : {1u, 4u, 64u}) {
    CAPTURE(concurrency);
    Endless endless(concurrency, 300);
    const uint32_t slot = endless.front.slot(endless.plugin, "GET", "/test/endless");
    std::vector<Answer*> answers;
    for (int count = 0; count < 64; count++) answers.push_back(&endless.front.send(slot, "/test/endless"));
    uint32_t quick = 0;
    const uint32_t other = endless.front.slot(endless.plugin, "GET", "/test/quick");
    CHECK(endless.front.until([&] {
      if (endless.front.ask(other, "/test/quick").body == "quick") quick++;
      for (const Answer* answer : answers) {
        if (answer->outcome == core::Outcome::Pending) return false;
      }
      return true;
    }));
    CHECK(quick > 0);
    for (const Answer* answer : answers) {
      CHECK(answer->refusal == core::Refusal::DeadlineExceeded);
      CHECK(answer->status == 504);
    }
    CHECK(endless.generation->threads_lost() >= 1);
    CHECK(endless.generation->threads_lost() == endless.begun);
  }
}

TEST_CASE("a call that computes for long goes on at a lower priority, on a thread that ends with it") {
  if (!can_be_lowered()) return;
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  code.max_concurrency = 1;
  const int usual = nice_of_thread();
  code.route(TENON_HTTP_GET, "/compute", TENON_EXECUTION_POOL,
             [usual](auto& http, auto* request, auto* response) -> tenon_status {
               while (nice_of_thread() == usual && !http.cancelled(request)) {
               }
               return http.set_body(response, bytes(id_of_thread()));
             });
  code.route(TENON_HTTP_GET, "/wait", TENON_EXECUTION_POOL, [usual](auto& http, auto*, auto* response) -> tenon_status {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return http.set_body(response, bytes(nice_of_thread() == usual ? id_of_thread() : "lowered"));
  });
  const auto generation = front.bring_up(plugin, code, 1);
  plugin.swap(generation->lease());
  const auto ask = [&](const char* pattern) { return front.ask(front.slot(plugin, "GET", pattern), pattern).body; };
  const std::string waiting = ask("/test/wait");
  CHECK(waiting != "lowered");
  const std::string lowered = ask("/test/compute");
  CHECK(lowered == waiting);
  const std::string fresh = ask("/test/wait");
  CHECK(fresh != "lowered");
  CHECK(fresh != lowered);
  CHECK(generation->threads_lost() == 0);
  plugin.swap(nullptr);
  CHECK(front.take_down(generation));
}

#if defined(__linux__)
TEST_CASE(
    "a thread that was given up goes on at the lowest priority, on one processor, and is replaced when it is back") {
  if (!can_be_lowered()) return;
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  code.max_concurrency = 1;
  const int usual = nice_of_thread();
  std::atomic<int> late{-100};
  const auto processors = [] {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? static_cast<uint32_t>(CPU_COUNT(&allowed)) : 0;
  };
  const uint32_t usual_processors = processors();
  code.route(
      TENON_HTTP_GET, "/late", TENON_EXECUTION_POOL,
      [&](auto& http, auto* request, auto*) -> tenon_status {
        while (!http.cancelled(request) || nice_of_thread() != 19 || processors() != 1) std::this_thread::yield();
        late = nice_of_thread();
        return TENON_OK;
      },
      50);
  code.route(TENON_HTTP_GET, "/nice", TENON_EXECUTION_POOL, [&](auto& http, auto*, auto* response) -> tenon_status {
    return http.set_body(response, bytes(std::to_string(nice_of_thread()) + " " + std::to_string(processors())));
  });
  const auto generation = front.bring_up(plugin, code, 1);
  plugin.swap(generation->lease());
  CHECK(front.ask(front.slot(plugin, "GET", "/test/late"), "/test/late").refusal == core::Refusal::DeadlineExceeded);
  CHECK(front.until([&] { return front->pending() == 0; }));
  CHECK(late == 19);
  CHECK(front.ask(front.slot(plugin, "GET", "/test/nice"), "/test/nice").body ==
        std::to_string(usual) + " " + std::to_string(usual_processors));
  plugin.swap(nullptr);
  CHECK(front.take_down(generation));
}
#endif

TEST_CASE("nothing is given up that is over, also where another thread has the place of the one that was at it") {
  if (!can_be_lowered()) return;
  const int usual = nice_of_thread();
  std::optional<core::ThreadEffort> effort;
  core::ThreadEffort::Turn turn = {};
  std::atomic<int> nice{-100};
  const auto run = [](const auto& main) { std::thread(main).join(); };
  run([&] {
    effort.emplace();
    effort->begin();
    turn = effort->turn();
    effort.reset();
  });
  run([&] {
    effort.emplace();
    effort->begin();
    core::ThreadEffort::give_up(turn);
    CHECK_FALSE(effort->is_lowered());
    effort->end();
    core::ThreadEffort::give_up(effort->turn());
    CHECK_FALSE(effort->is_lowered());
    nice = nice_of_thread();
    effort.reset();
  });
  CHECK(nice == usual);
}
