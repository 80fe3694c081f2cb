#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "decisions.h"
#include "extension_harness.h"
#include "siphash.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

constexpr std::array<const char*, 2> kRoutes = {"/app/pool", "/app/inline"};

// Somebody for "Who NAME"; wrong for "Who nobody".
void offer_names(ExtensionUnderTest& extension, uint32_t cache_ms = 0, std::atomic<int>* asked = nullptr) {
  extension.provider("Who", "authorization", "Who realm=\"test\"");
  extension.authenticate = [cache_ms, asked](uint32_t, auto*, std::string_view credential,
                                             const tenon_auth_answer_t* answer) -> tenon_status {
    if (asked != nullptr) (*asked)++;
    if (credential == "nobody") {
      answer->refuse(answer, bytes("there is no nobody"), 0);
      return TENON_ERROR_DENIED;
    }
    if (credential == "often") {
      answer->refuse(answer, bytes("too often"), 17);
      return TENON_ERROR_AGAIN;
    }
    if (credential == "broken") return TENON_ERROR_STORAGE;
    return accept_name(credential, answer, cache_ms);
  };
}

std::string who(const char* name) { return std::string("Authorization\nwho ") + name + "\n"; }

// The handler answers with the subject and roles of whoever asks.
void tell_identity(ChainUnderTest& world) {
  world.handler = [&world](auto& http, auto* request, auto* response) -> tenon_status {
    const auto* const auth =
        static_cast<const tenon_host_auth_t*>(world.code.host->get_extension(world.code.host, TENON_AUTH_ID));
    tenon_identity_t identity = {};
    std::string text = "nobody";
    if (auth->identity(request, &identity)) {
      text = std::string(core::view(identity.subject)) + " by " + std::string(core::view(identity.extension));
      for (uint32_t index = 0; index < identity.role_count; index++) {
        text += " " + std::string(core::view(identity.roles[index]));
      }
    }
    return http.set_body(response, bytes(text));
  };
}

}  // namespace

TEST_CASE("SipHash is that of its authors") {
  // From vectors.h of the reference implementation: key 00…0f, no input, and 00 01 … 0e.
  const core::Hash128 key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
  CHECK((core::siphash(key, "") == core::Hash128{0xe6a825ba047f81a3u, 0x930255c71472f66du}));
  std::string text;
  for (char c = 0; c < 15; c++) text.push_back(c);
  CHECK((core::siphash(key, text) == core::Hash128{0x11a8b03399e99354u, 0x1c3f5db8a5a2a4f8u}) == false);
  CHECK((core::siphash(key, text) == core::siphash(key, text)));
}

TEST_CASE("the handler learns who asks") {
  ChainUnderTest world;
  offer_names(world.extend("names"));
  tell_identity(world);
  world.start();
  for (const char* route : kRoutes) {
    CHECK(world.ask(route).body == "nobody");
    CHECK(world.ask(route, who("ann")).body == "ann by names user");
    CHECK(world.ask(route, "Authorization\nWhose ann\n").body == "nobody");
  }
}

TEST_CASE("a wrong credential ends the request where none was needed, with every challenge") {
  ChainUnderTest world;
  offer_names(world.extend("names"));
  ExtensionUnderTest& keys = world.extend("keys");
  keys.provider("Key", "x-key", "Key realm=\"other\"");
  keys.authenticate = [](auto, auto*, auto, auto*) -> tenon_status { return TENON_ERROR_NOT_FOUND; };
  world.start();
  for (const char* route : kRoutes) {
    const Answer answer = world.ask(route, who("nobody"));
    CHECK(answer.outcome == core::Outcome::Refused);
    CHECK(answer.status == 401);
    CHECK(answer.refusal == core::Refusal::Unauthenticated);
    CHECK(answer.body == "there is no nobody");
    CHECK(answer.headers == "www-authenticate\nWho realm=\"test\"\nwww-authenticate\nKey realm=\"other\"\n");
    const Answer often = world.ask(route, who("often"));
    CHECK(often.status == 429);
    CHECK(often.refusal == core::Refusal::TooManyAttempts);
    CHECK(often.headers == "retry-after\n17\n");
    const Answer broken = world.ask(route, who("broken"));
    CHECK(broken.status == 503);
    CHECK(broken.refusal == core::Refusal::ExtensionFailed);
    CHECK(broken.body == "extension names: it could not say whose the credential is");
    CHECK(world.ask(route, "x-key\nanything\n").status == 200);
  }
  CHECK(world.generation->counters().faults() == 0);
}

TEST_CASE("a route asks for somebody, or for one of its roles") {
  ChainUnderTest world;
  ExtensionUnderTest& names = world.extend("names");
  offer_names(names);
  names.resolve_roles = [](const tenon_identity_t* identity, const tenon_auth_answer_t* answer) -> tenon_status {
    if (core::view(identity->subject) == "root") answer->add_role(answer, bytes("admin"));
    return TENON_OK;
  };
  const auto fine = [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; };
  world.code.route(TENON_HTTP_GET, "/open", TENON_EXECUTION_INLINE, fine, 0, TENON_AUTH_OPEN);
  world.code.route(TENON_HTTP_GET, "/known", TENON_EXECUTION_INLINE, fine, 0, TENON_AUTH_IDENTITY);
  world.code.route(TENON_HTTP_GET, "/admin", TENON_EXECUTION_POOL, fine, 0, TENON_AUTH_ROLES, "owner,admin");
  world.start(true);
  CHECK(world.ask("/app/open").status == 200);
  CHECK(world.ask("/app/known").status == 401);
  CHECK(world.ask("/app/inline").body == "GET /app/inline needs somebody who is known");
  CHECK(world.ask("/app/known", who("ann")).status == 200);
  CHECK(world.ask("/app/admin").status == 401);
  const Answer forbidden = world.ask("/app/admin", who("ann"));
  CHECK(forbidden.status == 403);
  CHECK(forbidden.refusal == core::Refusal::Forbidden);
  CHECK(forbidden.body == "GET /app/admin is for owner, admin");
  CHECK(world.ask("/app/admin", who("root")).status == 200);
}

TEST_CASE("a route that needs somebody is shut where no extension is listed") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("app");
  plugin.open(10);
  PluginUnderTest code;
  code.route(
      TENON_HTTP_GET, "/known", TENON_EXECUTION_INLINE, [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; }, 0,
      TENON_AUTH_IDENTITY);
  const auto generation = front.bring_up(plugin, code, 1, "/app");
  plugin.swap(generation->lease());
  CHECK(front.ask(front.slot(plugin, "GET", "/app/known"), "/app/known").status == 401);
  plugin.swap(nullptr);
  CHECK(front.take_down(generation));
}

TEST_CASE("a question ahead of a body is told of when it is refused, and not when it may go on") {
  ChainUnderTest world;
  offer_names(world.extend("who"));
  world.code.max_concurrency = 1;
  std::atomic<bool> free{false};
  const auto wait = [&](auto&, auto*, auto*) -> tenon_status {
    while (!free) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return TENON_OK;
  };
  world.code.route(TENON_HTTP_GET, "/slow", TENON_EXECUTION_POOL, wait);
  world.code.route(TENON_HTTP_GET, "/known", TENON_EXECUTION_POOL, wait, 500, TENON_AUTH_IDENTITY);
  world.start();
  std::mutex mutex;
  std::vector<int32_t> statuses;
  PluginUnderTest listener;
  listener.on_ready = [&listener] {
    const auto* const events =
        static_cast<const tenon_host_events_t*>(listener.host->get_extension(listener.host, TENON_EVENTS_ID));
    CHECK(events->subscribe(listener.host, bytes("tenon.request")) == TENON_OK);
  };
  listener.on_event = [&](const tenon_event_t* events, size_t count, uint64_t) {
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t index = 0; index < count; index++) statuses.push_back(events[index].status);
  };
  core::Plugin& other = world.front->plugin("listener");
  other.open(10);
  const auto generation = world.front.bring_up(other, listener, 1, "/listener");
  other.swap(generation->lease());
  world.front.asks_only = true;
  CHECK(world.ask("/app/known").status == 401);
  CHECK(world.ask("/app/known", who("me")).status == 100);
  CHECK(world.generation->counters().faults() == 0);
  world.front.asks_only = false;
  const Answer& slow = world.send("/app/slow");
  world.front.asks_only = true;
  CHECK(world.ask("/app/known", who("me")).refusal == core::Refusal::DeadlineExceeded);
  free = true;
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(slow.status == 200);
  CHECK(world.front.until([&] {
    const std::lock_guard<std::mutex> lock(mutex);
    return statuses.size() == 3;
  }));
  CHECK(statuses == std::vector<int32_t>{401, 504, 200});
  CHECK(world.generation->counters().faults() == 1);
  CHECK(world.generation->counters().calls() == 2);
  other.swap(nullptr);
  generation->retire();
  CHECK(world.front.take_down(generation));
}

TEST_CASE("authorize refuses by 403, nobody by 401, and its failure lets nobody in") {
  ChainUnderTest world;
  offer_names(world.extend("names"));
  world.extend("rules").authorize = [](auto*, const tenon_identity_t* identity,
                                       const tenon_auth_answer_t* answer) -> tenon_status {
    if (identity != nullptr && core::view(identity->subject) == "ann") return TENON_OK;
    if (identity != nullptr && core::view(identity->subject) == "odd") return TENON_ERROR;
    answer->refuse(answer, bytes("only ann may"), 0);
    return TENON_ERROR_DENIED;
  };
  world.start();
  for (const char* route : kRoutes) {
    CHECK(world.ask(route, who("ann")).status == 200);
    CHECK(world.ask(route, who("bob")).status == 403);
    CHECK(world.ask(route, who("bob")).body == "only ann may");
    CHECK(world.ask(route).status == 401);
    CHECK(world.ask(route, who("odd")).refusal == core::Refusal::ExtensionFailed);
  }
}

TEST_CASE("an identity outside its bounds is refused where it is given, and lets nobody in") {
  ChainUnderTest world;
  ExtensionUnderTest& names = world.extend("names");
  names.provider("Who", "x-who", "");
  std::vector<tenon_status> verdicts;
  names.authenticate = [&](auto, auto*, auto, const tenon_auth_answer_t* answer) -> tenon_status {
    const std::string long_text(256, 'x');
    const std::string large_claims = "{\"a\":\"" + std::string(16384, 'x') + "\"}";
    const tenon_bytes_t bad_role = bytes("a role");
    const std::vector<tenon_bytes_t> roles(65, bytes("role"));
    tenon_identity_t good = {};
    good.size = sizeof(good);
    good.subject = bytes("ann");
    const auto offer = [&](auto change) {
      tenon_identity_t identity = good;
      change(identity);
      verdicts.push_back(answer->accept(answer, &identity, 0));
    };
    verdicts.push_back(answer->accept(answer, nullptr, 0));
    offer([](auto& identity) { identity.size = 8; });
    offer([](auto& identity) { identity.subject = {}; });
    offer([](auto& identity) { identity.subject = {nullptr, 3}; });
    offer([&](auto& identity) { identity.subject = bytes(long_text); });
    offer([](auto& identity) { identity.name = bytes("\xff"); });
    offer([&](auto& identity) { identity.name = bytes(long_text); });
    offer([](auto& identity) { identity.role_count = 1; });
    offer([&](auto& identity) { identity.roles = &bad_role, identity.role_count = 1; });
    offer([&](auto& identity) { identity.roles = roles.data(), identity.role_count = 65; });
    offer([](auto& identity) { identity.claims = bytes("[1]"); });
    offer([](auto& identity) { identity.claims = bytes("{\"a\":1} x"); });
    offer([&](auto& identity) { identity.claims = bytes(large_claims); });
    verdicts.push_back(answer->add_role(answer, bytes("user")) == TENON_ERROR_STATE ? TENON_ERROR_ARGUMENT : TENON_OK);
    return TENON_OK;
  };
  world.start();
  const Answer answer = world.ask("/app/inline", "x-who\nann\n");
  CHECK(answer.status == 503);
  CHECK(answer.body == "extension names: it could not say whose the credential is");
  CHECK(verdicts.size() == 14);
  for (const tenon_status verdict : verdicts) CHECK(verdict == TENON_ERROR_ARGUMENT);
}

TEST_CASE("roles are added once each, up to the limit, while the plugin reads those that are there") {
  ChainUnderTest world;
  ExtensionUnderTest& names = world.extend("names");
  offer_names(names);
  tenon_status last = TENON_OK;
  names.resolve_roles = [&](const tenon_identity_t* identity, const tenon_auth_answer_t* answer) -> tenon_status {
    for (uint32_t index = 0; index < identity->role_count; index++) {
      CHECK(answer->add_role(answer, identity->roles[index]) == TENON_OK);
      for (int number = 0; number < 63; number++) {
        CHECK(answer->add_role(answer, bytes("role" + std::to_string(number))) == TENON_OK);
        CHECK(core::view(identity->roles[index]) == "user");
      }
    }
    CHECK(answer->add_role(answer, bytes("no role")) == TENON_ERROR_ARGUMENT);
    last = answer->add_role(answer, bytes("one.more"));
    return TENON_OK;
  };
  tell_identity(world);
  world.start();
  const Answer answer = world.ask("/app/pool", who("ann"));
  CHECK(last == TENON_ERROR_TOO_LARGE);
  CHECK(answer.body.find("user role0 role1 ") != std::string::npos);
  CHECK(answer.body.find("role62") == answer.body.size() - 6);
}

TEST_CASE("a decision is kept as long as its provider allows, and ends with forget_decisions and with the generation") {
  ChainUnderTest world;
  std::atomic<int> asked{0};
  std::atomic<int> resolved{0};
  const auto make = [&](ExtensionUnderTest& names) {
    offer_names(names, 60'000, &asked);
    names.resolve_roles = [&](auto*, const tenon_auth_answer_t* answer) -> tenon_status {
      resolved++;
      return answer->add_role(answer, bytes("resolved"));
    };
  };
  make(world.extend("names"));
  tell_identity(world);
  world.start();
  for (const char* route : kRoutes) CHECK(world.ask(route, who("ann")).body == "ann by names user resolved");
  CHECK(asked == 1);
  CHECK(resolved == 1);
  CHECK(world.ask("/app/inline", who("Ann")).body == "Ann by names user resolved");
  CHECK(asked == 2);
  // What is wrong is asked each time.
  for (int count = 0; count < 2; count++) CHECK(world.ask("/app/inline", who("nobody")).status == 401);
  CHECK(asked == 4);
  world.extensions[0].code->auth().forget_decisions(world.extensions[0].code->code().host);
  CHECK(world.ask("/app/inline", who("ann")).body == "ann by names user resolved");
  CHECK(asked == 5);
  auto successor = std::make_unique<ExtensionUnderTest>();
  make(*successor);
  world.reload(0, std::move(successor));
  CHECK(world.ask("/app/inline", who("ann")).body == "ann by names user resolved");
  CHECK(asked == 6);
}

TEST_CASE("decisions are bounded, and one made before forget is not kept after it") {
  core::Decisions decisions;
  const tenon_identity_t face = [] {
    tenon_identity_t identity = {};
    identity.size = sizeof(identity);
    identity.subject = bytes("ann");
    return identity;
  }();
  const std::shared_ptr<const core::Identity> ann = core::Identity::copy(&face, "Who", "names");
  uint64_t epoch = 0;
  const auto name = [&](int number) { return decisions.name_of(0, 1, std::to_string(number)); };
  CHECK_FALSE(static_cast<bool>(decisions.find(name(0), 0, epoch)));
  for (int number = 0; number < 5000; number++) decisions.keep(name(number), ann, 0, 100, epoch);
  size_t kept = 0;
  for (int number = 0; number < 5000; number++) kept += decisions.find(name(number), 99, epoch) ? 1 : 0;
  CHECK(kept == core::Decisions::kMost);
  CHECK_FALSE(static_cast<bool>(decisions.find(name(4999), 100, epoch)));
  CHECK((decisions.name_of(1, 1, "7") != name(7)));
  CHECK((decisions.name_of(0, 2, "7") != name(7)));
  decisions.forget();
  decisions.keep(name(0), ann, 0, 100, epoch);
  CHECK_FALSE(static_cast<bool>(decisions.find(name(0), 1, epoch)));
}

TEST_CASE("an extension that does not run shuts the application, unless it is not required") {
  for (const bool required : {true, false}) {
    ChainUnderTest world;
    offer_names(world.extend("names", required));
    tell_identity(world);
    world.start();
    CHECK(world.ask("/app/pool", who("ann")).status == 200);
    world.stop(0);
    for (const char* route : kRoutes) {
      const Answer answer = world.ask(route, who("ann"));
      CHECK(answer.status == (required ? 503 : 200));
      CHECK(answer.body == (required ? "extension names: it is not running" : "nobody"));
    }
    CHECK(world.generation->counters().faults() == 0);
  }
}

TEST_CASE("calls wait while an extension hands over, and go on in order with the one that follows") {
  ChainUnderTest world;
  offer_names(world.extend("first"));
  offer_names(world.extend("second"));
  tell_identity(world);
  world.start();
  world.extensions[0].plugin->hold();
  world.extensions[1].plugin->hold();
  std::vector<Answer*> answers;
  for (int count = 0; count < 3; count++) {
    for (const char* route : kRoutes) answers.push_back(&world.send(route, who("ann")));
  }
  CHECK(world.extensions[0].plugin->waiting() == 3);
  auto successor = std::make_unique<ExtensionUnderTest>();
  successor->provider("Who", "authorization", "");
  successor->authenticate = [](auto, auto*, auto, const tenon_auth_answer_t* answer) {
    return accept_name("another", answer);
  };
  world.reload(0, std::move(successor));
  world.release(0);
  // Inline calls take all their leases before they begin.
  CHECK(world.extensions[1].plugin->waiting() == 3);
  for (size_t index = 1; index < answers.size(); index += 2) CHECK(answers[index]->outcome == core::Outcome::Pending);
  world.release(1);
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  for (const Answer* const answer : answers) CHECK(answer->body == "another by first user");
}

TEST_CASE("a call that waits for an extension past its deadline is answered, and so is one that is cancelled") {
  ChainUnderTest world;
  offer_names(world.extend("names"));
  const auto fine = [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; };
  world.code.route(TENON_HTTP_GET, "/soon", TENON_EXECUTION_INLINE, fine, 30);
  world.code.route(TENON_HTTP_GET, "/soon_too", TENON_EXECUTION_POOL, fine, 500);
  world.start();
  world.extensions[0].plugin->hold();
  CHECK(world.ask("/app/soon").refusal == core::Refusal::DeadlineExceeded);
  CHECK(world.extensions[0].plugin->waiting() == 0);
  const Answer late = world.ask("/app/soon_too");
  CHECK(late.refusal == core::Refusal::DeadlineExceeded);
  CHECK(late.body == "app did not answer GET /app/soon_too within 500 ms: it is in the extension names");
  for (uint32_t id = 0; id < 2; id++) {
    world.send(kRoutes[id]);
    world.front->cancel(0);
    world.front->cancel(1);
    CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  }
  world.release(0);
  CHECK(world.generation->counters().faults() == 0);
}

TEST_CASE("a call that nobody waits for any more is not handled, although its extension may be left out") {
  ChainUnderTest world;
  world.extend("rules", false).authorize = [](auto*, auto*, auto*) -> tenon_status { return TENON_OK; };
  std::atomic<int> handled{0};
  const auto count = [&](auto&, auto*, auto*) -> tenon_status {
    handled++;
    return TENON_OK;
  };
  world.code.route(TENON_HTTP_GET, "/late", TENON_EXECUTION_POOL, count, 30);
  world.code.route(TENON_HTTP_GET, "/left", TENON_EXECUTION_POOL, count, 10'000);
  world.start();
  world.extensions[0].plugin->hold();
  CHECK(world.ask("/app/late").refusal == core::Refusal::DeadlineExceeded);
  world.send("/app/left");
  world.front->cancel(0);
  world.front->cancel(1);
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(handled == 0);
  world.release(0);
  CHECK(world.ask("/app/left").outcome == core::Outcome::Response);
  CHECK(handled == 1);
}

TEST_CASE("extensions are replaced under calls, and none is lost") {
  ChainUnderTest world;
  offer_names(world.extend("names"));
  world.extend("stamp").before = [](auto*, auto*, auto*) -> tenon_status { return TENON_OK; };
  tell_identity(world);
  world.start();
  std::vector<Answer*> answers;
  for (int round = 0; round < 20; round++) {
    for (int count = 0; count < 20; count++) answers.push_back(&world.send(kRoutes[count % 2], who("ann")));
    auto successor = std::make_unique<ExtensionUnderTest>();
    if (round % 2 == 0) offer_names(*successor);
    if (round % 2 == 1) successor->before = [](auto*, auto*, auto*) -> tenon_status { return TENON_OK; };
    world.reload(static_cast<size_t>(round % 2), std::move(successor));
  }
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  for (const Answer* const answer : answers) REQUIRE(answer->body == "ann by names user");
}

TEST_CASE("an extension that hangs costs its caller a thread and keeps its generation, which is named") {
  ChainUnderTest world;
  std::atomic<bool> leave{false};
  std::atomic<int> entered{0};
  world.extend("slow").authorize = [&](auto*, auto*, auto*) -> tenon_status {
    entered++;
    while (!leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return TENON_OK;
  };
  world.code.route(
      TENON_HTTP_GET, "/soon", TENON_EXECUTION_POOL, [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; }, 500);
  world.start();
  const Answer answer = world.ask("/app/soon");
  CHECK(entered == 1);
  CHECK(answer.status == 504);
  CHECK(answer.body == "app did not answer GET /app/soon within 500 ms: it is in the extension slow");
  CHECK(world.generation->threads_lost() == 1);
  CHECK(world.generation->counters().faults() == 0);
  core::Plugin& slow = *world.extensions[0].plugin;
  slow.swap(nullptr);
  CHECK(world.extensions[0].generation->lease()->count == 1);
  leave = true;
  CHECK(world.front.until([&] { return world.front->pending() == 0 && world.generation->threads_lost() == 0; }));
}

TEST_CASE("garbage that an extension declares ends its routes with a sentence") {
  const auto verdict = [](auto prepare) {
    FrontUnderTest front;
    core::Plugin& plugin = front->plugin("test");
    plugin.open(10);
    ExtensionUnderTest extension;
    prepare(extension);
    auto generation = std::make_shared<core::Generation>(
        front.front, plugin, std::make_shared<core::LibrarySource>(extension.code().descriptor()),
        core::GenerationSettings{1, "", "/test", {1000, 1024, 1}});
    CHECK(front.perform(generation, core::Step::Create));
    CHECK(front.perform(generation, core::Step::Initialize));
    std::string message;
    CHECK_FALSE(front.perform(generation, core::Step::Routes, 1000, nullptr, &message));
    CHECK(front.take_down(generation));
    return message;
  };
  const auto providers = [](std::string scheme, std::string header, std::string challenge) {
    return [=](ExtensionUnderTest& extension) { extension.provider(scheme, header, challenge); };
  };
  const auto hooks = [](std::string name, uint32_t version) {
    return [=](ExtensionUnderTest& extension) { extension.hook(name, version, 0); };
  };
  CHECK(verdict(providers("", "x-key", "")) == "provider 0 has a scheme that is not a token of 1 to 64 bytes");
  CHECK(verdict(providers("a b", "x-key", "")) == "provider 0 has a scheme that is not a token of 1 to 64 bytes");
  CHECK(verdict(providers("Key", "X-Key", "")) ==
        "provider 0 has a header that is not a token of 1 to 128 bytes in lower case");
  CHECK(verdict(providers("Key", "x-key", "a\nset-cookie: b")) ==
        "provider 0 has a challenge over 1,024 bytes or with a control byte");
  CHECK(verdict(providers("Key", "x-key", std::string(1025, 'x'))) ==
        "provider 0 has a challenge over 1,024 bytes or with a control byte");
  CHECK(verdict([](ExtensionUnderTest& extension) {
          for (int count = 0; count < 17; count++) extension.provider("Key", "x-key", "");
        }) == "17 providers are more than 16");
  CHECK(verdict(hooks("Render", 1)) == "hook 0 has a name that is not 1 to 127 bytes of [a-z0-9_.-]");
  CHECK(verdict(hooks("render", 0)) == "hook 0 has version 0; versions begin with 1");
  CHECK(verdict([](ExtensionUnderTest& extension) {
          for (int count = 0; count < 65; count++) extension.hook("render", 1, 0);
        }) == "65 hooks are more than 64");
}

TEST_CASE("the host's admin token makes an operator") {
  ChainUnderTest world;
  std::vector<bool> verdicts;
  ExtensionUnderTest& rules = world.extend("rules");
  rules.authorize = [&](tenon_request_t* request, auto*, auto*) -> tenon_status {
    verdicts.push_back(rules.auth().is_operator(request));
    return TENON_OK;
  };
  world.front->set_operator_token("secret");
  world.start();
  for (const char* value : {"Bearer secret", "bearer secret", "Bearer secre", "Bearer secrets", "Basic secret", ""}) {
    world.ask("/app/inline", std::string("authorization\n") + value + "\n");
  }
  CHECK((verdicts == std::vector<bool>{true, true, false, false, false, false}));
}

TEST_CASE("a gate lets a request of a table through its chain and says who asks") {
  ChainUnderTest world;
  offer_names(world.extend("names"));
  ExtensionUnderTest& stamp = world.extend("stamp");
  std::string seen;
  stamp.before = [&](tenon_request_t* request, tenon_response_t* response, bool* answered) -> tenon_status {
    seen = core::view(stamp.middleware().route(request));
    seen += " of " + std::string(core::view(stamp.middleware().application(request)));
    tenon_bytes_t id = {};
    if (stamp.code().http->param(request, bytes("id"), &id)) seen += " id " + std::string(core::view(id));
    stamp.code().http->set_header(response, bytes("x-stamp"), bytes("yes"));
    *answered = core::view(stamp.code().http->query(request)) == "stop";
    if (*answered) stamp.code().http->set_status(response, 418);
    return TENON_OK;
  };
  int afters = 0;
  stamp.after = [&](auto*, auto*) { afters++; };
  world.start(true);
  const uint32_t gate = *world.front->gate(world.plugin, TENON_HTTP_GET, "/app/notes/:id", 1000);
  CHECK(*world.front->gate(world.plugin, TENON_HTTP_GET, "/app/notes/:id", 1000) == gate);
  CHECK_FALSE(world.front->gate(world.plugin, TENON_HTTP_GET, "no path", 1000).has_value());
  const Answer nobody = world.front.ask(gate, "/app/notes/7");
  CHECK(nobody.outcome == core::Outcome::Response);
  CHECK(nobody.status == 100);
  CHECK(nobody.body.empty());
  CHECK(nobody.headers == "x-stamp\nyes\n");
  CHECK(seen == "/app/notes/:id of app id 7");
  const Answer ann = world.front.ask(gate, "/app/notes/7", who("ann"));
  CHECK(ann.status == 100);
  CHECK(ann.body == R"({"subject":"ann","name":"","scheme":"Who","extension":"names","roles":["user"],"claims":{}})");
  CHECK(world.front.ask(gate, "/app/notes/7", who("nobody")).refusal == core::Refusal::Unauthenticated);
  CHECK(world.front.ask(gate, "/app/notes/7?stop").status == 418);
  CHECK(afters == 0);
  CHECK(world.generation->counters().calls() == 0);
}

TEST_CASE("a gate without extensions that look at requests is open at once") {
  ChainUnderTest world;
  world.extend("quiet").hook("a.hook", 1, 0);
  world.start();
  const uint32_t gate = *world.front->gate(world.plugin, TENON_HTTP_GET, "/app/notes", 1000);
  const Answer& answer = world.front.send(gate, "/app/notes");
  CHECK(answer.outcome == core::Outcome::Response);
  CHECK(answer.status == 100);
}

TEST_CASE("the deadline of a gate can be changed, and what came by it goes on when it is given back") {
  ChainUnderTest world;
  std::atomic<bool> entered{false};
  std::atomic<bool> leave{false};
  world.extend("guard").before = [&](auto*, auto*, auto*) -> tenon_status {
    entered = true;
    while (!leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return TENON_OK;
  };
  world.start();
  const uint32_t gate = *world.front->gate(world.plugin, TENON_HTTP_GET, "/app/notes/:id", 20'000);
  const Answer& first = world.front.send(gate, "/app/notes/7");
  CHECK(world.front.until([&] { return entered.load(); }));
  CHECK(*world.front->gate(world.plugin, TENON_HTTP_GET, "/app/notes/:id", 500) == gate);
  const Answer second = world.front.ask(gate, "/app/notes/7");
  CHECK(second.refusal == core::Refusal::DeadlineExceeded);
  CHECK(second.body == "app did not answer GET /app/notes/7 within 500 ms: it is in the extension guard");
  CHECK(first.outcome == core::Outcome::Pending);
  world.front->ungate(world.plugin);
  CHECK(world.front->slot_at(gate) == nullptr);
  leave = true;
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(first.status == 100);
}

TEST_CASE("numbers of gates that are given back are used again, and none is ever mistaken for another") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("app");
  std::set<uint32_t> numbers;
  uint32_t highest = 0;
  constexpr int kRounds = 5000;
  for (int round = 0; round < kRounds; round++) {
    const std::string path = "/app/" + std::to_string(round);
    const uint32_t number = *front->gate(plugin, TENON_HTTP_GET, path, 1000);
    numbers.insert(number);
    highest = std::max(highest, number & 0xffff);
    CHECK(front->slot_at(number)->path == path);
    if (round % 2 == 0) {
      front->ungate(plugin);
    } else {
      front->forget(plugin);
    }
    CHECK(front->slot_at(number) == nullptr);
  }
  CHECK(numbers.size() == kRounds);
  CHECK(highest < 10);
}
