// What the operator may set: `custom` of config.yaml, and `settings` of an application that lists this extension.
#ifndef TENON_AUTH_SETTINGS_HPP
#define TENON_AUTH_SETTINGS_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <tenon/services.hpp>

namespace auth {

struct Settings {
  int64_t access_s = 900;         // life of an access token
  int64_t refresh_s = 2'592'000;  // of a login that is not refreshed
  int64_t attempts = 5;           // wrong passwords in a row from which on a name has to wait
  int64_t first_ms = 1'000;       // for how long at first, twice as long each time ...
  int64_t most_ms = 900'000;      // ... and at most
};

// Reads `json` over what is in `settings`; refuses what is not known or out of bounds, and then changes nothing.
inline tenon::Result read_settings(std::string_view json, Settings& settings) {
  const auto view = tenon::JsonView::parse(json);
  if (!view || !view->is_object()) return tenon::refuse("custom is no mapping");
  Settings read;
  std::string wrong;
  view->each_member([&](std::string_view key, tenon::JsonView value) {
    const struct {
      std::string_view key;
      int64_t& into;
      int64_t most;
    } known[] = {{"accessSeconds", read.access_s, 86'400},
                 {"refreshSeconds", read.refresh_s, 31'536'000},
                 {"brakeAttempts", read.attempts, 1'000},
                 {"brakeFirstMs", read.first_ms, 3'600'000},
                 {"brakeMostMs", read.most_ms, 86'400'000}};
    for (const auto& each : known) {
      if (each.key != key) continue;
      const auto number = value.integer();
      if (!number || *number < 1 || *number > each.most)
        wrong = "custom." + std::string(key) + " must be a whole number from 1 to " + std::to_string(each.most);
      else
        each.into = *number;
      return;
    }
    wrong = "custom." + std::string(key) + " is not known";
  });
  if (!wrong.empty()) return tenon::refuse(std::move(wrong));
  settings = read;
  return tenon::ok();
}

// `rbac` of an application's settings.
inline tenon::Result read_rbac(std::string_view json, bool& rbac) {
  const auto view = tenon::JsonView::parse(json);
  if (!view || !view->is_object()) return tenon::refuse("settings are no mapping");
  const tenon::JsonView value = (*view)["rbac"];
  if (view->size() != (value ? 1u : 0u)) return tenon::refuse("settings know nothing but rbac");
  if (value && !value.is_boolean()) return tenon::refuse("settings.rbac must be true or false");
  rbac = value.boolean().value_or(false);
  return tenon::ok();
}

}  // namespace auth

#endif
