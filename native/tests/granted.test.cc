#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness.h"
#include "permissions.h"
#include "tenon/ext/auth.h"
#include "tenon/ext/events.h"
#include "tenon/ext/hooks.h"

using namespace tenon;
using core::Permit;
using tests::FrontUnderTest;
using tests::PluginUnderTest;

namespace {

core::PermissionLines by_manifest(std::vector<std::string> granted, std::vector<std::string> asked = {}) {
  return {std::move(granted), std::move(asked), true};
}

struct Bench {
  Bench() { plugin.open(1); }

  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("asker");
  core::Permissions permissions{plugin, 1};
};

// One plugin whose inline and pool routes do what the test says.
struct Life {
  Life() {
    plugin.open(1);
    const auto handler = [this](const tenon_host_http_t&, tenon_request_t*, tenon_response_t*) { return act(); };
    code.route(TENON_HTTP_GET, "/inline", TENON_EXECUTION_INLINE, handler);
    code.route(TENON_HTTP_GET, "/pool", TENON_EXECUTION_POOL, handler);
    generation = front.bring_up(plugin, code, 1);
    plugin.swap(generation->lease());
  }
  ~Life() {
    plugin.swap(nullptr);
    front.take_down(generation);
  }

  tenon_status publish() {
    const auto* const events =
        static_cast<const tenon_host_events_t*>(code.host->get_extension(code.host, TENON_EVENTS_ID));
    return events->publish(code.host, tests::bytes("shop.sold"), tests::bytes("{}"));
  }

  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("asker");
  PluginUnderTest code;
  std::function<tenon_status()> act;
  std::shared_ptr<core::Generation> generation;
};

}  // namespace

TEST_CASE("nothing binds whoever was given no permissions") {
  Bench bench;
  CHECK_FALSE(bench.permissions.bound());
  CHECK(bench.permissions.allow(Permit::HttpClient, "example.com:443"));
  bench.permissions.set(by_manifest({}));
  CHECK(bench.permissions.bound());
  CHECK_FALSE(bench.permissions.allow(Permit::HttpClient, "example.com:443"));
  bench.permissions.set(std::nullopt);
  CHECK(bench.permissions.allow(Permit::HttpClient, "example.com:443"));
  CHECK(bench.permissions.denials() == 1);
}

TEST_CASE("a grant allows what its kind says, and nothing of another kind") {
  Bench bench;
  core::Permissions& permissions = bench.permissions;
  permissions.set(by_manifest({"http:client:*.example.com", "http:client:[::1]:8080", "events:publish:shop.*",
                               "tables:write:todo.*", "tables:read:shop.Order", "auth:credentials", "http:client",
                               "hooks:call:", "nonsense:of:mine"}));
  CHECK(permissions.covers(Permit::HttpClient, "api.example.com:443"));
  CHECK(permissions.covers(Permit::HttpClient, "api.example.com:80"));
  CHECK_FALSE(permissions.covers(Permit::HttpClient, "api.example.com:8080"));
  CHECK_FALSE(permissions.covers(Permit::HttpClient, "example.com:443"));
  CHECK_FALSE(permissions.covers(Permit::HttpClient, "badexample.com:443"));
  CHECK(permissions.covers(Permit::HttpClient, "[::1]:8080"));
  CHECK_FALSE(permissions.covers(Permit::HttpClient, "[::1]:443"));
  CHECK(permissions.covers(Permit::EventsPublish, "shop.sold"));
  CHECK_FALSE(permissions.covers(Permit::EventsPublish, "shop"));
  CHECK_FALSE(permissions.covers(Permit::EventsSubscribe, "shop.sold"));
  CHECK(permissions.covers(Permit::TablesRead, "todo.Task"));
  CHECK(permissions.covers(Permit::TablesWrite, "todo.Task"));
  CHECK(permissions.covers(Permit::TablesRead, "shop.Order"));
  CHECK_FALSE(permissions.covers(Permit::TablesWrite, "shop.Order"));
  CHECK_FALSE(permissions.covers(Permit::TablesRead, "todos.Task"));
  CHECK(permissions.covers(Permit::AuthCredentials, ""));
  CHECK_FALSE(permissions.covers(Permit::WriteConfig, ""));
  CHECK_FALSE(permissions.covers(Permit::HooksCall, "shop.render"));
  permissions.set(by_manifest({"http:client:*", "events:subscribe:*"}));
  CHECK(permissions.covers(Permit::HttpClient, "127.0.0.1:1"));
  CHECK(permissions.covers(Permit::EventsSubscribe, "*"));
}

TEST_CASE("the host of a URL is what stands before its port") {
  CHECK(core::host_and_port("http://Example.COM/x:1") == "example.com:80");
  CHECK(core::host_and_port("HTTPS://example.com?x") == "example.com:443");
  CHECK(core::host_and_port("https://example.com:8443#x") == "example.com:8443");
  CHECK(core::host_and_port("http://example.com:/") == "example.com:80");
  CHECK(core::host_and_port("http://example.com:0080/") == "example.com:80");
  CHECK(core::host_and_port("http://[::1]:8080/") == "[::1]:8080");
  CHECK(core::host_and_port("http://[::1]") == "[::1]:80");
  CHECK(core::host_and_port("http://a\\.b/") == "a:80");
  CHECK(core::host_and_port("http://a:b/").empty());
  CHECK(core::host_and_port("http://a:123456/").empty());
}

TEST_CASE("a refusal says what is missing and who can grant it, to the thread it happened on") {
  Bench bench;
  core::Permissions& permissions = bench.permissions;
  permissions.set(by_manifest({}, {"http:client:example.com"}));
  permissions.deny(Permit::HttpClient, "example.com:443");
  const auto first = permissions.denied(0, false);
  CHECK(first.has_value());
  if (!first) return;
  CHECK(first->line == "http:client:example.com");
  CHECK(first->sentence ==
        "asker was not granted \"http:client:example.com\": `tenon permissions asker --grant "
        "http:client:example.com` grants it");
  CHECK_FALSE(permissions.denied(1, false).has_value());
  permissions.deny(Permit::HooksCall, "a\nb\x7f" + std::string(1000, 'x'));
  const auto second = permissions.denied(1, false);
  CHECK(second.has_value());
  if (!second) return;
  CHECK(second->line.substr(0, 16) == "hooks:call:a?b?x");
  CHECK(second->line.size() < 400);
  CHECK(second->sentence.find("its manifest.json does not ask for it") != std::string::npos);
  std::thread([&] {
    CHECK_FALSE(permissions.denied(0, false).has_value());
    CHECK(permissions.denied(1, true).has_value());
    CHECK_FALSE(permissions.denied(2, true).has_value());
  }).join();
  // Another one has refused nothing, wherever it is in memory.
  core::Permissions other(bench.plugin, 2);
  CHECK_FALSE(other.denied(0, false).has_value());
  CHECK(bench.plugin.denied[static_cast<size_t>(Permit::HooksCall)] == 1);
}

TEST_CASE("what is granted can change under those who ask") {
  Bench bench;
  core::Permissions& permissions = bench.permissions;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> asked{0};
  permissions.set(by_manifest({"events:publish:always", "events:publish:a"}));
  std::vector<std::thread> askers;
  for (int index = 0; index < 3; index++) {
    askers.emplace_back([&] {
      while (!done.load(std::memory_order_relaxed)) {
        if (!permissions.covers(Permit::EventsPublish, "always")) wrong++;
        if (permissions.covers(Permit::EventsPublish, "never")) wrong++;
        permissions.allow(Permit::EventsPublish, "a");
        asked++;
      }
    });
  }
  while (asked.load() < 3) std::this_thread::yield();
  for (int turn = 0; turn < 2000; turn++) {
    const bool with = turn % 2 == 0;
    std::vector<std::string> lines = {"events:publish:always"};
    if (with) lines.emplace_back("events:publish:a");
    permissions.set(by_manifest(std::move(lines)));
    CHECK(permissions.covers(Permit::EventsPublish, "a") == with);
  }
  done = true;
  for (std::thread& asker : askers) asker.join();
  CHECK(wrong == 0);
}

TEST_CASE("a handler that fails for want of a permission is refused with it, and only then") {
  Life life;
  life.generation->permit(by_manifest({}, {"events:publish:*"}));
  life.act = [&life] { return life.publish(); };
  for (const char* const path : {"/test/inline", "/test/pool"}) {
    const uint32_t slot = life.front.slot(life.plugin, "GET", path);
    const tests::Answer answer = life.front.ask(slot, path);
    CHECK(answer.refusal == core::Refusal::PermissionDenied);
    CHECK(answer.status == 403);
    CHECK(answer.body.substr(0, 25) == "events:publish:shop.sold\n");
    life.act = [] { return TENON_ERROR_DENIED; };
    CHECK(life.front.ask(slot, path).refusal == core::Refusal::HandlerFailed);
    life.act = [&life] { return life.publish() == TENON_ERROR_DENIED ? TENON_OK : TENON_ERROR; };
    CHECK(life.front.ask(slot, path).outcome == core::Outcome::Response);
    life.act = [&life] { return life.publish(); };
  }
  life.generation->permit(by_manifest({"events:publish:shop.*"}));
  CHECK(life.front.ask(life.front.slot(life.plugin, "GET", "/test/inline"), "/test/inline").refusal ==
        core::Refusal::None);
  CHECK(life.plugin.faults == 2);
}
