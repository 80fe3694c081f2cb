// What is kept of an application: `custom` says it for all, `settings` of an application that lists telemetry for
// itself.
#pragma once

#include <optional>
#include <string>
#include <tenon/services.hpp>

constexpr const char* level_values = " is one of trace, debug, info, warn, error and fatal";

/* Number of a level by its name or its number; nothing for what is no level. */
inline std::optional<int64_t> level_of(std::string_view name) {
  static constexpr std::string_view names[] = {"trace", "debug", "info", "warn", "error", "fatal"};
  for (int64_t at = 0; at < 6; ++at)
    if (names[at] == name || std::to_string((at + 1) * 10) == name) return (at + 1) * 10;
  return std::nullopt;
}

struct Policy {
  int64_t level = TENON_LOG_INFO;
  double requests = 1;
  double spans = 1;

  /* Take over what `key` says. False: it is none of a policy's; `mistake` gets a sentence when it is, and wrong. */
  bool set(std::string_view key, tenon::JsonView value, std::string& mistake) {
    if (key == "level") {
      if (const auto given = level_of(value.text().value_or(""))) return level = *given, true;
      mistake = std::string("level") + level_values;
      return true;
    }
    if (key != "requests" && key != "spans") return false;
    const double share = value.number().value_or(-1);
    if (share >= 0 && share <= 1) {
      (key == "requests" ? requests : spans) = share;
    } else {
      mistake = std::string(key) + " has to be a share from 0 to 1";
    }
    return true;
  }
};
