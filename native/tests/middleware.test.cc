#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "extension_harness.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

// Three extensions that write down what runs: order 5, 0 and 5 of "a", "b" and "c".
struct Traced {
  Traced() {
    const int32_t orders[] = {5, 0, 5};
    const char* names[] = {"a", "b", "c"};
    for (size_t index = 0; index < 3; index++) {
      const std::string name = names[index];
      ExtensionUnderTest& extension = world.extend(name);
      extension.order = orders[index];
      extension.before = [this, name, &extension](auto* request, auto* response, bool* answered) -> tenon_status {
        trace += " " + name;
        extension.middleware().keep(request, name.front());
        return in_before ? in_before(name, request, response, answered) : TENON_OK;
      };
      extension.after = [this, name, &extension](auto* request, auto* response) {
        trace += " -" + name;
        CHECK(extension.middleware().kept(request) == static_cast<uint64_t>(name.front()));
        statuses.push_back(extension.middleware().status(response));
        if (in_after) in_after(name, response);
      };
    }
    world.handler = [this](auto& http, auto*, auto* response) -> tenon_status {
      trace += " handler";
      return in_handler ? in_handler(http, response) : TENON_OK;
    };
    world.start();
  }
  Answer ask(const std::string& path) {
    trace.clear();
    statuses.clear();
    return world.ask(path);
  }
  const tenon_host_http_t& http() { return *world.code.http; }

  ChainUnderTest world;
  std::string trace;
  std::vector<int32_t> statuses;
  std::function<tenon_status(const std::string&, tenon_request_t*, tenon_response_t*, bool*)> in_before;
  std::function<void(const std::string&, tenon_response_t*)> in_after;
  std::function<tenon_status(const tenon_host_http_t&, tenon_response_t*)> in_handler;
};

constexpr const char* kPaths[] = {"/app/pool", "/app/inline"};

}  // namespace

TEST_CASE("middlewares run by their order around the handler") {
  Traced traced;
  for (const char* path : kPaths) {
    CHECK(traced.ask(path).status == 200);
    CHECK(traced.trace == " b a c handler -c -a -b");
  }
}

TEST_CASE("a middleware sets headers that the handler may replace, and changes the answer afterwards") {
  Traced traced;
  traced.in_before = [&](const std::string& name, auto*, auto* response, auto*) {
    traced.http().set_header(response, bytes("x-" + name), bytes("before"));
    return TENON_OK;
  };
  traced.in_handler = [](auto& http, auto* response) {
    http.set_header(response, bytes("x-a"), bytes("handler"));
    return http.set_body(response, bytes("body"));
  };
  traced.in_after = [&](const std::string& name, auto* response) {
    if (name == "c") traced.http().set_status(response, 201);
  };
  for (const char* path : kPaths) {
    const Answer answer = traced.ask(path);
    CHECK(answer.status == 201);
    CHECK(answer.body == "body");
    CHECK(answer.headers == "x-b\nbefore\nx-c\nbefore\nx-a\nhandler\n");
    CHECK((traced.statuses == std::vector<int32_t>{200, 201, 201}));
  }
}

TEST_CASE("a middleware that answers ends the way in, and those that were through see the answer") {
  Traced traced;
  traced.in_before = [&](const std::string& name, auto*, auto* response, bool* answered) -> tenon_status {
    *answered = name == "a";
    return *answered ? traced.http().set_status(response, 429) : TENON_OK;
  };
  for (const char* path : kPaths) {
    CHECK(traced.ask(path).status == 429);
    CHECK(traced.trace == " b a -a -b");
    CHECK((traced.statuses == std::vector<int32_t>{429, 429}));
  }
}

TEST_CASE("a middleware that fails is named, and is no fault of the plugin") {
  Traced traced;
  traced.in_before = [&](const std::string& name, auto*, auto* response, auto*) -> tenon_status {
    traced.http().fail(response, bytes("no more room"));
    return name == "a" ? TENON_ERROR : TENON_OK;
  };
  for (const char* path : kPaths) {
    const Answer answer = traced.ask(path);
    CHECK(answer.refusal == core::Refusal::ExtensionFailed);
    CHECK(answer.status == 500);
    CHECK(answer.body == "extension a: its middleware failed");
    CHECK(traced.trace == " b a -b");
    CHECK((traced.statuses == std::vector<int32_t>{500}));
  }
  CHECK(traced.world.generation->counters().faults() == 0);
}

TEST_CASE("after runs for a handler that failed, and cannot change that") {
  Traced traced;
  traced.in_handler = [](auto& http, auto* response) -> tenon_status {
    http.fail(response, bytes("the handler's reason"));
    return TENON_ERROR;
  };
  traced.in_after = [&](auto&, auto* response) {
    traced.http().set_status(response, 200);
    traced.http().fail(response, bytes("another"));
  };
  for (const char* path : kPaths) {
    const Answer answer = traced.ask(path);
    CHECK(answer.status == 500);
    CHECK(answer.body == "the handler's reason");
    CHECK((traced.statuses == std::vector<int32_t>{500, 500, 500}));
  }
  CHECK(traced.world.generation->counters().faults() == 2);
}

TEST_CASE("what a middleware does wrong to the response is told in its name") {
  Traced traced;
  traced.in_after = [&](const std::string& name, auto* response) {
    if (name == "a") traced.http().set_header(response, bytes("connection"), bytes("close"));
  };
  for (const char* path : kPaths) {
    const Answer answer = traced.ask(path);
    CHECK(answer.refusal == core::Refusal::ResponseInvalid);
    CHECK(answer.body == "extension a: header \"connection\" is the host's");
  }
}

TEST_CASE("a middleware can neither defer the request nor stream the response") {
  Traced traced;
  std::vector<tenon_status> verdicts;
  const auto attempt = [&](auto* response) {
    verdicts.push_back(traced.http().defer(response));
    verdicts.push_back(traced.http().write(response, bytes("chunk")));
  };
  traced.in_before = [&](auto&, auto*, auto* response, auto*) -> tenon_status { return attempt(response), TENON_OK; };
  traced.in_after = [&](auto&, auto* response) { attempt(response); };
  for (const char* path : kPaths) CHECK(traced.ask(path).status == 200);
  CHECK(verdicts.size() == 24);
  for (const tenon_status verdict : verdicts) CHECK(verdict == TENON_ERROR_STATE);
}

TEST_CASE("after does not run for a deferred answer, and cannot change a stream that has begun") {
  Traced traced;
  std::thread later;
  traced.in_handler = [&](auto& http, auto* response) -> tenon_status {
    CHECK(http.defer(response) == TENON_OK);
    later = std::thread([&http, response] {
      http.set_body(response, bytes("later"));
      http.complete(response, TENON_OK);
    });
    return TENON_OK;
  };
  for (const char* path : kPaths) {
    CHECK(traced.ask(path).body == "later");
    later.join();
    CHECK(traced.trace == " b a c handler");
  }
  traced.in_handler = [](auto& http, auto* response) { return http.write(response, bytes("chunk")); };
  std::vector<tenon_status> verdicts;
  traced.in_after = [&](auto&, auto* response) {
    verdicts.push_back(traced.http().set_status(response, 500));
    verdicts.push_back(traced.http().set_header(response, bytes("x-late"), bytes("yes")));
  };
  const Answer answer = traced.ask("/app/pool");
  CHECK(answer.outcome == core::Outcome::End);
  CHECK(answer.status == 200);
  CHECK(answer.body == "chunk");
  CHECK(verdicts.size() == 6);
  for (const tenon_status verdict : verdicts) CHECK(verdict == TENON_ERROR_STATE);
}

TEST_CASE("memory that a middleware hands over is freed under its own lease") {
  Traced traced;
  static std::atomic<int> freed{0};
  static int64_t leases = 0;
  static core::Lease* lease = nullptr;
  lease = traced.world.extensions[0].generation->lease();
  const auto free_body = [](void*, size_t, void*) {
    freed++;
    leases = lease->count;
  };
  traced.in_before = [&](const std::string& name, auto*, auto* response, bool* answered) -> tenon_status {
    if (name != "a") return TENON_OK;
    *answered = true;
    return traced.http().give_body(response, "given", 5, free_body, nullptr);
  };
  for (const char* path : kPaths) {
    freed = 0;
    CHECK(traced.ask(path).body == "given");
    CHECK(freed == 1);
    CHECK(leases == 1);
    CHECK(lease->count == 0);
  }
}

TEST_CASE("middlewares come and go with their extensions, and do not meet requests that were refused") {
  ChainUnderTest world;
  int ran = 0;
  ExtensionUnderTest& stamp = world.extend("stamp", false);
  stamp.before = [&](auto*, auto*, auto*) -> tenon_status { return ran++, TENON_OK; };
  ExtensionUnderTest& rules = world.extend("rules");
  rules.authorize = [](auto*, auto*, auto*) -> tenon_status { return TENON_ERROR_DENIED; };
  world.start();
  for (const char* path : kPaths) CHECK(world.ask(path).status == 401);
  CHECK(ran == 0);
  world.reload(1, std::make_unique<ExtensionUnderTest>());
  for (const char* path : kPaths) CHECK(world.ask(path).status == 200);
  CHECK(ran == 2);
  world.stop(0);
  for (const char* path : kPaths) CHECK(world.ask(path).status == 200);
  CHECK(ran == 2);
}

TEST_CASE("an inline call that waits for an extension keeps no lease on those before it") {
  ChainUnderTest world;
  int ran = 0;
  world.extend("first").before = [](auto*, auto*, auto*) -> tenon_status { return TENON_ERROR; };
  world.extend("second").before = [](auto*, auto*, auto*) -> tenon_status { return TENON_OK; };
  world.start();
  world.extensions[1].plugin->hold();
  const Answer& answer = world.send("/app/inline");
  CHECK(answer.outcome == core::Outcome::Pending);
  CHECK(world.extensions[0].generation->lease()->count == 0);
  auto successor = std::make_unique<ExtensionUnderTest>();
  successor->before = [&](auto*, auto*, auto*) -> tenon_status { return ran++, TENON_OK; };
  world.reload(0, std::move(successor));
  CHECK(answer.outcome == core::Outcome::Pending);
  world.release(1);
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(answer.status == 200);
  CHECK(ran == 1);
}

TEST_CASE("the time of a step, and its fault, are the extension's") {
  ChainUnderTest world;
  world.extend("slow").before = [](auto*, auto*, auto*) -> tenon_status {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return TENON_OK;
  };
  world.start();
  CHECK(world.ask("/app/pool").status == 200);
  const core::StepCounters& steps = world.extensions[0].plugin->steps;
  CHECK(world.generation->counters().samples() == 1);
  CHECK(world.generation->counters().quantile(1) < static_cast<double>(steps.nanoseconds) / 2);
  CHECK(steps.runs == 1);
  CHECK(steps.faults == 0);
  auto failing = std::make_unique<ExtensionUnderTest>();
  failing->before = [](auto*, auto*, auto*) -> tenon_status { return TENON_ERROR; };
  world.reload(0, std::move(failing));
  CHECK(world.ask("/app/inline").status == 500);
  CHECK(steps.faults == 1);
  const std::string text = world.front->metrics_text(core::Exposition::Prometheus);
  CHECK(text.find("\ntenon_extension_steps_total{plugin=\"slow\"} 2\n") != std::string::npos);
  CHECK(text.find("\ntenon_extension_faults_total{plugin=\"slow\"} 1\n") != std::string::npos);
  CHECK(text.find("\ntenon_extension_seconds_total{plugin=\"slow\"} ") != std::string::npos);
  CHECK(text.find("tenon_extension_steps_total{plugin=\"app\"}") == std::string::npos);
}

TEST_CASE("a step that fails once its deadline has passed is one fault of its extension") {
  ChainUnderTest world;
  world.extend("first").before = [&](auto* request, auto*, auto*) -> tenon_status {
    while (!core::call_of(request).expired()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return TENON_ERROR;
  };
  const auto fine = [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; };
  world.code.route(TENON_HTTP_GET, "/late", TENON_EXECUTION_POOL, fine, 500);
  world.start();
  CHECK(world.ask("/app/late").refusal == core::Refusal::DeadlineExceeded);
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(world.extensions[0].plugin->steps.faults == 1);
  CHECK(world.extensions[0].generation->visits().faults == 1);
  CHECK(world.generation->counters().faults() == 0);
}

TEST_CASE("a deadline that the handler has missed is the plugin's, whatever runs after it") {
  ChainUnderTest world;
  std::atomic<bool> after{false};
  std::atomic<bool> answered{false};
  world.extend("first").after = [&](auto*, auto*) {
    after = true;
    while (!answered) std::this_thread::yield();
  };
  const auto wait = [](auto& http, auto* request, auto*) -> tenon_status {
    while (!http.cancelled(request)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return TENON_OK;
  };
  world.code.route(TENON_HTTP_GET, "/late", TENON_EXECUTION_POOL, wait, 50);
  world.start();
  const Answer& late = world.send("/app/late");
  while (!after) std::this_thread::yield();
  CHECK(world.front.until([&] { return late.outcome == core::Outcome::Refused; }));
  answered = true;
  CHECK(late.body == "app did not answer GET /app/late within 50 ms");
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(world.generation->counters().faults() == 1);
  CHECK(world.extensions[0].plugin->steps.faults == 0);
}

TEST_CASE("a deadline that extensions have used up is no fault of the plugin, and says whose it is") {
  ChainUnderTest world;
  // More than half of it, and so that the handler begins in time on a busy machine, too.
  world.extend("first").before = [](auto*, auto*, auto*) -> tenon_status {
    std::this_thread::sleep_for(std::chrono::milliseconds(1600));
    return TENON_OK;
  };
  world.extend("second");
  const auto wait = [](auto& http, auto* request, auto*) -> tenon_status {
    while (!http.cancelled(request)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return TENON_OK;
  };
  world.code.route(TENON_HTTP_GET, "/late", TENON_EXECUTION_POOL, wait, 3000);
  world.code.route(TENON_HTTP_GET, "/soon", TENON_EXECUTION_INLINE, wait, 50);
  world.start();
  const Answer late = world.ask("/app/late");
  CHECK(late.refusal == core::Refusal::DeadlineExceeded);
  CHECK(late.body.find("app did not answer GET /app/late within 3000 ms: its extensions took ") == 0);
  world.extensions[1].plugin->hold();
  const Answer soon = world.ask("/app/soon");
  CHECK(soon.refusal == core::Refusal::DeadlineExceeded);
  CHECK(soon.body == "app did not answer GET /app/soon within 50 ms: it waits for the extension second to be replaced");
  world.release(1);
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(world.generation->counters().faults() == 0);
}
