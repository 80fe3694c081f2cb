#include <algorithm>
#include <utility>

#include "byte_buffer.h"
#include "plugin_functions.h"
#include "route.h"
#include "step_patience.h"

namespace tenon::isolated {

namespace {

// What is in the texts is checked where that of any plugin is.
bool read(wire::Reader& reader, Declarations& declarations) {
  using core::bytes;
  declarations.shape = reader.get<uint32_t>();
  declarations.order = reader.get<int32_t>();
  if ((declarations.shape & ~wire::kLateShape) != 0) return false;
  const uint32_t routes = reader.count(1);
  if (routes > core::Route::kMost) return false;
  for (uint32_t index = 0; index < routes && reader.whole(); index++) {
    auto& own = declarations.routes.emplace_back();
    own.route.size = sizeof(tenon_route_t);
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
  }
  const uint32_t providers = reader.count(1);
  if (providers > TENON_AUTH_PROVIDERS) return false;
  for (uint32_t index = 0; index < providers && reader.whole(); index++) {
    auto& own = declarations.providers.emplace_back();
    own.scheme = reader.text();
    own.header = reader.text();
    own.challenge = reader.text();
  }
  const uint32_t hooks = reader.count(1);
  if (hooks > TENON_HOOKS_LIMIT) return false;
  for (uint32_t index = 0; index < hooks && reader.whole(); index++) {
    auto& own = declarations.hooks.emplace_back();
    own.hook.size = sizeof(tenon_hook_t);
    own.name = reader.text();
    own.hook.version = reader.get<uint32_t>();
    own.hook.order = reader.get<int32_t>();
  }
  if (!reader.ended()) return false;
  for (auto& own : declarations.routes) {
    own.route.pattern = bytes(own.pattern);
    own.route.roles = bytes(own.roles);
    own.route.summary = bytes(own.summary);
    own.route.description = bytes(own.description);
    own.route.openapi = bytes(own.openapi);
  }
  for (auto& own : declarations.providers) {
    own.provider = {sizeof(tenon_auth_provider_t), bytes(own.scheme), bytes(own.header), bytes(own.challenge)};
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
    return left.route.method == right.route.method && left.route.auth == right.route.auth &&
           left.pattern == right.pattern && left.roles == right.roles;
  };
  const auto same_provider = [](const DeclaredProvider& left, const DeclaredProvider& right) {
    return left.scheme == right.scheme && left.header == right.header && left.challenge == right.challenge;
  };
  const auto same_hook = [](const DeclaredHook& left, const DeclaredHook& right) {
    return left.name == right.name && left.hook.version == right.hook.version && left.hook.order == right.hook.order;
  };
  return shape == other.shape && order == other.order && same(routes, other.routes, same_route) &&
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
  return own == nullptr ? 0 : static_cast<uint32_t>(own->routes.size());
}

const tenon_route_t* PluginFunctions::route(tenon_plugin_t* plugin, uint32_t index) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr || index >= own->routes.size() ? nullptr : &own->routes[index].route;
}

uint32_t PluginFunctions::provider_count(tenon_plugin_t* plugin) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr ? 0 : static_cast<uint32_t>(own->providers.size());
}

const tenon_auth_provider_t* PluginFunctions::provider(tenon_plugin_t* plugin, uint32_t index) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr || index >= own->providers.size() ? nullptr : &own->providers[index].provider;
}

uint32_t PluginFunctions::hook_count(tenon_plugin_t* plugin) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr ? 0 : static_cast<uint32_t>(own->hooks.size());
}

const tenon_hook_t* PluginFunctions::hook(tenon_plugin_t* plugin, uint32_t index) {
  const Declarations* const own = IsolatedPlugin::of(plugin).declarations();
  return own == nullptr || index >= own->hooks.size() ? nullptr : &own->hooks[index].hook;
}

}  // namespace tenon::isolated
