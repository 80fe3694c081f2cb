// Run by `tenon build --test`: no server, the library is opened inside the test program.
#include <tenon/testing.hpp>

TENON_TEST("greets everybody, and by name") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.get("/greeting").body, R"({"greeting":"Hello","name":"world"})");
  TENON_CHECK_EQUAL(plugin.get("/greeting?name=Ada+L.").body, R"({"greeting":"Hello","name":"Ada L."})");
}

TENON_TEST("wants a name, and logs it") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.post("/greeting").status, 400);
  TENON_CHECK_EQUAL(plugin.post("/greeting", "Grace").body, "Hello, Grace\n");
  TENON_CHECK(plugin.logged("greeted"));
}

TENON_TEST("serves nothing else") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.del("/greeting").status, 405);
  TENON_CHECK_EQUAL(plugin.get("/elsewhere").status, 404);
}
