// What a client asks for, checked.
#pragma once

#include <charconv>
#include <chrono>
#include <optional>
#include <string>

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

inline tenon::Response bad_request(std::string_view why) {
  return tenon::json(tenon::Json().object().field("title", why).field("status", 400))
      .type("application/problem+json")
      .status(400);
}
