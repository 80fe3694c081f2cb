// Run by `tenon build --test examples/notes`.
#include <tenon/testing.hpp>

using tenon::testing::Plugin;

TENON_TEST("keeps, finds and forgets notes") {
  const Plugin plugin;
  TENON_CHECK_EQUAL(plugin.post("/notes", "buy milk").header("location"), "/notes/notes/1");
  TENON_CHECK_EQUAL(plugin.post("/notes", "call \"Ada\"").status, 201);
  TENON_CHECK_EQUAL(plugin.get("/notes/2").body, R"({"id":2,"text":"call \"Ada\""})");
  TENON_CHECK_EQUAL(plugin.get("/search?text=milk").body, R"([{"id":1,"text":"buy milk"}])");
  TENON_CHECK_EQUAL(plugin.del("/notes/1").status, 204);
  TENON_CHECK_EQUAL(plugin.del("/notes/1").status, 404);
  TENON_CHECK_EQUAL(plugin.get("/notes?after=0").body, R"([{"id":2,"text":"call \"Ada\""}])");
}

TENON_TEST("a text is no SQL") {
  const Plugin plugin;
  plugin.post("/notes", "'); DROP TABLE note; --");
  TENON_CHECK_EQUAL(plugin.get("/notes/1%20OR%201=1").status, 200);
  TENON_CHECK_EQUAL(plugin.get("/notes/x").status, 404);
  TENON_CHECK_EQUAL(plugin.post("/notes").status, 400);
}

TENON_TEST("the new build has the notes of the old one, and writes on") {
  Plugin plugin;
  for (int count = 0; count < 500; ++count) plugin.post("/notes", std::string(200, 'n'));
  plugin.reload();
  TENON_CHECK_EQUAL(plugin.get("/notes/500").status, 200);
  for (int count = 0; count < 500; ++count) plugin.post("/notes", std::string(200, 'm'));
  TENON_CHECK_EQUAL(plugin.get("/notes/1000").status, 200);
}

TENON_TEST("refuses a state that is no database") {
  const Plugin plugin;
  TENON_CHECK_REFUSED(plugin.load(std::string(4096, 'x'), 1));
  TENON_CHECK_REFUSED(plugin.load("", 1));
  TENON_CHECK_EQUAL(plugin.post("/notes", "still here").status, 201);
}
