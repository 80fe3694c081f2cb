#ifndef TENON_CORE_OFFERS_H
#define TENON_CORE_OFFERS_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tenon/ext/auth.h"
#include "tenon/ext/config.h"
#include "tenon/ext/events.h"
#include "tenon/ext/hooks.h"
#include "tenon/ext/middleware.h"
#include "tenon/plugin.h"

namespace tenon::core {

struct Provider {
  std::string scheme;
  std::string header;
  std::string challenge;
};

struct Hook {
  std::string name;
  uint32_t version;
  int32_t order;
};

// What a generation offers to others beside routes: a checked copy of what it declares, and where its functions are.
// Empty tables are no offer. Does not change once it has been read.
struct Offers {
  static constexpr size_t kSchemeBytes = 64;
  static constexpr size_t kHeaderBytes = 128;
  static constexpr size_t kChallengeBytes = 1024;
  static constexpr size_t kHookNameBytes = 127;

  const tenon_plugin_auth_t* auth = nullptr;
  const tenon_plugin_middleware_t* middleware = nullptr;
  const tenon_plugin_hooks_t* hooks = nullptr;
  const tenon_plugin_events_t* events = nullptr;
  const tenon_plugin_config_t* config = nullptr;

  std::vector<Provider> providers;
  bool authorizes = false;
  bool resolves_roles = false;
  int32_t order = 0;  // of its middleware
  bool before = false;
  bool after = false;
  std::vector<Hook> hook_list;
};

// What `plugin` declares, or nothing and why not in `problem`. [control]
std::optional<Offers> check_offers(tenon_plugin_t* plugin, std::string& problem);

}  // namespace tenon::core

#endif
