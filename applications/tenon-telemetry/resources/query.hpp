// What a client asks for, checked.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <optional>
#include <string>

#include "problem.hpp"
#include "telemetry.hpp"

/* A whole number of at most 15 digits. */
inline std::optional<int64_t> number_of(std::string_view text) {
  int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || number < 0) return std::nullopt;
  return number < 1000000000000000 ? std::optional(number) : std::nullopt;
}

/* Milliseconds since the epoch: as they are, or how long ago: "90s", "15m", "2h", "7d". */
inline std::optional<int64_t> time_of(std::string_view text) {
  const int64_t unit_ms = text.empty()         ? 0
                          : text.back() == 's' ? 1000
                          : text.back() == 'm' ? 60000
                          : text.back() == 'h' ? 3600000
                          : text.back() == 'd' ? 86400000
                                               : 0;
  if (unit_ms == 0) return number_of(text);
  const auto count = number_of(text.substr(0, text.size() - 1));
  if (!count || *count > 1000000000) return std::nullopt;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t time = std::chrono::duration_cast<std::chrono::milliseconds>(now).count() - *count * unit_ms;
  return time < 0 ? 0 : time;
}

/* Records that are looked at for one answer. */
constexpr size_t most_seen = 200000;

/* Why a scan has ended early; empty when it has not. */
inline std::string cause_of(const tenon::Written& problem) {
  if (problem) return {};
  const std::string_view message = problem.message();
  return message.empty() ? "records cannot be read: status " + std::to_string(problem.status()) : std::string(message);
}

inline tenon::Response bad_request(const tenon::Request& request, std::string_view why) {
  return problem(request, {400, "BadRequest", "badrequest", "The request could not be understood"}, why);
}

inline tenon::Response unavailable(const tenon::Request& request, std::string_view why) {
  return problem(request, {503, "PluginBusy", "pluginbusy", "Too many calls wait for the plugin"}, why);
}

/* The refusal of a parameter that is none of these; in the order of the query. */
template <typename Names>
std::optional<tenon::Response> unknown_parameter(const tenon::Request& request, const Names& names) {
  std::string_view rest = request.query();
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(pair.size() == rest.size() ? pair.size() : pair.size() + 1);
    const std::string_view name = pair.substr(0, pair.find('='));
    if (pair.empty() || std::find(std::begin(names), std::end(names), name) != std::end(names)) continue;
    std::string list;
    for (const std::string_view each : names) (list += list.empty() ? "" : ", ") += each;
    return bad_request(request, (name.size() > 64 ? "a parameter" : std::string(name)) + " is none of " + list);
  }
  return std::nullopt;
}
