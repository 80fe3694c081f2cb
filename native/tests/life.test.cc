#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "harness.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

void echo_number(PluginUnderTest& code, std::string number) {
  for (const uint32_t execution : {TENON_EXECUTION_POOL, TENON_EXECUTION_INLINE}) {
    code.route(
        TENON_HTTP_GET, execution == TENON_EXECUTION_POOL ? "/pool" : "/inline", execution,
        [number](auto& http, auto*, auto* response) -> tenon_status { return http.set_body(response, bytes(number)); });
  }
}

}  // namespace

TEST_CASE("calls under way end in their generation, later ones land in the next, none is lost") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10000);
  const uint32_t slots[] = {front.slot(plugin, "GET", "/test/pool"), front.slot(plugin, "GET", "/test/inline")};
  std::unique_ptr<PluginUnderTest> code;
  std::shared_ptr<core::Generation> live;
  std::vector<Answer*> answers;
  for (uint64_t number = 1; number <= 40; number++) {
    auto next_code = std::make_unique<PluginUnderTest>();
    echo_number(*next_code, std::to_string(number));
    std::shared_ptr<core::Generation> next = front.bring_up(plugin, *next_code, number);
    REQUIRE(static_cast<bool>(next));
    for (int count = 0; count < (live ? 50 : 0); count++) answers.push_back(&front.send(slots[count % 2], "/test/x"));
    plugin.swap(next->lease());
    for (int count = 0; count < 50; count++) answers.push_back(&front.send(slots[count % 2], "/test/x"));
    if (live) CHECK(front.take_down(live));
    live = std::move(next);
    code = std::move(next_code);
  }
  plugin.swap(nullptr);
  CHECK(front.take_down(live));
  for (const Answer* answer : answers) {
    REQUIRE(answer->outcome == core::Outcome::Response);
    REQUIRE(answer->body == std::to_string(answer->generation));
  }
  CHECK(front.ask(slots[0], "/test/x").refusal == core::Refusal::PluginStopped);
}

TEST_CASE("behind a held gate calls wait in order, and enter the generation that is live when it opens") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest one;
  PluginUnderTest two;
  echo_number(one, "one");
  echo_number(two, "two");
  const auto first = front.bring_up(plugin, one, 1);
  const auto second = front.bring_up(plugin, two, 2);
  plugin.swap(first->lease());
  plugin.hold();
  std::vector<Answer*> answers;
  for (int count = 0; count < 12; count++) {
    answers.push_back(
        &front.send(front.slot(plugin, "GET", count % 2 == 0 ? "/test/pool" : "/test/inline"), "/test/x"));
  }
  CHECK(plugin.waiting() == 10);
  CHECK(answers[10]->refusal == core::Refusal::PluginBusy);
  CHECK(front.perform(first, core::Step::Drain));
  plugin.swap(second->lease());
  for (core::Call* call : plugin.release()) core::resend(*call);
  CHECK(front.until([&] { return front->pending() == 0; }));
  for (int count = 0; count < 10; count++) CHECK(answers[static_cast<size_t>(count)]->body == "two");
  plugin.swap(nullptr);
  CHECK(front.take_down(first));
  CHECK(front.take_down(second));
}

TEST_CASE("a call that waits at the gate past its deadline is answered") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  code.route(
      TENON_HTTP_GET, "/short", TENON_EXECUTION_INLINE, [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; },
      20);
  const auto generation = front.bring_up(plugin, code, 1);
  plugin.swap(generation->lease());
  plugin.hold();
  CHECK(front.ask(front.slot(plugin, "GET", "/test/short"), "/test/short").refusal == core::Refusal::DeadlineExceeded);
  CHECK(plugin.waiting() == 0);
  for (core::Call* call : plugin.release()) core::resend(*call);
  plugin.swap(nullptr);
  CHECK(front.take_down(generation));
}

TEST_CASE("state goes from one generation to the next, and a version it cannot read is refused") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest one;
  PluginUnderTest two;
  one.state = "what was";
  const auto first = front.bring_up(plugin, one, 1);
  const auto second = front.bring_up(plugin, two, 2);
  std::string state;
  CHECK(front.perform(first, core::Step::Save, 1000, &state));
  CHECK(state == "what was");
  CHECK(front.perform(second, core::Step::Load, 1000, &state));
  CHECK(two.state == "what was");
  CHECK(front.take_down(first));
  CHECK(front.take_down(second));
}

TEST_CASE("a step that fails is reported with what the plugin logged, one that hangs with its deadline") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  std::string message;
  std::atomic<bool> leave{false};
  bool hang = false;
  code.on_initialize = [&] {
    while (hang && !leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto* const log = static_cast<const tenon_host_log_t*>(code.host->get_extension(code.host, TENON_LOG_ID));
    log->write(code.host, TENON_LOG_ERROR, bytes("the disk is on fire"), nullptr, 0);
    return TENON_ERROR;
  };
  const auto start = [&](uint64_t number) {
    auto generation = std::make_shared<core::Generation>(
        front.front, plugin, std::make_shared<core::LibrarySource>(code.descriptor()),
        core::GenerationSettings{number, "", "/test", {1000, 1024, 1}});
    CHECK(front.perform(generation, core::Step::Create));
    return generation;
  };
  const auto failing = start(1);
  CHECK_FALSE(front.perform(failing, core::Step::Initialize, 1000, nullptr, &message));
  CHECK(message == "the disk is on fire");
  CHECK(front.take_down(failing));

  hang = true;
  const auto hanging = start(2);
  CHECK_FALSE(front.perform(hanging, core::Step::Initialize, 30, nullptr, &message));
  CHECK(message == "timed out");
  CHECK_FALSE(front.perform(hanging, core::Step::Ready, 1000, nullptr, &message));
  CHECK(message == "its control thread hangs in an earlier step");
  CHECK_FALSE(front.perform(hanging, core::Step::Stop, 30));
  CHECK(hanging->threads_alive() == 1);
  leave = true;
  CHECK(front.perform(hanging, core::Step::Stop, 5000));
  CHECK(hanging->threads_alive() == 0);
  hanging->close();
}

TEST_CASE("routes are read once, after initialize, without being asked for; who hangs in them is given up when asked") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  std::atomic<int> reads{0};
  std::atomic<bool> hang{false};
  code.route(TENON_HTTP_GET, "/a", TENON_EXECUTION_INLINE,
             [](const tenon_host_http_t&, tenon_request_t*, tenon_response_t*) { return TENON_OK; });
  code.on_routes = [&] {
    reads++;
    while (hang) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  const auto start = [&](uint64_t number) {
    auto generation = std::make_shared<core::Generation>(
        front.front, plugin, std::make_shared<core::LibrarySource>(code.descriptor()),
        core::GenerationSettings{number, "", "/test", {1000, 1024, 1}});
    CHECK(front.perform(generation, core::Step::Create));
    CHECK(reads == 0);
    CHECK(front.perform(generation, core::Step::Initialize));
    return generation;
  };
  const auto good = start(1);
  core::Task task;
  task.step = core::Step::Routes;
  CHECK(front.until([&] { return good->perform_at_once(task); }));
  CHECK_FALSE(task.failed);
  CHECK(good->routes().size() == 1);
  CHECK(reads == 1);
  std::string message;
  CHECK_FALSE(front.perform(good, core::Step::Routes, 1000, nullptr, &message));
  CHECK(message == "its routes have been read before");
  CHECK(front.take_down(good));

  reads = 0;
  hang = true;
  const auto hanging = start(2);
  CHECK(front.until([&] { return reads == 1; }));
  CHECK(hanging->threads_lost() == 0);
  CHECK_FALSE(hanging->perform_at_once(task));
  CHECK_FALSE(front.perform(hanging, core::Step::Routes, 30, nullptr, &message));
  CHECK(message == "timed out");
  CHECK(hanging->threads_lost() == 1);
  hang = false;
  CHECK(front.until([&] { return hanging->threads_lost() == 0; }));
  CHECK(front.take_down(hanging));
}

TEST_CASE("a step without a function needs no thread, once there is an instance") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  code.leave_steps_out();
  const auto generation =
      std::make_shared<core::Generation>(front.front, plugin, std::make_shared<core::LibrarySource>(code.descriptor()),
                                         core::GenerationSettings{1, "", "/test", {1000, 1024, 1}});
  const auto at_once = [&](core::Step step) {
    core::Task task;
    task.step = step;
    return generation->perform_at_once(task) && !task.failed;
  };
  CHECK_FALSE(at_once(core::Step::Initialize));
  CHECK(front.perform(generation, core::Step::Create));
  CHECK(at_once(core::Step::Initialize));
  CHECK(front.until([&] { return at_once(core::Step::Routes); }));
  CHECK(at_once(core::Step::Ready));
  CHECK_FALSE(at_once(core::Step::Health));
  CHECK(front.perform(generation, core::Step::Destroy));
  CHECK_FALSE(at_once(core::Step::Ready));
  CHECK(front.perform(generation, core::Step::Stop));
  generation->close();
}

TEST_CASE("log records from many threads arrive whole and in order, or are counted as dropped") {
  core::LogRing ring;
  std::vector<std::thread> writers;
  std::atomic<bool> over{false};
  std::vector<int> last(4, -1);
  size_t arrived = 0;
  const auto read = [&] {
    for (const auto& record : ring.take()) {
      const auto writer = static_cast<size_t>(record->level);
      const int number = std::stoi(record->message);
      CHECK(number > last[writer]);
      CHECK(record->fields.size() == 1);
      last[writer] = number;
      arrived++;
    }
  };
  for (int writer = 0; writer < 4; writer++) {
    writers.emplace_back([&ring, writer] {
      const tenon_log_field_t field = {bytes("key"), bytes("value")};
      for (int number = 0; number < 20000; number++) {
        ring.write({"test", 1, {}}, writer, bytes(std::to_string(number)), &field, 1);
      }
    });
  }
  std::thread reader([&] {
    while (!over) read();
  });
  for (std::thread& writer : writers) writer.join();
  over = true;
  reader.join();
  read();
  CHECK(arrived + ring.take_dropped() == 80000);
}

TEST_CASE("the context that ready is given stays until destroy") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  const auto generation = front.bring_up(plugin, code, 7);
  CHECK(front.perform(generation, core::Step::Health));
  REQUIRE(code.context != nullptr);
  CHECK(core::view(code.context->app_id) == "test");
  CHECK(code.context->generation == 7);
  CHECK(front.take_down(generation));
}

TEST_CASE("a late answer about health costs nothing but that answer") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  std::string message;
  std::atomic<bool> leave{false};
  const auto generation = front.bring_up(plugin, code, 1);
  code.on_health = [&] {
    while (!leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return TENON_OK;
  };
  CHECK_FALSE(front.perform(generation, core::Step::Health, 20, nullptr, &message));
  CHECK(message == "timed out");
  CHECK(generation->threads_lost() == 0);
  // One that waits behind it past its own deadline is never begun.
  std::string state = "never";
  CHECK_FALSE(front.perform(generation, core::Step::Load, 20, &state));
  leave = true;
  CHECK(front.perform(generation, core::Step::Health));
  CHECK(code.state.empty());
  CHECK(front.take_down(generation));
}

TEST_CASE("a thread that was given up in a step is taken back when it returns") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  std::atomic<bool> leave{false};
  code.on_initialize = [&] {
    while (!leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return TENON_OK;
  };
  auto generation =
      std::make_shared<core::Generation>(front.front, plugin, std::make_shared<core::LibrarySource>(code.descriptor()),
                                         core::GenerationSettings{1, "", "/test", {1000, 1024, 1}});
  CHECK(front.perform(generation, core::Step::Create));
  CHECK_FALSE(front.perform(generation, core::Step::Initialize, 20));
  CHECK(generation->threads_lost() == 1);
  leave = true;
  CHECK(front.until([&] { return generation->threads_lost() == 0; }));
  CHECK(front.take_down(generation));
  CHECK(code.destroyed == 1);
}

TEST_CASE("a call that waited at the gate of a hand-over keeps the deadline of its route") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  std::atomic<uint32_t> left{0};
  code.route(
      TENON_HTTP_GET, "/short", TENON_EXECUTION_POOL,
      [&](auto& http, auto* request, auto*) -> tenon_status {
        left = http.time_left_ms(request);
        return TENON_OK;
      },
      5000);
  const auto generation = front.bring_up(plugin, code, 1);
  plugin.hold();
  plugin.swap(nullptr);
  Answer& answer = front.send(front.slot(plugin, "GET", "/test/short"), "/test/short");
  plugin.swap(generation->lease());
  for (core::Call* call : plugin.release()) core::resend(*call);
  CHECK(front.until([&] { return answer.outcome == core::Outcome::Response; }));
  CHECK(left > 0);
  CHECK(left <= 5000);
  plugin.swap(nullptr);
  CHECK(front.take_down(generation));
}

TEST_CASE("a call that waited at the gate under a prefix is not answered by a generation with another one") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest one;
  PluginUnderTest two;
  for (PluginUnderTest* code : {&one, &two}) {
    for (const uint32_t execution : {TENON_EXECUTION_POOL, TENON_EXECUTION_INLINE}) {
      code->route(TENON_HTTP_GET, execution == TENON_EXECUTION_POOL ? "/pool/:id" : "/inline/:id", execution,
                  [](auto& http, auto* request, auto* response) -> tenon_status {
                    tenon_bytes_t value = {nullptr, 0};
                    http.param(request, bytes("id"), &value);
                    return http.set_body(response, value);
                  });
    }
  }
  const auto first = front.bring_up(plugin, one, 1, "");
  const auto second = front.bring_up(plugin, two, 2, "/a/b");
  plugin.swap(first->lease());
  plugin.hold();
  std::vector<Answer*> old_answers;
  std::vector<Answer*> new_answers;
  for (const char* pattern : {"/pool/:id", "/inline/:id"}) {
    old_answers.push_back(&front.send(front.slot(plugin, "GET", pattern), "/pool/7"));
    new_answers.push_back(&front.send(front.slot(plugin, "GET", "/a/b" + std::string(pattern)), "/a/b/pool/8"));
  }
  plugin.swap(second->lease());
  for (core::Call* call : plugin.release()) core::resend(*call);
  CHECK(front.until([&] { return front->pending() == 0; }));
  for (const Answer* answer : old_answers) {
    CHECK(answer->refusal == core::Refusal::RouteGone);
    CHECK(answer->status == 404);
  }
  for (const Answer* answer : new_answers) CHECK(answer->body == "8");
  CHECK(second->counters().calls() == 2);
  plugin.swap(nullptr);
  CHECK(front.take_down(first));
  CHECK(front.take_down(second));
}
