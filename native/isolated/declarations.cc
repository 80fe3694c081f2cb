#include <algorithm>
#include <utility>

#include "byte_buffer.h"
#include "plugin_functions.h"
#include "route.h"
#include "step_patience.h"

namespace tenon::isolated {

namespace {

// What is in the texts, and how many there are, is checked where that of any plugin is.
bool read(wire::Reader& reader, Declarations& declarations) {
  using core::bytes;
  declarations.shape = reader.get<uint32_t>();
  declarations.order = reader.get<int32_t>();
  if ((declarations.shape & ~wire::kLateShape) != 0) return false;
  const auto each = [&reader](uint32_t& count, uint32_t most, auto& list, auto&& take) {
    count = reader.get<uint32_t>();
    for (uint32_t index = 0; count <= most && index < count && reader.whole(); index++) {
      auto& own = list.emplace_back();
      if (reader.flag()) take(own);
    }
  };
  each(declarations.provider_count, TENON_AUTH_PROVIDERS, declarations.providers, [&reader](auto& own) {
    own.provider.size = sizeof own.provider;
    own.scheme = reader.text();
    own.header = reader.text();
    own.challenge = reader.text();
  });
  each(declarations.hook_count, TENON_HOOKS_LIMIT, declarations.hooks, [&reader](auto& own) {
    own.hook.size = sizeof own.hook;
    own.name = reader.text();
    own.hook.version = reader.get<uint32_t>();
    own.hook.order = reader.get<int32_t>();
  });
  each(declarations.route_count, core::Route::kMost, declarations.routes, [&reader](auto& own) {
    own.route.size = sizeof own.route;
    own.route.method = reader.get<int32_t>();
    own.pattern = reader.text();
    // A handler in another process is waited for: not on the event loop.
    own.route.execution = TENON_EXECUTION_POOL;
    own.route.deadline_ms = reader.get<uint32_t>();
    own.route.body_limit = reader.get<uint64_t>();
    own.route.auth = reader.get<uint32_t>();
    own.roles = reader.text();
    own.summary = reader.text();
    own.description = reader.text();
    own.openapi = reader.text();
  });
  if (!reader.ended()) return false;
  for (auto& own : declarations.routes) {
    own.route.pattern = bytes(own.pattern);
    own.route.roles = bytes(own.roles);
    own.route.summary = bytes(own.summary);
    own.route.description = bytes(own.description);
    own.route.openapi = bytes(own.openapi);
  }
  for (auto& own : declarations.providers) {
    own.provider.scheme = bytes(own.scheme);
    own.provider.header = bytes(own.header);
    own.provider.challenge = bytes(own.challenge);
  }
  for (auto& own : declarations.hooks) own.hook.name = bytes(own.name);
  return true;
}

}  // namespace

bool Declarations::goes_with(const Declarations& other) const {
  const auto same = [](const auto& left, const auto& right, auto equal) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(), equal);
  };
  const auto same_route = [](const DeclaredRoute& left, const DeclaredRoute& right) {
    return left.route.size == right.route.size && left.route.method == right.route.method &&
           left.route.auth == right.route.auth && left.pattern == right.pattern && left.roles == right.roles;
  };
  const auto same_provider = [](const DeclaredProvider& left, const DeclaredProvider& right) {
    return left.provider.size == right.provider.size && left.scheme == right.scheme && left.header == right.header &&
           left.challenge == right.challenge;
  };
  const auto same_hook = [](const DeclaredHook& left, const DeclaredHook& right) {
    return left.hook.size == right.hook.size && left.name == right.name && left.hook.version == right.hook.version &&
           left.hook.order == right.hook.order;
  };
  return shape == other.shape && order == other.order && provider_count == other.provider_count &&
         hook_count == other.hook_count && route_count == other.route_count && same(routes, other.routes, same_route) &&
         same(providers, other.providers, same_provider) && same(hooks, other.hooks, same_hook);
}

tenon_status IsolatedPlugin::read_declarations(Session& session, Declarations& declarations, std::string& problem) {
  StepPatience patience(settings_.lifecycle_ms);
  std::string answer;
  if (session.call(wire::kDownDeclare, {}, answer, patience, true) != wire::Outcome::Done) {
    session.kill("did not say what it offers");
    return problem = "its process ended while it said what it offers", TENON_ERROR;
  }
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  problem = reader.text();
  if (status != TENON_OK && reader.ended()) return session.kill("did not say what it offers"), status;
  if (read(reader, declarations)) return TENON_OK;
  session.kill("declared what are no routes, providers and hooks");
  return problem = "its process declared what are no routes, providers and hooks", TENON_ERROR;
}

const Declarations* IsolatedPlugin::declarations() {
  if (std::exchange(was_asked_, true)) return declarations_.get();
  StepPatience waiting(settings_.lifecycle_ms);
  std::vector<std::shared_ptr<Session>> sessions;
  if (!gather(wire::kDownDeclare, waiting, sessions)) return nullptr;
  std::unique_ptr<Declarations> first;
  for (const std::shared_ptr<Session>& session : sessions) {
    std::string problem;
    auto own = std::make_unique<Declarations>();
    if (read_declarations(*session, *own, problem) == TENON_OK && first && !first->goes_with(*own)) {
      session->kill(problem = "it does not offer the same in each of its processes");
    }
    if (!problem.empty()) return report(settings_.launch.settings.id + ": " + problem), nullptr;
    if (!first) first = std::move(own);
  }
  take_late_shape(first->shape, first->order);
  declarations_ = std::move(first);
  return declarations_.get();
}

uint32_t PluginFunctions::route_count(tenon_plugin_t* plugin) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr ? 0 : own->route_count;
}

const tenon_route_t* PluginFunctions::route(tenon_plugin_t* plugin, uint32_t index) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr || index >= own->routes.size() ? nullptr : &own->routes[index].route;
}

uint32_t PluginFunctions::provider_count(tenon_plugin_t* plugin) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr ? 0 : own->provider_count;
}

const tenon_auth_provider_t* PluginFunctions::provider(tenon_plugin_t* plugin, uint32_t index) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr || index >= own->providers.size() ? nullptr : &own->providers[index].provider;
}

uint32_t PluginFunctions::hook_count(tenon_plugin_t* plugin) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr ? 0 : own->hook_count;
}

const tenon_hook_t* PluginFunctions::hook(tenon_plugin_t* plugin, uint32_t index) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr || index >= own->hooks.size() ? nullptr : &own->hooks[index].hook;
}

}  // namespace tenon::isolated
