#include <tenon/testing.hpp>

using tenon::testing::Answer;
using tenon::testing::Decided;
using tenon::testing::Identity;
using tenon::testing::Outgoing;
using tenon::testing::Plugin;
using tenon::testing::Request;
using tenon::testing::Setup;

static Request with(const std::string& header, const std::string& value, const std::string& target = "/") {
  Request request;
  request.target = target;
  request.headers = {{header, value}};
  return request;
}

static Request from(const std::string& subject, std::vector<std::string> roles, const std::string& target) {
  Request request;
  request.target = target;
  request.identity = Identity{subject, std::move(roles), "", "ApiKey", "extension", ""};
  return request;
}

static std::string joined(const std::vector<std::string>& list) {
  std::string all;
  for (const std::string& each : list) all += (all.empty() ? "" : " ") + each;
  return all;
}

TENON_TEST("offers what it overrides") {
  TENON_CHECK_EQUAL(joined(Plugin().offers()),
                    "tenon.auth/1 tenon.middleware/1 tenon.events/1 tenon.config/1 tenon.hooks/1");
}

TENON_TEST("knows who carries a credential, adds roles, and says why not") {
  const Plugin plugin;
  const Decided ada = plugin.authenticate(with("X-Api-Key", "ada"));
  TENON_CHECK_EQUAL(ada.status, TENON_OK);
  TENON_CHECK_EQUAL(ada.identity.subject + " " + ada.identity.name + " " + ada.identity.scheme, "ada Ada ApiKey");
  TENON_CHECK_EQUAL(joined(ada.identity.roles), "reader writer");
  TENON_CHECK_EQUAL(ada.identity.claims, "{\"key\":\"ada\"}");
  TENON_CHECK_EQUAL(ada.cache_ms, 1000);
  TENON_CHECK_EQUAL(plugin.authenticate(Request()).status, TENON_ERROR_NOT_FOUND);
  TENON_CHECK_EQUAL(plugin.authenticate(with("x-api-key", "other")).status, TENON_ERROR_NOT_FOUND);
  const Decided wrong = plugin.authenticate(with("x-api-key", "wrong"));
  TENON_CHECK_EQUAL(wrong.status, TENON_ERROR_DENIED);
  TENON_CHECK_EQUAL(wrong.message, "this key is wrong");
  const Decided often = plugin.authenticate(with("x-api-key", "often"));
  TENON_CHECK_EQUAL(often.status, TENON_ERROR_AGAIN);
  TENON_CHECK_EQUAL(often.retry_after_s, 30);
  TENON_CHECK_EQUAL(plugin.authenticate(with("authorization", "basic YTpi")).message, "no");
  TENON_CHECK_EQUAL(plugin.authenticate(with("authorization", "Bearer YTpi")).status, TENON_ERROR_NOT_FOUND);
}

TENON_TEST("lets nobody in when it fails") {
  const Plugin plugin;
  const auto nobody = plugin.authenticate(with("x-api-key", "nobody"));
  TENON_CHECK_EQUAL(nobody.status, TENON_ERROR);
  TENON_CHECK(nobody.message.find("not within their bounds") != std::string::npos);
  const auto lost = plugin.authenticate(with("x-api-key", "lost"));
  TENON_CHECK_EQUAL(lost.status, TENON_ERROR);
  TENON_CHECK(lost.message.find("no roles are to be had") != std::string::npos);
}

TENON_TEST("decides whether a request may go on, for somebody and for nobody") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.authorize(from("ada", {}, "/x")).status, TENON_OK);
  TENON_CHECK_EQUAL(plugin.authorize(from("ada", {}, "/x?closed=1")).message, "closed");
  Request nobody;
  nobody.target = "/x?closed=1";
  TENON_CHECK_EQUAL(plugin.authorize(nobody).status, TENON_ERROR_DENIED);
  TENON_CHECK_EQUAL(plugin.authorize(nobody).message, "closed to all");
}

TENON_TEST("a resource knows who asks, and is for whom it says") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.get("/who").status, 401);
  Request ada = from("ada", {"editor", "x"}, "/who");
  TENON_CHECK_EQUAL(plugin.ask(ada).body, "{\"subject\":\"ada\",\"operator\":false,\"roles\":[\"editor\",\"x\"]}");
  ada.is_operator = true;
  TENON_CHECK_EQUAL(plugin.ask(ada).body, "{\"subject\":\"ada\",\"operator\":true,\"roles\":[\"editor\",\"x\"]}");
  TENON_CHECK_EQUAL(plugin.get("/editors").status, 401);
  TENON_CHECK_EQUAL(plugin.ask(from("eve", {"edit"}, "/editors")).status, 403);
  TENON_CHECK_EQUAL(plugin.ask(from("ada", {"admin"}, "/editors")).body, "in");
}

TENON_TEST("its middleware runs before and after, and may answer itself") {
  const Plugin plugin;
  Answer handled;
  handled.status = 404;
  const Answer answer = plugin.around(Request(), handled);
  TENON_CHECK_EQUAL(answer.status, 404);
  TENON_CHECK_EQUAL(answer.header("x-application"), "application");
  TENON_CHECK_EQUAL(answer.header("x-kept"), "7 404");
  const Answer stopped = plugin.around(with("a", "b", "/?stop=1"), handled);
  TENON_CHECK_EQUAL(stopped.status, 418);
  TENON_CHECK_EQUAL(stopped.body, "stopped");
  TENON_CHECK_EQUAL(stopped.header("x-kept"), "");
}

TENON_TEST("its hook replaces, leaves or refuses what goes in") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.call_hook("text.loud", 2, "hey").bytes, "hey!");
  TENON_CHECK_EQUAL(plugin.call_hook("text.loud", 2, "same").status, TENON_ERROR_NOT_FOUND);
  TENON_CHECK_EQUAL(plugin.call_hook("text.loud", 2, "").message, "nothing to be loud about");
  TENON_CHECK_EQUAL(plugin.call_hook("text.loud", 1, "hey").status, TENON_ERROR_NOT_FOUND);
  TENON_CHECK_EQUAL(plugin.metric("calls_total", {{"of", "everything"}}).value, 1);
}

TENON_TEST("takes the events it subscribed to") {
  const Plugin plugin;
  TENON_CHECK(plugin.give({"todo.done", "milk", {}, "todo"}));
  TENON_CHECK(plugin.logged("milk"));
  TENON_CHECK_EQUAL(plugin.log().back().fields.at("topic"), "todo.done");
  TENON_CHECK(!plugin.give({"other.done", "bread", {}, "todo"}));
}

TENON_TEST("reads its config, and is asked about a change") {
  Setup setup;
  setup.config = "{\"realm\":\"caf\\u00e9\"}";
  setup.consumers["shop"] = "{\"a\":1}";
  Plugin plugin(setup);
  TENON_CHECK(plugin.logged("consumer"));
  TENON_CHECK(plugin.logged("realm caf\xC3\xA9"));
  TENON_CHECK_EQUAL(plugin.configure("shop", "{\"a\":2}"), TENON_OK);
  TENON_CHECK_EQUAL(plugin.configure("shop", "{\"bad\":true}"), TENON_ERROR);
  TENON_CHECK(plugin.logged("bad is not good"));
  TENON_CHECK_EQUAL(plugin.configure("", "{\"realm\":\"new\"}"), TENON_ERROR_UNSUPPORTED);
  plugin.reload();
  TENON_CHECK(plugin.logged("realm new"));
  TENON_CHECK_REFUSED([] {
    Setup broken;
    broken.config = "{";
    Plugin refused(broken);
  }());
}

TENON_TEST("tasks run when they are due, and what they own is freed once") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.run_tasks(), 0);
  TENON_CHECK_EQUAL(plugin.post("/uses/task", "later").status, 202);
  TENON_CHECK_EQUAL(plugin.post("/uses/task?cancel=1", "never").status, 202);
  TENON_CHECK(plugin.logged("freed never"));
  TENON_CHECK_EQUAL(plugin.advance(49), 0);
  TENON_CHECK_EQUAL(plugin.advance(1), 1);
  TENON_CHECK(plugin.logged("later"));
  TENON_CHECK(plugin.logged("freed later"));
  TENON_CHECK(!plugin.logged("ran never"));
  TENON_CHECK_EQUAL(plugin.advance(1000), 3); /* the timer cancels itself at its third run */
}

TENON_TEST("a task that has not run is freed with its generation") {
  Plugin plugin;
  plugin.post("/uses/task", "left");
  plugin.reload();
  TENON_CHECK(plugin.logged("freed left"));
  TENON_CHECK(!plugin.logged("ran left"));
}

TENON_TEST("what is thrown goes no further") {
  const Plugin plugin;
  const auto thrown = plugin.authenticate(with("x-api-key", "throws"));
  TENON_CHECK_EQUAL(thrown.status, TENON_ERROR);
  TENON_CHECK_EQUAL(thrown.message, "the provider threw");
  TENON_CHECK_EQUAL(plugin.around(with("a", "b", "/?throw=1")).failure, "the middleware threw");
  TENON_CHECK(plugin.give({"todo.throw", "", {}, "todo"}));
  TENON_CHECK(plugin.logged("the subscriber threw"));
  plugin.post("/uses/failing");
  TENON_CHECK_EQUAL(plugin.run_tasks(), 1);
  TENON_CHECK(plugin.logged("the task threw"));
}

TENON_TEST("publishes, spans and counts") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.post("/uses/event", "milk").status, 204);
  const auto events = plugin.events();
  TENON_CHECK_EQUAL(events.size(), 2);
  TENON_CHECK_EQUAL(events.at(0).topic + " " + events.at(0).message, "todo.done milk");
  TENON_CHECK_EQUAL(events.at(1).topic + " " + events.at(1).message, "tenon.span publish");
  TENON_CHECK_EQUAL(events.at(1).fields.at("size"), "4");
  TENON_CHECK_EQUAL(plugin.post("/uses/metrics").body, "3");
  TENON_CHECK_EQUAL(plugin.metric("calls_total", {{"of", "everything"}}).value, 2);
  TENON_CHECK_EQUAL(plugin.metric("level").value, 3.5);
  TENON_CHECK_EQUAL(plugin.metric("sizes").count, 1);
  TENON_CHECK_EQUAL(plugin.metric("nothing").kind, 0);
}

TENON_TEST("asks other servers and runs chains") {
  Plugin plugin;
  TENON_CHECK_EQUAL(plugin.post("/uses/fetch", "http://localhost/").status, 502);
  plugin.on_fetch([](const Outgoing& request) {
    return tenon::testing::Incoming{201, request.url + " " + request.headers.at(0).value, {}, ""};
  });
  TENON_CHECK_EQUAL(plugin.post("/uses/fetch", "http://localhost/a").body, "http://localhost/a text/plain");
  TENON_CHECK_EQUAL(plugin.post("/uses/fetch", "file:/etc").body, "the request was not sent");
  TENON_CHECK_EQUAL(plugin.post("/uses/chain", "HEY").body, "HEY");
  plugin.on_hook("text.quiet", 1, [](const std::string& input) {
    if (input.empty()) throw std::runtime_error("nothing to be quiet about");
    return "(" + input + ")";
  });
  TENON_CHECK_EQUAL(plugin.post("/uses/chain", "HEY").body, "(HEY)");
  TENON_CHECK_EQUAL(plugin.post("/uses/chain", "").body, "nothing to be quiet about");
}

TENON_TEST("keeps passwords and tokens") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.post("/uses/password", "open sesame").body, "right");
  TENON_CHECK_EQUAL(plugin.post("/uses/token", "{\"sub\":\"ada\"}").body,
                    "{\"sub\":\"ada\",\"iss\":\"extension\",\"iat\":0,\"exp\":60}");
}

TENON_TEST("reads JSON strictly") {
  const Plugin plugin;
  const auto read = [&plugin](const std::string& json) {
    const Answer answer = plugin.post("/uses/json", json);
    return answer.status == 200 ? answer.body : std::to_string(answer.status);
  };
  TENON_CHECK_EQUAL(
      read(" {\"a\":\"x\\\"\\u00e9\\ud83d\\ude00\\ud800!\\/\\n\",\"b\":{\"c\":-12},\"list\":[null,true],\"b2\":{}} "),
      "{\"text\":\"x\\\"\xC3\xA9\xF0\x9F\x98\x80\xEF\xBF\xBD!/\\n\",\"integer\":-12,\"number\":-12,\"second\":true,"
      "\"size\":4}");
  const std::string none = "{\"text\":\"none\",\"integer\":-1,\"number\":-1,\"second\":false,\"size\":";
  TENON_CHECK_EQUAL(read("{}"), none + "0}");
  TENON_CHECK_EQUAL(read("[1,[2]]"), none + "2}");
  TENON_CHECK_EQUAL(read("{\"a\":1,\"\\u0061\":2,\"b\":[]}"), none + "3}");
  TENON_CHECK_EQUAL(read("{\"a\":\"1\",\"\\u0061\":\"2\"}"),
                    "{\"text\":\"2\",\"integer\":-1,\"number\":-1,\"second\":false,\"size\":2}");
  TENON_CHECK_EQUAL(read("{\"b\":{\"c\":2.5e1}}"),
                    "{\"text\":\"none\",\"integer\":-1,\"number\":25,\"second\":false,\"size\":1}");
  TENON_CHECK_EQUAL(read("{\"b\":{\"c\":-9223372036854775808}}").substr(0, 46),
                    "{\"text\":\"none\",\"integer\":-9223372036854775808,");
  TENON_CHECK_EQUAL(read("{\"b\":{\"c\":9223372036854775808}}").substr(0, 29), "{\"text\":\"none\",\"integer\":-1,\"");
  for (const std::string wrong : {"",
                                  "{",
                                  "}",
                                  "{\"a\"}",
                                  "{\"a\":}",
                                  "{\"a\":1,}",
                                  "[1,]",
                                  "[1 2]",
                                  "01",
                                  "1.",
                                  "-",
                                  ".5",
                                  "1e",
                                  "+1",
                                  "tru",
                                  "nul",
                                  "\"a",
                                  "\"\\x\"",
                                  "\"\\u12g4\"",
                                  "\"\n\"",
                                  "\"\xFF\"",
                                  "{a:1}",
                                  "{} {}",
                                  "'a'",
                                  "NaN",
                                  "\"\xED\xA0\x80\""})
    TENON_CHECK_EQUAL(wrong + " " + read(wrong), wrong + " 400");
  TENON_CHECK_EQUAL(read(std::string(64, '[') + std::string(64, ']')), none + "1}");
  TENON_CHECK_EQUAL(read(std::string(65, '[') + std::string(65, ']')), "400");
  TENON_CHECK_EQUAL(read(std::string(100000, '[')), "400");
}
