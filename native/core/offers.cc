#include "offers.h"

#include <algorithm>
#include <cstddef>

#include "byte_buffer.h"
#include "response.h"

namespace tenon::core {

namespace {

// Whether a table or an entry of it has at least what version 1 had up to `bytes`.
template <typename Table>
bool is_whole(const Table* table, size_t bytes) {
  return table != nullptr && table->size >= bytes;
}

bool is_between(tenon_bytes_t bytes, size_t least, size_t most) {
  return bytes.size >= least && bytes.size <= most && (bytes.data != nullptr || bytes.size == 0);
}

bool is_hook_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
}

bool is_lower_case(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool check_provider(const tenon_auth_provider_t* declared, const std::string& which, Provider& provider,
                    std::string& problem) {
  if (!is_whole(declared, sizeof(tenon_auth_provider_t))) {
    return problem = which + " is NULL or smaller than version 1 of the struct", false;
  }
  if (!is_between(declared->scheme, 1, Offers::kSchemeBytes) || !is_token(view(declared->scheme))) {
    return problem = which + " has a scheme that is not a token of 1 to 64 bytes", false;
  }
  if (!is_between(declared->header, 1, Offers::kHeaderBytes) || !is_token(view(declared->header)) ||
      !is_lower_case(view(declared->header))) {
    return problem = which + " has a header that is not a token of 1 to 128 bytes in lower case", false;
  }
  if (!is_between(declared->challenge, 0, Offers::kChallengeBytes) || !is_field_value(view(declared->challenge))) {
    return problem = which + " has a challenge over 1,024 bytes or with a control byte", false;
  }
  provider = {std::string(view(declared->scheme)), std::string(view(declared->header)),
              std::string(view(declared->challenge))};
  return true;
}

bool read_auth(tenon_plugin_t* plugin, Offers& offers, std::string& problem) {
  const tenon_plugin_auth_t* const auth = offers.auth;
  offers.authorizes = TENON_HAS(auth, authorize);
  offers.resolves_roles = TENON_HAS(auth, resolve_roles);
  const uint32_t count = TENON_HAS(auth, provider_count) ? auth->provider_count(plugin) : 0;
  if (count > TENON_AUTH_PROVIDERS) return problem = std::to_string(count) + " providers are more than 16", false;
  if (count > 0 && !(TENON_HAS(auth, provider) && TENON_HAS(auth, authenticate))) {
    return problem = "its tenon.auth/1 has providers and lacks provider or authenticate", false;
  }
  offers.providers.resize(count);
  for (uint32_t index = 0; index < count; index++) {
    const std::string which = "provider " + std::to_string(index);
    if (!check_provider(auth->provider(plugin, index), which, offers.providers[index], problem)) return false;
  }
  return true;
}

bool check_hook(const tenon_hook_t* declared, const std::string& which, Hook& hook, std::string& problem) {
  if (!is_whole(declared, sizeof(tenon_hook_t))) {
    return problem = which + " is NULL or smaller than version 1 of the struct", false;
  }
  if (!is_between(declared->name, 1, Offers::kHookNameBytes) || !is_hook_name(view(declared->name))) {
    return problem = which + " has a name that is not 1 to 127 bytes of [a-z0-9_.-]", false;
  }
  if (declared->version == 0) return problem = which + " has version 0; versions begin with 1", false;
  hook = {std::string(view(declared->name)), declared->version, declared->order};
  return true;
}

bool read_hooks(tenon_plugin_t* plugin, Offers& offers, std::string& problem) {
  const tenon_plugin_hooks_t* const hooks = offers.hooks;
  const uint32_t count = TENON_HAS(hooks, hook_count) ? hooks->hook_count(plugin) : 0;
  if (count > TENON_HOOKS_LIMIT) return problem = std::to_string(count) + " hooks are more than 64", false;
  if (count > 0 && !(TENON_HAS(hooks, hook) && TENON_HAS(hooks, call))) {
    return problem = "its tenon.hooks/1 has hooks and lacks hook or call", false;
  }
  offers.hook_list.resize(count);
  for (uint32_t index = 0; index < count; index++) {
    const std::string which = "hook " + std::to_string(index);
    if (!check_hook(hooks->hook(plugin, index), which, offers.hook_list[index], problem)) return false;
  }
  return true;
}

}  // namespace

std::optional<Offers> check_offers(tenon_plugin_t* plugin, std::string& problem) {
  Offers offers;
  const auto find = [plugin](const char* id) { return plugin->get_extension(plugin, id); };
  offers.auth = static_cast<const tenon_plugin_auth_t*>(find(TENON_AUTH_ID));
  offers.middleware = static_cast<const tenon_plugin_middleware_t*>(find(TENON_MIDDLEWARE_ID));
  offers.hooks = static_cast<const tenon_plugin_hooks_t*>(find(TENON_HOOKS_ID));
  offers.events = static_cast<const tenon_plugin_events_t*>(find(TENON_EVENTS_ID));
  offers.config = static_cast<const tenon_plugin_config_t*>(find(TENON_CONFIG_ID));
  if (offers.auth != nullptr && !read_auth(plugin, offers, problem)) return std::nullopt;
  if (offers.hooks != nullptr && !read_hooks(plugin, offers, problem)) return std::nullopt;
  if (const auto* const middleware = offers.middleware; middleware != nullptr) {
    if (!is_whole(middleware, offsetof(tenon_plugin_middleware_t, before))) {
      return problem = "its tenon.middleware/1 is smaller than version 1 of the struct", std::nullopt;
    }
    offers.order = middleware->order;
    offers.before = TENON_HAS(middleware, before);
    offers.after = TENON_HAS(middleware, after);
  }
  if (offers.providers.empty() && !offers.authorizes && !offers.resolves_roles) offers.auth = nullptr;
  if (!offers.before && !offers.after) offers.middleware = nullptr;
  if (offers.hook_list.empty()) offers.hooks = nullptr;
  if (!TENON_HAS(offers.events, on_event)) offers.events = nullptr;
  if (!TENON_HAS(offers.config, changed)) offers.config = nullptr;
  return offers;
}

}  // namespace tenon::core
