#include "pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "harness.h"
#include "instance_source.h"
#include "thread_faults.h"
#include "thread_starter.h"

#if defined(__linux__)

using namespace tenon;
using namespace tenon::tests;

namespace {

// Begins calls without a thread of the host, where it does not refuse to.
class Elsewhere final : public core::InstanceSource {
 public:
  explicit Elsewhere(PluginUnderTest& code) : library_(code.descriptor()) {}
  tenon_status create(const tenon_host_t& host, tenon_plugin_t*& plugin) override {
    return library_.create(host, plugin);
  }
  bool is_isolated() const override { return true; }
  Start begin(core::Call& call, bool, tenon_status&) override {
    if (refuses) return Start::Refused;
    begun_.push_back(&call);
    return Start::Begun;
  }
  tenon_status go_on(core::Call& call) override {
    call.response.set_body("on a thread");
    return TENON_OK;
  }
  void give_up(core::Call&) override { given_up++; }

  bool has_begun() const { return !begun_.empty(); }
  core::Call* take() {
    if (begun_.empty()) return nullptr;
    core::Call* const call = begun_.front();
    begun_.pop_front();
    return call;
  }
  static void answer(core::Call* call) {
    REQUIRE(call != nullptr);
    call->response.set_body("elsewhere");
    core::end_begun(*call, TENON_OK);
  }

  std::atomic<bool> refuses{false};
  std::atomic<int> given_up{0};

 private:
  core::LibrarySource library_;
  std::deque<core::Call*> begun_;  // of the test's thread
};

// A plugin of at most two threads.
struct World {
  explicit World(uint32_t queue_limit = 100, bool isolated = false) : plugin(front->plugin("test")) {
    // What the process has one of is there before threads are held.
    REQUIRE(core::ThreadStarter::instance().begin());
    plugin.open(queue_limit);
    code.max_concurrency = 2;
    code.route(TENON_HTTP_GET, "/", TENON_EXECUTION_POOL, [this](const auto& http, auto*, auto* response) {
      std::unique_lock<std::mutex> lock(mutex);
      began++;
      changed.wait(lock, [this] { return !closed; });
      return http.set_body(response, bytes("on the pool"));
    });
    code.route(
        TENON_HTTP_GET, "/soon", TENON_EXECUTION_POOL, [](const auto&, auto*, auto*) { return TENON_OK; }, 30);
    if (isolated) elsewhere = std::make_shared<Elsewhere>(code);
    generation = front.bring_up(plugin, code, 1, "/test", elsewhere);
    REQUIRE(static_cast<bool>(generation));
    plugin.swap(generation->lease());
    slot = front.slot(plugin, "GET", "/test");
  }
  ~World() {
    plugin.swap(nullptr);
    if (!is_down) CHECK(front.take_down(generation));
    CHECK(front->pending() == 0);
  }
  Answer& send() { return front.send(slot, "/test"); }
  bool gets(const Answer& answer, const std::string& body) {
    return front.until([&] { return answer.outcome != core::Outcome::Pending; }) && answer.body == body;
  }
  bool is_refused(const Answer& answer) {
    return front.until([&] { return answer.outcome != core::Outcome::Pending; }) && answer.status == 503 &&
           answer.refusal == core::Refusal::PluginUnresponsive && answer.body == "no thread could be started for test";
  }
  bool has_threads(uint32_t count) {
    return front.until([&] { return generation->pool().alive() == count; });
  }
  void close_door(bool is_closed) {
    const std::lock_guard<std::mutex> lock(mutex);
    closed = is_closed;
    changed.notify_all();
  }

  FrontUnderTest front;
  core::Plugin& plugin;
  PluginUnderTest code;
  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;
  std::atomic<int> began{0};
  std::shared_ptr<Elsewhere> elsewhere;
  std::shared_ptr<core::Generation> generation;
  uint32_t slot = 0;
  bool is_down = false;
};

}  // namespace

TEST_CASE("the thread of a front makes no threads of a pool, and does not wait for them") {
  World world;
  HeldThreads held;
  const Answer& first = world.send();
  const Answer& second = world.send();
  CHECK(held.made_here() == 0);
  CHECK(world.generation->pool().alive() == 2);
  CHECK(world.front.until([&] { return held.waiting() == 1; }));
  CHECK(world.began == 0);
  held.release();
  CHECK(world.gets(first, "on the pool"));
  CHECK(world.gets(second, "on the pool"));
}

TEST_CASE("as many calls as may run are taken while their threads are made, also where none may wait") {
  World world(0);
  HeldThreads held;
  const Answer& first = world.send();
  const Answer& second = world.send();
  CHECK(second.refusal == core::Refusal::None);
  CHECK(world.send().refusal == core::Refusal::PluginBusy);
  held.release();
  CHECK(world.gets(first, "on the pool"));
  CHECK(world.gets(second, "on the pool"));
}

TEST_CASE("calls are refused when no thread can be made for them, and served when one can again") {
  World world;
  {
    const NoThreads none;
    const Answer& first = world.send();
    const Answer& second = world.send();
    CHECK(world.is_refused(first));
    CHECK(world.is_refused(second));
    CHECK(world.generation->pool().queued() == 0);
    CHECK(world.has_threads(0));
  }
  CHECK(world.gets(world.send(), "on the pool"));
}

TEST_CASE("a call whose thread could not be made is taken by another thread of the pool") {
  World world;
  world.close_door(true);
  const Answer& first = world.send();
  CHECK(world.front.until([&] { return world.began == 1; }));
  HeldThreads held;
  const Answer& second = world.send();
  CHECK(world.front.until([&] { return held.waiting() == 1; }));
  held.refuse();
  CHECK(world.has_threads(1));
  world.close_door(false);
  CHECK(world.gets(first, "on the pool"));
  CHECK(world.gets(second, "on the pool"));
}

TEST_CASE("an idle thread takes what waited for one that could not be made, also while calls run elsewhere") {
  World world(100, true);
  world.elsewhere->refuses = true;
  world.close_door(true);
  const Answer& first = world.send();
  CHECK(world.front.until([&] { return world.began == 1; }));
  HeldThreads held;
  const Answer& second = world.send();
  CHECK(world.front.until([&] { return held.waiting() == 1; }));
  world.close_door(false);
  CHECK(world.gets(first, "on the pool"));
  CHECK(world.gets(second, "on the pool"));
  // One runs elsewhere, one thread is being made: that is as many as may.
  world.elsewhere->refuses = false;
  Answer* elsewhere = &world.send();
  // The thread that is there may not have come to rest.
  while (!world.elsewhere->has_begun()) {
    REQUIRE(world.gets(*elsewhere, "on the pool"));
    elsewhere = &world.send();
  }
  const Answer& third = world.send();
  CHECK(world.generation->pool().queued() == 1);
  held.refuse();
  CHECK(world.gets(third, "on the pool"));
  Elsewhere::answer(world.elsewhere->take());
  CHECK(world.gets(*elsewhere, "elsewhere"));
}

TEST_CASE("a call whose thread could not be made begins elsewhere when another one is over there") {
  World world(100, true);
  const Answer& first = world.send();
  world.elsewhere->refuses = true;
  const NoThreads none;
  const Answer& second = world.send();
  CHECK(world.has_threads(0));
  world.elsewhere->refuses = false;
  Elsewhere::answer(world.elsewhere->take());
  CHECK(world.gets(first, "elsewhere"));
  Elsewhere::answer(world.elsewhere->take());
  CHECK(world.gets(second, "elsewhere"));
}

TEST_CASE("a call that is to go on without a thread is tried again with each that is over, and refused with the last") {
  World world(100, true);
  const Answer& first = world.send();
  const Answer& second = world.send();
  core::Call* const goes_on = world.elsewhere->take();
  {
    const NoThreads none;
    core::go_on_begun(*goes_on);
    CHECK(world.has_threads(0));
    CHECK(first.outcome == core::Outcome::Pending);
    SUBCASE("the last") {
      Elsewhere::answer(world.elsewhere->take());
      CHECK(world.is_refused(first));
      CHECK(world.elsewhere->given_up == 1);
    }
  }
  if (core::Call* const other = world.elsewhere->take()) {
    Elsewhere::answer(other);
    CHECK(world.gets(first, "on a thread"));
    CHECK(world.elsewhere->given_up == 0);
  }
  CHECK(world.gets(second, "elsewhere"));
}

TEST_CASE("a pool ends when the thread that is being made is over or cannot be made, and no more are made then") {
  World world;
  HeldThreads held;
  const uint32_t soon = world.front.slot(world.plugin, "GET", "/test/soon");
  const Answer& late = world.front.send(soon, "/test/soon");
  const Answer& later = world.front.send(soon, "/test/soon");
  CHECK(world.front.until([&] { return late.status == 504 && later.status == 504; }));
  CHECK(world.front.until([&] { return world.front->pending() == 0 && held.waiting() == 1; }));
  world.plugin.swap(nullptr);
  for (const core::Step step : {core::Step::Drain, core::Step::Shutdown, core::Step::Destroy}) {
    CHECK(world.front.perform(world.generation, step));
  }
  CHECK_FALSE(world.front.perform(world.generation, core::Step::Stop, 50));
  CHECK(world.has_threads(2));
  int made = 0;
  SUBCASE("made") {
    held.release();
    made = 1;
  }
  SUBCASE("refused") { held.refuse(); }
  CHECK(world.front.perform(world.generation, core::Step::Stop));
  // The other one was not made for nothing.
  CHECK(held.made_elsewhere() == made);
  CHECK(world.generation->threads_alive() == 0);
  world.generation->close();
  world.is_down = true;
}

#endif
