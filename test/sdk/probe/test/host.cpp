#include <tenon/testing.hpp>

using tenon::testing::Plugin;
using tenon::testing::Request;

static std::string joined(const Plugin& plugin) {
  std::string all;
  for (const auto& record : plugin.log()) all += (all.empty() ? "" : ", ") + record.message;
  return all;
}

TENON_TEST("finds the route as the host does, and decodes its parameters") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.routes().size(), 10);
  TENON_CHECK_EQUAL(plugin.routes()[0], "GET /items/:id");
  TENON_CHECK_EQUAL(plugin.get("/items/special").body, "special");
  TENON_CHECK_EQUAL(plugin.get("/items/a%20b+c").body, "a b+c");
  TENON_CHECK_EQUAL(plugin.get("/items/a/b%2Fc").body, "a/b/c");
  TENON_CHECK_EQUAL(plugin.get("/items").status, 404);
  TENON_CHECK_EQUAL(plugin.get("/").status, 404);
  TENON_CHECK_EQUAL(plugin.post("/items/special").status, 405);
  TENON_CHECK_EQUAL(plugin.ask({"BREW", "/small", "", {}}).status, 405);
  Request head;
  head.method = "HEAD";
  head.target = "/items/special";
  TENON_CHECK_EQUAL(plugin.ask(head).status, 200);
  TENON_CHECK_EQUAL(plugin.ask(head).body, "");
}

TENON_TEST("gives the request as it came, within the limit of its body") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.ask({"POST", "/small", "1234", {{"a", "1"}, {"b", "2"}}}).body, "/probe/small 2");
  TENON_CHECK_EQUAL(plugin.post("/small", "12345").status, 413);
}

TENON_TEST("takes status and headers as the host does") {
  const Plugin plugin;
  const auto answer = plugin.get("/headers");
  TENON_CHECK_EQUAL(answer.body, "2 2 2 2");
  TENON_CHECK_EQUAL(answer.header("X-ONE"), "1");
  TENON_CHECK_EQUAL(answer.header("x-two"), "4");
  TENON_CHECK_EQUAL(answer.headers.size(), 3);
  const auto failed = plugin.get("/fail");
  TENON_CHECK_EQUAL(failed.status, 500);
  TENON_CHECK_EQUAL(failed.failure, "as it should");
}

TENON_TEST("streams until the client has gone") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.get("/stream").body.size(), 1000);
  Request request;
  request.target = "/stream";
  for (const size_t wanted : {0, 1, 5}) {
    request.chunks_wanted = wanted;
    TENON_CHECK_EQUAL(plugin.ask(request).chunks.size(), wanted);
  }
  TENON_CHECK(plugin.logged("the stream is over"));
}

TENON_TEST("waits for an answer that is completed on another thread, up to the deadline") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.get("/later").body, "at last");
  TENON_CHECK_EQUAL(plugin.get("/late").status, 504);
}

TENON_TEST("goes through the life in order") {
  std::string said;
  {
    Plugin plugin;
    TENON_CHECK(plugin.healthy());
    plugin.reload();
    TENON_CHECK(!plugin.healthy());
    said = joined(plugin);
  }
  TENON_CHECK_EQUAL(said, "initialize, ready, first, initialize, quiesce, ready, later, shutdown, destroy");
}

TENON_TEST("a reload that is refused leaves the old generation serving") {
  Plugin plugin;
  plugin.reload();
  plugin.reload();
  TENON_CHECK_REFUSED(plugin.reload());
  TENON_CHECK(plugin.logged("resume"));
  TENON_CHECK_EQUAL(plugin.get("/items/special").status, 200);
}

TENON_TEST("hands the state out and in, with its version") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.state_version(), 7);
  TENON_CHECK_EQUAL(plugin.save(), std::string("\1\0\0\0", 4));
  TENON_CHECK_REFUSED(plugin.load("short", 7));
  plugin.load(std::string("\2\0\0\0", 4), 7);
  TENON_CHECK_EQUAL(plugin.save(), std::string("\3\0\0\0", 4));
}

TENON_TEST("keeps key-value state across a reload, and for one plugin only") {
  Plugin plugin;
  TENON_CHECK_EQUAL(plugin.put("/keep?key=a+b", "value").status, 200);
  plugin.reload();
  TENON_CHECK_EQUAL(plugin.put("/keep").body, "value");
  const Plugin other;
  TENON_CHECK_EQUAL(other.put("/keep").status, 404);
  TENON_CHECK_EQUAL(plugin.put("/keep").body, "value");
}

TENON_TEST("a library that is none is refused") { TENON_CHECK_REFUSED(Plugin("/nowhere/at/all.so")); }
