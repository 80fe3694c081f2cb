#ifndef TENON_CORE_ROUTE_H
#define TENON_CORE_ROUTE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/ext/http.h"
#include "tenon/plugin.h"

namespace tenon::core {

struct RouteDefaults {
  uint32_t deadline_ms;
  uint64_t body_limit;
  uint32_t concurrency;
};

// One segment of a pattern: `/text`, `/:name` or `/*`.
struct Segment {
  enum class Kind { Literal, Parameter, Rest };
  Kind kind;
  std::string text;
};

// What a route says of itself to people. What could not be taken is left out; `flaw` says the first of it.
struct RouteWords {
  static constexpr size_t kSummaryBytes = 256;
  static constexpr size_t kDescriptionBytes = 16 * 1024;
  static constexpr size_t kDocumentBytes = 64 * 1024;
  static constexpr size_t kAllBytes = 1024 * 1024;

  std::string summary;
  std::string description;
  std::string openapi;
  std::string flaw;

  size_t size() const { return summary.size() + description.size() + openapi.size(); }
};

// A route of one generation: what the plugin declared, checked and copied, so that nothing is read from the plugin
// again. Immutable once the generation serves, but for the header block that the front keeps here.
struct Route {
  static constexpr uint32_t kMost = 4096;
  static constexpr size_t kPatternBytes = 1024;
  static constexpr size_t kParameters = 16;
  static constexpr uint32_t kDeadlineMs = 3'600'000;
  static constexpr uint64_t kBodyBytes = 1024u * 1024u * 1024u;
  static constexpr size_t kRoles = 64;
  static constexpr size_t kRoleBytes = 63;

  uint32_t index;
  tenon_http_method method;
  std::string pattern;
  std::vector<Segment> segments;
  bool inline_;
  uint32_t deadline_ms;
  uint64_t body_limit;
  uint32_t auth;  // TENON_AUTH_…
  std::vector<std::string> roles;
  RouteWords words;

  // The front's: the last block of response headers here, and its identity.
  mutable std::string header_block;
  mutable uint32_t header_id = 0;
};

const char* method_name(tenon_http_method method);
std::optional<tenon_http_method> method_of(std::string_view name);

// The name of a role: 1 to 63 bytes of [A-Za-z0-9_.:-].
bool is_role(std::string_view name);

// A route without a handler, for requests that somebody else answers; `path` is whole. Nothing where it is no pattern.
std::optional<Route> gate_route(tenon_http_method method, std::string_view path, uint32_t deadline_ms);

// The checked copy of `declared`, or nothing and why not in `problem`.
std::optional<Route> check_route(uint32_t index, const tenon_route_t* declared, const RouteDefaults& defaults,
                                 std::string& problem);

// Everything that one plugin declares.
struct RouteTable {
  std::vector<Route> routes;
  uint32_t concurrency = 0;
};

// The checked copy of what `plugin` declares, or nothing and why not in `problem`. `http` has route_count and route.
std::optional<RouteTable> check_routes(tenon_plugin_t* plugin, const tenon_plugin_http_t& http,
                                       const RouteDefaults& defaults, std::string& problem);

// Percent-decoded `text`; a broken escape stays as it is. With `plus`, "+" is a space (queries).
std::string percent_decoded(std::string_view text, bool plus);

}  // namespace tenon::core

#endif
