// Run by `tenon build --test examples/rust-greeting`, on the library that build.sh made.
#include <tenon/testing.hpp>

TENON_TEST("greets by name") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.get("/greeting/Ada").body, "Hello from Rust, Ada\n");
}

TENON_TEST("counts characters, not bytes") {
  const tenon::testing::Plugin plugin;
  TENON_CHECK_EQUAL(plugin.post("/length", "gr\xc3\xbc\xc3\x9f").body, "4\n");
  TENON_CHECK_EQUAL(plugin.post("/length", "\xff").status, 400);
}

TENON_TEST("a panic is a failed answer, and the next one is fine") {
  const tenon::testing::Plugin plugin;
  const tenon::testing::Answer answer = plugin.get("/panic");
  TENON_CHECK_EQUAL(answer.status, 500);
  TENON_CHECK_EQUAL(answer.failure, "there is no route 2");
  TENON_CHECK_EQUAL(plugin.get("/greeting/Ada").status, 200);
}
