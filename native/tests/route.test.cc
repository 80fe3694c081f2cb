#include <doctest/doctest.h>

#include "harness.h"
#include "route.h"
#include "state_store.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

bool accepts(std::string_view pattern, std::string* problem = nullptr) {
  const tenon_route_t declared = {
      sizeof(tenon_route_t), TENON_HTTP_GET, bytes(pattern), TENON_EXECUTION_POOL, 0, 0, 0, {}, {}, {}, {}};
  std::string why;
  const bool accepted = core::check_route(0, &declared, {1000, 1000, 4}, why).has_value();
  CHECK(accepted == why.empty());
  if (problem != nullptr) *problem = why;
  return accepted;
}

}  // namespace

TEST_CASE("patterns of the grammar are accepted, all others refused with the reason") {
  for (const char* good : {"/", "/a", "/a/b", "/:id", "/a/:id/b", "/*", "/a/*", "/a.b-c_d~e", "/:a_1/:b"}) {
    CAPTURE(good);
    CHECK(accepts(good));
  }
  for (const char* bad : {"", "a", "//", "/a/", "/a//b", "/:", "/:1", "/*/a", "/:a/:a", "/a b", "/a%20", "/..", "/a?b",
                          "/a\n", "/:a*", "/a/./b", "/a#"}) {
    CAPTURE(bad);
    CHECK_FALSE(accepts(bad));
  }
  CHECK_FALSE(accepts("/" + std::string(1024, 'a')));
  std::string many;
  for (int count = 0; count < 17; count++) many += "/:p" + std::to_string(count);
  CHECK_FALSE(accepts(many));
}

TEST_CASE("a pattern that is refused is shown as it is written") {
  std::string problem;
  CHECK_FALSE(accepts("/größe", &problem));
  CHECK(problem.find("\"/größe\"") != std::string::npos);
  CHECK_FALSE(accepts("/a\nb\xc2\x9b", &problem));
  CHECK(problem.find("\"/a?b?\"") != std::string::npos);
  CHECK_FALSE(accepts("/" + std::string(126, 'a') + "ß", &problem));
  CHECK(problem.find("aaa\"") != std::string::npos);
}

namespace {

core::RouteWords words_of(std::string_view summary, std::string_view description, std::string_view openapi,
                          size_t size = sizeof(tenon_route_t)) {
  const tenon_route_t declared = {
      static_cast<uint32_t>(size), TENON_HTTP_GET, bytes("/a"), TENON_EXECUTION_POOL, 0, 0, 0, {}, bytes(summary),
      bytes(description),          bytes(openapi)};
  std::string why;
  std::optional<core::Route> route = core::check_route(0, &declared, {1000, 1000, 4}, why);
  REQUIRE(route.has_value());
  return std::move(route->words);
}

}  // namespace

TEST_CASE("a route is documented by what can be taken, and served all the same") {
  const core::RouteWords whole = words_of("Count", "Counts *up*.", "{}");
  CHECK(whole.summary == "Count");
  CHECK(whole.description == "Counts *up*.");
  CHECK(whole.openapi == "{}");
  CHECK(whole.flaw.empty());

  CHECK(words_of(std::string(257, 's'), "", "").flaw == "its summary has 257 bytes, more than 256");
  const core::RouteWords broken = words_of("Count", "\xff", "{}");
  CHECK(broken.flaw == "its description is no UTF-8");
  CHECK(broken.description.empty());
  CHECK(broken.summary == "Count");
  CHECK(words_of("", "", std::string(65537, ' ')).openapi.empty());
}

TEST_CASE("a plugin built before routes had words has none") {
  CHECK(words_of("Count", "Counts.", "{}", offsetof(tenon_route_t, summary)).size() == 0);
  CHECK(words_of("Count", "Counts.", "{}", offsetof(tenon_route_t, roles)).size() == 0);
}

TEST_CASE("all routes of a plugin together say so much at most, and the rest are served without words") {
  static const std::string document(core::RouteWords::kDocumentBytes, ' ');
  tenon_plugin_http_t http = {};
  http.size = sizeof(http);
  http.route_count = [](tenon_plugin_t*) { return 20u; };
  http.route = [](tenon_plugin_t*, uint32_t index) -> const tenon_route_t* {
    static std::string pattern;
    static tenon_route_t declared;
    pattern = "/" + std::to_string(index);
    declared = {};
    declared.size = sizeof(tenon_route_t);
    declared.method = TENON_HTTP_GET;
    declared.pattern = bytes(pattern);
    declared.openapi = bytes(document);
    return &declared;
  };
  std::string problem;
  const std::optional<core::RouteTable> table = core::check_routes(nullptr, http, {1000, 1000, 4}, problem);
  REQUIRE(table.has_value());
  CHECK(table->routes[15].words.openapi.size() == document.size());
  CHECK(table->routes[15].words.flaw.empty());
  CHECK(table->routes[16].words.openapi.empty());
  CHECK(table->routes[16].words.flaw == "what its routes say of themselves is together more than 1 MiB");
}

TEST_CASE("percent escapes are decoded, broken ones left alone") {
  CHECK(core::percent_decoded("a%20b%2Fc", false) == "a b/c");
  CHECK(core::percent_decoded("a+b", true) == "a b");
  CHECK(core::percent_decoded("a+b", false) == "a+b");
  CHECK(core::percent_decoded("%", false) == "%");
  CHECK(core::percent_decoded("%2", false) == "%2");
  CHECK(core::percent_decoded("%zz%41", false) == "%zzA");
}

TEST_CASE("key-value state keeps within its limit and forgets what is removed") {
  core::StateStore store;
  char buffer[8];
  size_t size = 0;
  CHECK(store.put(bytes("key"), bytes("value")) == TENON_OK);
  CHECK(store.get(bytes("key"), buffer, 2, &size) == TENON_ERROR_TOO_LARGE);
  CHECK(size == 5);
  CHECK(store.get(bytes("key"), buffer, sizeof(buffer), &size) == TENON_OK);
  CHECK(std::string_view(buffer, size) == "value");
  CHECK(store.put(bytes(""), bytes("value")) == TENON_ERROR_ARGUMENT);
  CHECK(store.put(bytes(std::string(256, 'k')), bytes("value")) == TENON_ERROR_ARGUMENT);
  const std::string half(TENON_STATE_LIMIT / 2, 'x');
  CHECK(store.put(bytes("a"), bytes(half)) == TENON_OK);
  CHECK(store.put(bytes("b"), bytes(half)) == TENON_ERROR_TOO_LARGE);
  CHECK(store.put(bytes("a"), bytes("small")) == TENON_OK);
  CHECK(store.put(bytes("b"), bytes(half)) == TENON_OK);
  CHECK(store.remove(bytes("b")) == TENON_OK);
  CHECK(store.remove(bytes("b")) == TENON_ERROR_NOT_FOUND);
}
