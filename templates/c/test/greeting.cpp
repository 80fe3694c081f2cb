// Run by `tenon build --test`: no server, the library is opened inside the test program. Tests are C++17, also of a
// plugin in C.
#include <tenon/testing.hpp>

TENON_TEST("greets everybody, and by name") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.get("/greeting").body, "Hello, world\n");
  TENON_CHECK_EQUAL(plugin.get("/greeting?name=Ada").body, "Hello, Ada\n");
}

TENON_TEST("cuts a name that is too long") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.get("/greeting?name=" + std::string(500, 'a')).body.size(), size_t{108});
}

TENON_TEST("serves nothing else") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.post("/greeting").status, 405);
  TENON_CHECK_EQUAL(plugin.get("/elsewhere").status, 404);
}
