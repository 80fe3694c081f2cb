// Run by `tenon build --test`: no server, the library is opened inside the test program.
#include <tenon/testing.hpp>

TENON_TEST("counts") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK(plugin.healthy());
  TENON_CHECK_EQUAL(plugin.post("/visits").body, R"({"visits":1})");
  TENON_CHECK_EQUAL(plugin.post("/visits").body, R"({"visits":2})");
}

TENON_TEST("keeps its count when the build changes") {
  tenon::testing::Plugin plugin;
  plugin.post("/visits");
  plugin.reload();
  TENON_CHECK_EQUAL(plugin.get("/visits").body, R"({"visits":1})");
  TENON_CHECK(plugin.logged("over"));
}

TENON_TEST("refuses a state that is no number") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_REFUSED(plugin.load("many", 1));
  TENON_CHECK_REFUSED(plugin.load("7", plugin.state_version() + 1));
  TENON_CHECK_EQUAL(plugin.get("/visits").body, R"({"visits":0})");
}
