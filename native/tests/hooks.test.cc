#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "extension_harness.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

struct Result {
  tenon_status status = TENON_OK;
  std::string bytes;
  std::string message;
  int writes = 0;
};

Result run_chain(const tenon_host_t* host, std::string_view name, uint32_t version, std::string_view input) {
  Result result;
  const tenon_hook_output_t output = {sizeof(tenon_hook_output_t), &result,
                                      [](const tenon_hook_output_t* self, tenon_bytes_t given) -> tenon_status {
                                        static_cast<Result*>(self->data)->bytes.append(core::view(given));
                                        static_cast<Result*>(self->data)->writes++;
                                        return TENON_OK;
                                      },
                                      [](const tenon_hook_output_t* self, tenon_bytes_t message) {
                                        static_cast<Result*>(self->data)->message = core::view(message);
                                      }};
  const auto* const hooks = static_cast<const tenon_host_hooks_t*>(host->get_extension(host, TENON_HOOKS_ID));
  result.status = hooks->run(host, bytes(name), version, bytes(input), &output);
  return result;
}

// What its handler got of the chain "text" of version 1 with the query as input.
struct Hooked {
  ExtensionUnderTest& extend(const std::string& id, int32_t order, std::string suffix, bool required = true) {
    ExtensionUnderTest& extension = world.extend(id, required);
    extension.hook("text", 1, order);
    extension.call_hook = [suffix](auto, std::string_view given, const tenon_hook_output_t* output) {
      CHECK(output->write(output, bytes(given)) == TENON_OK);
      return output->write(output, bytes(suffix));
    };
    return extension;
  }
  void start() {
    world.handler = [this](auto& http, auto*, auto*) -> tenon_status {
      static_cast<void>(http);
      result = run_chain(world.code.host, name, version, input);
      return TENON_OK;
    };
    world.start();
  }
  const Result& run(const std::string& path) {
    CHECK(world.ask(path).status == 200);
    return result;
  }

  ChainUnderTest world;
  std::string name = "text";
  uint32_t version = 1;
  std::string input = "in";
  Result result;
};

constexpr const char* kPaths[] = {"/app/pool", "/app/inline"};

}  // namespace

TEST_CASE("a chain of hooks gives each what the one before gave, by their order") {
  Hooked hooked;
  hooked.extend("late", 7, "-late");
  hooked.extend("early", -7, "-early");
  hooked.extend("later", 7, "-later");
  hooked.start();
  for (const char* path : kPaths) {
    hooked.version = 1;
    CHECK(hooked.run(path).bytes == "in-early-late-later");
    CHECK(hooked.result.status == TENON_OK);
    CHECK(hooked.result.writes == 1);
    // Nobody has a hook of that version.
    hooked.version = 2;
    CHECK(hooked.run(path).bytes == "in");
    CHECK(hooked.result.writes == 1);
  }
}

TEST_CASE("a hook that has nothing to say leaves the bytes, one that fails ends the chain in its name") {
  Hooked hooked;
  tenon_status answer = TENON_ERROR_NOT_FOUND;
  hooked.extend("odd", 0, "").call_hook = [&](auto, auto, const tenon_hook_output_t* output) -> tenon_status {
    output->write(output, bytes("never seen"));
    output->fail(output, bytes("the reason"));
    return answer;
  };
  hooked.extend("other", 1, "-other");
  hooked.start();
  for (const char* path : kPaths) {
    answer = TENON_ERROR_NOT_FOUND;
    CHECK(hooked.run(path).bytes == "in-other");
    answer = TENON_ERROR;
    CHECK(hooked.run(path).status == TENON_ERROR);
    CHECK(hooked.result.bytes.empty());
    CHECK(hooked.result.message == "hook text of extension odd: the reason");
    answer = TENON_ERROR_STORAGE;
    CHECK(hooked.run(path).status == TENON_ERROR);
    CHECK(hooked.result.bytes.empty());
    CHECK(hooked.result.message == "hook text of extension odd: it failed");
  }
}

TEST_CASE("what goes in and what comes out of a hook is bounded") {
  Hooked hooked;
  std::vector<tenon_status> verdicts;
  const std::string large(TENON_HOOK_BYTES, 'x');
  hooked.extend("large", 0, "").call_hook = [&](auto, auto, const tenon_hook_output_t* output) -> tenon_status {
    verdicts.push_back(output->write(output, {nullptr, 1}));
    verdicts.push_back(output->write(output, bytes(large)));
    verdicts.push_back(output->write(output, bytes("x")));
    return TENON_OK;
  };
  hooked.start();
  CHECK(hooked.run("/app/pool").status == TENON_ERROR);
  CHECK(hooked.result.message == "hook text of extension large: it gave more than 16 MiB");
  CHECK((verdicts == std::vector<tenon_status>{TENON_ERROR_ARGUMENT, TENON_OK, TENON_ERROR_TOO_LARGE}));
  hooked.input = large + "x";
  CHECK(hooked.run("/app/pool").status == TENON_ERROR_TOO_LARGE);
}

TEST_CASE("chains within chains are eight deep at most") {
  Hooked hooked;
  int depth = 0;
  tenon_status deepest = TENON_OK;
  hooked.extend("self", 0, "").call_hook = [&](auto, std::string_view input, const tenon_hook_output_t*) {
    depth++;
    const Result inner = run_chain(hooked.world.code.host, "text", 1, input);
    if (inner.status == TENON_ERROR_TOO_LARGE) deepest = inner.status;
    return static_cast<tenon_status>(TENON_ERROR_NOT_FOUND);
  };
  hooked.start();
  CHECK(hooked.run("/app/pool").status == TENON_OK);
  CHECK(depth == 8);
  CHECK(deepest == TENON_ERROR_TOO_LARGE);
}

TEST_CASE("a chain whose extension does not run can be tried again, unless it is not required") {
  for (const bool required : {true, false}) {
    Hooked hooked;
    hooked.extend("one", 0, "-one", required);
    hooked.extend("two", 0, "-two");
    hooked.start();
    hooked.world.stop(0);
    const Result result = run_chain(hooked.world.code.host, "text", 1, "in");
    CHECK(result.status == (required ? TENON_ERROR_AGAIN : TENON_OK));
    CHECK(result.bytes == (required ? "" : "in-two"));
  }
}

TEST_CASE("a chain waits on a pool thread while an extension hands over, and does not on the front's") {
  Hooked hooked;
  hooked.extend("one", 0, "-one");
  hooked.start();
  hooked.world.extensions[0].plugin->hold();
  CHECK(run_chain(hooked.world.code.host, "text", 1, "in").status == TENON_ERROR_AGAIN);
  Answer& answer = hooked.world.send("/app/pool");
  auto successor = std::make_unique<ExtensionUnderTest>();
  successor->hook("another", 1, 0);
  successor->hook("text", 1, 0);
  successor->call_hook = [](uint32_t index, auto, const tenon_hook_output_t* output) {
    return output->write(output, bytes(std::to_string(index)));
  };
  hooked.world.reload(0, std::move(successor));
  CHECK(answer.outcome == core::Outcome::Pending);
  hooked.world.release(0);
  CHECK(hooked.world.front.until([&] { return hooked.world.front->pending() == 0; }));
  CHECK(hooked.result.bytes == "1");
}

TEST_CASE("a deadline that has passed before a hook runs is the plugin's") {
  Hooked hooked;
  ChainUnderTest& world = hooked.world;
  std::atomic<bool> inside{false};
  std::atomic<bool> answered{false};
  hooked.extend("one", 0, "").call_hook = [&](auto, auto, const tenon_hook_output_t*) -> tenon_status {
    inside = true;
    while (!answered) std::this_thread::yield();
    return TENON_OK;
  };
  const auto late = [&](auto& http, auto* request, auto*) -> tenon_status {
    while (!http.cancelled(request)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    run_chain(world.code.host, "text", 1, "in");
    return TENON_OK;
  };
  world.code.route(TENON_HTTP_GET, "/late", TENON_EXECUTION_POOL, late, 50);
  hooked.start();
  const Answer& answer = world.send("/app/late");
  while (!inside) std::this_thread::yield();
  CHECK(world.front.until([&] { return answer.outcome == core::Outcome::Refused; }));
  answered = true;
  CHECK(answer.body == "app did not answer GET /app/late within 50 ms");
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(world.generation->counters().faults() == 1);
  CHECK(world.extensions[0].plugin->steps.faults == 0);
}

TEST_CASE("a deadline that passes while a chain waits for an extension is no fault of the plugin") {
  Hooked hooked;
  ChainUnderTest& world = hooked.world;
  hooked.extend("one", 0, "-one");
  std::atomic<bool> inside{false};
  std::atomic<bool> held{false};
  const auto wait = [&](auto&, auto*, auto*) -> tenon_status {
    inside = true;
    while (!held) std::this_thread::yield();
    run_chain(world.code.host, "text", 1, "in");
    return TENON_OK;
  };
  world.code.route(TENON_HTTP_GET, "/late", TENON_EXECUTION_POOL, wait, 500);
  hooked.start();
  const Answer& late = world.send("/app/late");
  while (!inside) std::this_thread::yield();
  world.extensions[0].plugin->hold();
  held = true;
  CHECK(world.front.until([&] { return late.outcome == core::Outcome::Refused; }));
  CHECK(late.refusal == core::Refusal::DeadlineExceeded);
  CHECK(late.body == "app did not answer GET /app/late within 500 ms: it is in the extension one");
  world.release(0);
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(world.generation->counters().faults() == 0);
}

TEST_CASE("a plugin is told which route serves a path now") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("shop");
  plugin.open(10);
  const auto fine = [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; };
  PluginUnderTest one;
  for (const char* pattern : {"/", "/items/:id", "/items/new", "/files/*"}) {
    one.route(TENON_HTTP_GET, pattern, TENON_EXECUTION_INLINE, fine);
  }
  one.route(TENON_HTTP_POST, "/items/:id", TENON_EXECUTION_INLINE, fine);
  PluginUnderTest two;
  two.route(TENON_HTTP_GET, "/items/:id", TENON_EXECUTION_INLINE, fine);
  const auto first = front.bring_up(plugin, one, 1, "/shop");
  const auto find = [&](tenon_http_method method, const char* path) -> std::string {
    tenon_bytes_t id = {};
    tenon_bytes_t pattern = {};
    if (!one.http->find_route(one.host, method, bytes(path), &id, &pattern)) return "none";
    return std::string(core::view(id)) + " " + std::string(core::view(pattern));
  };
  CHECK(find(TENON_HTTP_GET, "/shop") == "none");
  plugin.swap(first->lease());
  CHECK(find(TENON_HTTP_GET, "/shop") == "shop /shop");
  CHECK(find(TENON_HTTP_HEAD, "/shop/items/7") == "shop /shop/items/:id");
  CHECK(find(TENON_HTTP_GET, "/shop/items/%6eew") == "shop /shop/items/new");
  CHECK(find(TENON_HTTP_POST, "/shop/items/new") == "shop /shop/items/:id");
  CHECK(find(TENON_HTTP_GET, "/shop/files/a/b") == "shop /shop/files/*");
  CHECK(find(TENON_HTTP_GET, "/shop/items") == "none");
  CHECK(find(TENON_HTTP_GET, "/shop/items/7/8") == "none");
  CHECK(find(TENON_HTTP_DELETE, "/shop/items/7") == "none");
  CHECK(find(TENON_HTTP_GET, "shop") == "none");
  const auto second = front.bring_up(plugin, two, 2, "/shop");
  plugin.swap(second->lease());
  CHECK(find(TENON_HTTP_GET, "/shop/items/new") == "shop /shop/items/:id");
  CHECK(find(TENON_HTTP_GET, "/shop") == "none");
  plugin.swap(nullptr);
  CHECK(find(TENON_HTTP_GET, "/shop/items/new") == "none");
  CHECK(front.take_down(first));
  CHECK(front.take_down(second));
}
