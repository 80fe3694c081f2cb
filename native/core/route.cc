#include "route.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

#include "byte_buffer.h"
#include "json.h"

namespace tenon::core {

namespace {

constexpr uint32_t kMostConcurrency = 64;

struct Method {
  tenon_http_method value;
  const char* name;
};
constexpr std::array<Method, 7> kMethods = {{{TENON_HTTP_GET, "GET"},
                                             {TENON_HTTP_HEAD, "HEAD"},
                                             {TENON_HTTP_POST, "POST"},
                                             {TENON_HTTP_PUT, "PUT"},
                                             {TENON_HTTP_PATCH, "PATCH"},
                                             {TENON_HTTP_DELETE, "DELETE"},
                                             {TENON_HTTP_OPTIONS, "OPTIONS"}}};

bool is_name(std::string_view text) {
  if (text.empty()) return false;
  for (size_t index = 0; index < text.size(); index++) {
    const char c = text[index];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (index == 0 || c < '0' || c > '9')) return false;
  }
  return true;
}

// What may stand in a literal segment: RFC 3986 pchar without escapes, and without ":" and "*", which mean parameters.
bool is_literal(std::string_view text) {
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && std::string_view("-._~!$&'()+,;=@").find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool parse_pattern(std::string_view pattern, std::vector<Segment>& segments, std::string& problem) {
  if (pattern.empty() || pattern.front() != '/') return problem = "does not begin with \"/\"", false;
  if (pattern.size() > Route::kPatternBytes) return problem = "is longer than 1,024 bytes", false;
  if (pattern == "/") return true;
  std::set<std::string> names;
  size_t begin = 1;
  while (begin <= pattern.size()) {
    const size_t end = std::min(pattern.find('/', begin), pattern.size());
    const std::string_view text = pattern.substr(begin, end - begin);
    begin = end + 1;
    if (text == "*") {
      if (end != pattern.size()) return problem = "has \"*\" before its last segment", false;
      names.insert("*");
      segments.push_back({Segment::Kind::Rest, "*"});
    } else if (!text.empty() && text.front() == ':') {
      const std::string name(text.substr(1));
      if (!is_name(name)) return problem = "has a parameter whose name is not [A-Za-z_][A-Za-z0-9_]*", false;
      if (!names.insert(name).second) return problem = "has two parameters \"" + name + "\"", false;
      segments.push_back({Segment::Kind::Parameter, name});
    } else {
      if (text.empty()) return problem = "has an empty segment", false;
      if (text.size() > 2 && text.front() == '{' && text.back() == '}') {
        const std::string name(text.substr(1, text.size() - 2));
        return problem = "has \"{" + name + "}\", where \":" + name + "\" makes a parameter", false;
      }
      if (!is_literal(text) || text == "." || text == "..") {
        return problem = "has a segment with a byte that stands for something else in a path", false;
      }
      segments.push_back({Segment::Kind::Literal, std::string(text)});
    }
  }
  if (names.size() > Route::kParameters) return problem = "has more than 16 parameters", false;
  return true;
}

// For a sentence: UTF-8 as it is, cut between characters, without control characters.
std::string printable(std::string_view text) {
  constexpr size_t kShown = 128;
  const auto byte = [text](size_t at) { return static_cast<uint8_t>(text[at]); };
  size_t size = std::min(text.size(), kShown);
  while (size > 0 && size < text.size() && (byte(size) & 0xc0) == 0x80) size--;
  std::string shown;
  for (size_t at = 0; at < size; at++) {
    const bool high = byte(at) == 0xc2 && at + 1 < size && byte(at + 1) >= 0x80 && byte(at + 1) < 0xa0;
    shown.push_back(high || byte(at) < 0x20 || byte(at) == 0x7f ? '?' : text[at]);
    if (high) at++;
  }
  return shown;
}

// Names between commas, if the route is for roles.
bool read_roles(tenon_bytes_t declared, Route& route, std::string& problem) {
  if (declared.size == 0) return true;
  if (route.auth != TENON_AUTH_ROLES) return problem = "names roles and is not for roles", false;
  if (declared.data == nullptr || declared.size > Route::kRoles * (Route::kRoleBytes + 1)) {
    return problem = "has roles that are NULL or longer than 64 names can be", false;
  }
  const std::string_view list = view(declared);
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view name = list.substr(begin, end - begin);
    begin = end + 1;
    if (!is_role(name)) {
      return problem = "has a role \"" + printable(name) + "\", which is not 1 to 63 bytes of [A-Za-z0-9_.:-]", false;
    }
    if (route.roles.size() == Route::kRoles) return problem = "is for more than 64 roles", false;
    route.roles.emplace_back(name);
  }
  return true;
}

void read_text(tenon_bytes_t declared, size_t limit, const char* name, std::string& text, std::string& flaw) {
  if (declared.size == 0) return;
  std::string found;
  if (declared.data == nullptr) {
    found = "is NULL";
  } else if (declared.size > limit) {
    found = "has " + std::to_string(declared.size) + " bytes, more than " + std::to_string(limit);
  } else if (!is_utf8(view(declared))) {
    found = "is no UTF-8";
  } else {
    text = std::string(view(declared));
    return;
  }
  if (flaw.empty()) flaw = std::string("its ") + name + " " + found;
}

RouteWords read_words(const tenon_route_t& declared) {
  RouteWords words;
  if (declared.size < sizeof(tenon_route_t)) return words;
  read_text(declared.summary, RouteWords::kSummaryBytes, "summary", words.summary, words.flaw);
  read_text(declared.description, RouteWords::kDescriptionBytes, "description", words.description, words.flaw);
  read_text(declared.openapi, RouteWords::kDocumentBytes, "openapi", words.openapi, words.flaw);
  return words;
}

int hexadecimal(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

const char* method_name(tenon_http_method method) {
  for (const Method& known : kMethods) {
    if (known.value == method) return known.name;
  }
  return "";
}

std::optional<tenon_http_method> method_of(std::string_view name) {
  for (const Method& known : kMethods) {
    if (name == known.name) return known.value;
  }
  return std::nullopt;
}

std::optional<Route> check_route(uint32_t index, const tenon_route_t* declared, const RouteDefaults& defaults,
                                 std::string& problem) {
  const std::string which = "route " + std::to_string(index);
  if (declared == nullptr || declared->size < offsetof(tenon_route_t, roles)) {
    return problem = which + " is NULL or smaller than version 1 of the struct", std::nullopt;
  }
  Route route = {};
  route.index = index;
  route.method = declared->method;
  if (*method_name(route.method) == '\0' || route.method == TENON_HTTP_HEAD) {
    return problem = which + " has method " + std::to_string(route.method) + ", which is none a route can have",
           std::nullopt;
  }
  if (declared->pattern.data == nullptr || declared->pattern.size > Route::kPatternBytes) {
    return problem = which + " has a pattern that is NULL or longer than 1,024 bytes", std::nullopt;
  }
  route.pattern = std::string(view(declared->pattern));
  std::string flaw;
  if (!parse_pattern(route.pattern, route.segments, flaw)) {
    return problem = which + ": its pattern \"" + printable(route.pattern) + "\" " + flaw, std::nullopt;
  }
  if (declared->execution != TENON_EXECUTION_POOL && declared->execution != TENON_EXECUTION_INLINE) {
    return problem = which + " (" + route.pattern + ") has an unknown execution " + std::to_string(declared->execution),
           std::nullopt;
  }
  route.inline_ = declared->execution == TENON_EXECUTION_INLINE;
  if (declared->deadline_ms > Route::kDeadlineMs) {
    return problem = which + " (" + route.pattern + ") has a deadline over 3,600,000 ms", std::nullopt;
  }
  route.deadline_ms = declared->deadline_ms == 0 ? defaults.deadline_ms : declared->deadline_ms;
  if (declared->body_limit > Route::kBodyBytes) {
    return problem = which + " (" + route.pattern + ") has a body limit over 1 GiB", std::nullopt;
  }
  route.body_limit = declared->body_limit == 0 ? defaults.body_limit : declared->body_limit;
  if (declared->auth > TENON_AUTH_ROLES) {
    return problem = which + " (" + route.pattern + ") has an unknown auth " + std::to_string(declared->auth),
           std::nullopt;
  }
  route.auth = declared->auth;
  if (declared->size >= offsetof(tenon_route_t, summary) && !read_roles(declared->roles, route, flaw)) {
    return problem = which + " (" + route.pattern + ") " + flaw, std::nullopt;
  }
  if (route.auth == TENON_AUTH_ROLES && route.roles.empty()) {
    return problem = which + " (" + route.pattern + ") is for roles and names none", std::nullopt;
  }
  route.words = read_words(*declared);
  return route;
}

bool is_role(std::string_view name) {
  return !name.empty() && name.size() <= Route::kRoleBytes && std::all_of(name.begin(), name.end(), [](char c) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return plain || c == '_' || c == '.' || c == ':' || c == '-';
  });
}

std::optional<Route> gate_route(tenon_http_method method, std::string_view path, uint32_t deadline_ms) {
  Route route = {};
  route.method = method;
  route.pattern = std::string(path);
  route.deadline_ms = deadline_ms;
  std::string problem;
  if (!parse_pattern(path, route.segments, problem)) return std::nullopt;
  return route;
}

std::optional<RouteTable> check_routes(tenon_plugin_t* plugin, const tenon_plugin_http_t& http,
                                       const RouteDefaults& defaults, std::string& problem) {
  RouteTable table;
  table.concurrency = http.max_concurrency == 0 ? defaults.concurrency : http.max_concurrency;
  if (table.concurrency > kMostConcurrency) {
    return problem = "max_concurrency " + std::to_string(table.concurrency) + " is over 64", std::nullopt;
  }
  const uint32_t count = http.route_count(plugin);
  if (count > Route::kMost) return problem = std::to_string(count) + " routes are more than 4,096", std::nullopt;
  table.routes.reserve(count);
  std::map<std::pair<tenon_http_method, std::string>, uint32_t> known;
  size_t said = 0;
  for (uint32_t index = 0; index < count; index++) {
    std::optional<Route> route = check_route(index, http.route(plugin, index), defaults, problem);
    if (!route) return std::nullopt;
    const auto [first, added] = known.emplace(std::make_pair(route->method, route->pattern), index);
    if (!added) {
      return problem = "routes " + std::to_string(first->second) + " and " + std::to_string(index) + " are both " +
                       method_name(route->method) + " " + route->pattern,
             std::nullopt;
    }
    said += route->words.size();
    if (said > RouteWords::kAllBytes) {
      said -= route->words.size();
      route->words = {{}, {}, {}, "what its routes say of themselves is together more than 1 MiB"};
    }
    table.routes.push_back(std::move(*route));
  }
  return table;
}

std::string percent_decoded(std::string_view text, bool plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t index = 0; index < text.size(); index++) {
    const char c = text[index];
    if (c == '%' && index + 2 < text.size()) {
      const int high = hexadecimal(text[index + 1]);
      const int low = hexadecimal(text[index + 2]);
      if (high >= 0 && low >= 0) {
        decoded.push_back(static_cast<char>(high * 16 + low));
        index += 2;
        continue;
      }
    }
    decoded.push_back(plus && c == '+' ? ' ' : c);
  }
  return decoded;
}

}  // namespace tenon::core
