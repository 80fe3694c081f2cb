/*
 * From what an Extension overrides to the capabilities of the C contract. Part of <tenon/tenon.hpp>; nothing in it is
 * for authors but extension_entry().
 */
#include "tenon.hpp" /* first, and outside: it includes this one where it belongs */

#ifndef TENON_OFFERED_HPP
#define TENON_OFFERED_HPP

#include "extension.hpp"

namespace tenon {
namespace detail {

inline Exchange Edge::exchange(tenon_request_t* request, tenon_response_t* response) noexcept {
  return Exchange(request, response);
}
inline Roles Edge::roles(const tenon_auth_answer_t* answer) noexcept { return Roles(answer); }
inline tenon_hook_t Edge::declared(const Hook& hook) noexcept {
  return {static_cast<uint32_t>(sizeof(tenon_hook_t)), hook.version_, bytes(hook.name_), hook.order_};
}
template <typename Base>
Base& Edge::object(const Owned<Base>& owned) noexcept {
  return *owned.object_;
}
template <typename Base>
bool Edge::has_first(const Owned<Base>& owned) noexcept {
  return owned.first_;
}
template <typename Base>
bool Edge::has_second(const Owned<Base>& owned) noexcept {
  return owned.second_;
}

inline tenon_status Edge::answer(const tenon_auth_answer_t& to, const Refusal& refusal) {
  if (!refusal.why_.empty()) to.refuse(&to, bytes(refusal.why_), refusal.retry_after_s_);
  return refusal.status_;
}
inline tenon_status Edge::answer(const tenon_auth_answer_t& to, const Permission& permission) {
  return answer(to, permission.refusal_);
}
inline tenon_status Edge::answer(const tenon_auth_answer_t& to, const Decision& decision) {
  if (decision.refusal_.status_ != TENON_OK) return answer(to, decision.refusal_);
  std::vector<tenon_bytes_t> roles;
  roles.reserve(decision.roles_.size());
  for (const std::string& each : decision.roles_) roles.push_back(bytes(each));
  tenon_identity_t identity{};
  identity.size = sizeof identity;
  identity.role_count = static_cast<uint32_t>(roles.size());
  identity.subject = bytes(decision.subject_);
  identity.name = bytes(decision.name_);
  identity.roles = roles.data();
  identity.claims = bytes(decision.claims_);
  if (to.accept(&to, &identity, decision.cache_ms_) == TENON_OK) return TENON_OK;
  log_failure("a provider knew somebody whose subject, name, roles or claims are not within their bounds");
  return TENON_ERROR;
}
inline tenon_status Edge::answer(const ConfigResult& change) {
  if (change.reload_) return TENON_ERROR_UNSUPPORTED;
  if (!change.result_.refused()) return TENON_OK;
  log_failure(change.result_.reason());
  return TENON_ERROR;
}
inline tenon_status Edge::call(const Hook& hook, std::string_view input, const tenon_hook_output_t& output) {
  const Hooked hooked = hook.call_->run(input);
  if (hooked.status_ == TENON_OK) return output.write(&output, bytes(hooked.bytes_));
  if (hooked.status_ == TENON_ERROR) output.fail(&output, bytes(hooked.bytes_));
  return hooked.status_;
}

/* What the extension gave when it was asked, and the contract's structs, which point into it. */
struct Offered {
  struct Provider {
    std::unique_ptr<AuthProvider> object;
    std::string scheme;
    std::string header;
    std::string challenge;
  };

  Extension* extension = nullptr;
  std::vector<Provider> providers;
  std::vector<tenon_auth_provider_t> declared_providers;
  AuthHooks auth_hooks;
  tenon_plugin_auth_t auth{};
  Owned<Middleware> middleware;
  tenon_plugin_middleware_t around{};
  Hooks hooks;
  std::vector<tenon_hook_t> declared_hooks;
  tenon_plugin_hooks_t chain{};

  /* For the contract's functions: the generation's own. */
  static const Offered& own() noexcept { return *services.offered; }
};

TENON_OVERRIDES(auth_providers, Extension)
TENON_OVERRIDES(auth_hooks, Extension)
TENON_OVERRIDES(middleware, Extension)
TENON_OVERRIDES(hooks, Extension)
TENON_OVERRIDES(on_event, Extension)
TENON_OVERRIDES(config_changed, Extension)
#undef TENON_OVERRIDES

/* The functions behind the structs. Only those that an extension needs are compiled. */
struct Offering {
  static Result collect_providers(Offered& offered) {
    for (std::unique_ptr<AuthProvider>& each : offered.extension->auth_providers()) {
      if (!each) return refuse("auth_providers() gave a provider that is none");
      std::string scheme = each->scheme();
      std::string header = each->header();
      std::string challenge = each->challenge();
      offered.providers.push_back({std::move(each), std::move(scheme), std::move(header), std::move(challenge)});
    }
    for (const Offered::Provider& each : offered.providers)
      offered.declared_providers.push_back({static_cast<uint32_t>(sizeof(tenon_auth_provider_t)), bytes(each.scheme),
                                            bytes(each.header), bytes(each.challenge)});
    if (offered.providers.empty()) return ok();
    offered.auth.provider_count = [](tenon_plugin_t*) {
      return static_cast<uint32_t>(Offered::own().declared_providers.size());
    };
    offered.auth.provider = [](tenon_plugin_t*, uint32_t index) -> const tenon_auth_provider_t* {
      const Offered& own = Offered::own();
      return index < own.declared_providers.size() ? &own.declared_providers[index] : nullptr;
    };
    offered.auth.authenticate = [](tenon_plugin_t*, uint32_t index, tenon_request_t* request, tenon_bytes_t credential,
                                   const tenon_auth_answer_t* answer) -> tenon_status {
      const Offered& own = Offered::own();
      if (index >= own.providers.size()) return TENON_ERROR_ARGUMENT;
      return Edge::guard(Edge::log_failure, [&] {
        const Request asked = Edge::request(request);
        return Edge::answer(*answer, own.providers[index].object->authenticate(asked, view(credential)));
      });
    };
    return ok();
  }

  static Result collect_auth_hooks(Offered& offered) {
    offered.auth_hooks = offered.extension->auth_hooks();
    for (const Owned<AuthHook>& each : offered.auth_hooks) {
      if (!each) return refuse("auth_hooks() gave a hook that is none");
      if (Edge::has_first(each)) offered.auth.resolve_roles = resolve_roles;
      if (Edge::has_second(each)) offered.auth.authorize = authorize;
    }
    return ok();
  }

  static tenon_status resolve_roles(tenon_plugin_t*, tenon_request_t* request, const tenon_identity_t* identity,
                                    const tenon_auth_answer_t* answer) {
    return Edge::step([&]() -> Result {
      const Request asked = Edge::request(request);
      const Identity who(*identity);
      Roles roles = Edge::roles(answer);
      for (const Owned<AuthHook>& each : Offered::own().auth_hooks) {
        if (!Edge::has_first(each)) continue;
        Result result = Edge::object(each).resolve_roles(asked, who, roles);
        if (result.refused()) return result;
      }
      return ok();
    });
  }

  static tenon_status authorize(tenon_plugin_t*, tenon_request_t* request, const tenon_identity_t* identity,
                                const tenon_auth_answer_t* answer) {
    return Edge::guard(Edge::log_failure, [&]() -> tenon_status {
      const Request asked = Edge::request(request);
      std::optional<Identity> who;
      if (identity != nullptr) who.emplace(*identity);
      for (const Owned<AuthHook>& each : Offered::own().auth_hooks) {
        if (!Edge::has_second(each)) continue;
        const tenon_status status = Edge::answer(*answer, Edge::object(each).authorize(asked, who ? &*who : nullptr));
        if (status != TENON_OK) return status;
      }
      return TENON_OK;
    });
  }

  static Result collect_middleware(Offered& offered) {
    offered.middleware = offered.extension->middleware();
    if (!offered.middleware) return ok();
    if (services.middleware == nullptr || services.http == nullptr)
      return refuse("this host does not offer " TENON_MIDDLEWARE_ID);
    offered.around.size = sizeof offered.around;
    offered.around.order = Edge::object(offered.middleware).order();
    if (Edge::has_first(offered.middleware)) offered.around.before = before;
    if (Edge::has_second(offered.middleware)) offered.around.after = after;
    return ok();
  }

  static tenon_status before(tenon_plugin_t*, tenon_request_t* request, tenon_response_t* response, bool* answered) {
    const auto fail = [response](std::string_view message) { services.http->fail(response, bytes(message)); };
    return Edge::guard(fail, [&]() -> tenon_status {
      const Request asked = Edge::request(request);
      Exchange exchange = Edge::exchange(request, response);
      std::optional<Response> answer = Edge::object(Offered::own().middleware).before(asked, exchange);
      if (!answer) return TENON_OK;
      *answered = true;
      if (const char* const refusal = Edge::send(response, *answer)) {
        fail(refusal);
        return TENON_ERROR;
      }
      return TENON_OK;
    });
  }

  static void after(tenon_plugin_t*, tenon_request_t* request, tenon_response_t* response) {
    static_cast<void>(Edge::guard(Edge::log_failure, [&]() -> tenon_status {
      const Request asked = Edge::request(request);
      Exchange exchange = Edge::exchange(request, response);
      Edge::object(Offered::own().middleware).after(asked, exchange);
      return TENON_OK;
    }));
  }

  static Result collect_hooks(Offered& offered) {
    offered.hooks = offered.extension->hooks();
    for (const Hook& each : offered.hooks) offered.declared_hooks.push_back(Edge::declared(each));
    offered.chain.size = sizeof offered.chain;
    offered.chain.hook_count = [](tenon_plugin_t*) {
      return static_cast<uint32_t>(Offered::own().declared_hooks.size());
    };
    offered.chain.hook = [](tenon_plugin_t*, uint32_t index) -> const tenon_hook_t* {
      const Offered& own = Offered::own();
      return index < own.declared_hooks.size() ? &own.declared_hooks[index] : nullptr;
    };
    offered.chain.call = [](tenon_plugin_t*, uint32_t index, tenon_bytes_t input,
                            const tenon_hook_output_t* output) -> tenon_status {
      const Offered& own = Offered::own();
      if (index >= own.hooks.size()) return TENON_ERROR_ARGUMENT;
      const auto fail = [output](std::string_view message) { output->fail(output, bytes(message)); };
      return Edge::guard(fail, [&] { return Edge::call(own.hooks[index], view(input), *output); });
    };
    return ok();
  }

  static void on_event(tenon_plugin_t*, const tenon_event_t* events, size_t count, uint64_t dropped) {
    static_cast<void>(Edge::guard(Edge::log_failure, [&]() -> tenon_status {
      Offered::own().extension->on_event(Events(events, count, dropped));
      return TENON_OK;
    }));
  }

  static tenon_status changed(tenon_plugin_t*, tenon_bytes_t application, tenon_bytes_t json) {
    return Edge::guard(Edge::log_failure, [&] {
      return Edge::answer(Offered::own().extension->config_changed(view(application), view(json)));
    });
  }
};

template <typename Type>
Result collect(Offered& offered) {
  Result result = ok();
  if constexpr (Overrides_auth_providers<Type>::value) result = Offering::collect_providers(offered);
  if constexpr (Overrides_auth_hooks<Type>::value)
    if (!result.refused()) result = Offering::collect_auth_hooks(offered);
  if constexpr (Overrides_middleware<Type>::value)
    if (!result.refused()) result = Offering::collect_middleware(offered);
  if constexpr (Overrides_hooks<Type>::value)
    if (!result.refused()) result = Offering::collect_hooks(offered);
  offered.auth.size = sizeof offered.auth;
  return result;
}

template <typename Type>
const void* offer(const Offered& offered, const char* id) {
  if constexpr (Overrides_auth_providers<Type>::value || Overrides_auth_hooks<Type>::value) {
    const tenon_plugin_auth_t& auth = offered.auth;
    const bool any = auth.authenticate != nullptr || auth.resolve_roles != nullptr || auth.authorize != nullptr;
    if (std::strcmp(id, TENON_AUTH_ID) == 0) return any ? &auth : nullptr;
  }
  if constexpr (Overrides_middleware<Type>::value) {
    if (std::strcmp(id, TENON_MIDDLEWARE_ID) == 0)
      return offered.around.before != nullptr || offered.around.after != nullptr ? &offered.around : nullptr;
  }
  if constexpr (Overrides_hooks<Type>::value) {
    if (std::strcmp(id, TENON_HOOKS_ID) == 0) return offered.hooks.empty() ? nullptr : &offered.chain;
  }
  if constexpr (Overrides_on_event<Type>::value) {
    static constexpr tenon_plugin_events_t events = {sizeof(tenon_plugin_events_t), Offering::on_event};
    if (std::strcmp(id, TENON_EVENTS_ID) == 0) return &events;
  }
  if constexpr (Overrides_config_changed<Type>::value) {
    static constexpr tenon_plugin_config_t config = {sizeof(tenon_plugin_config_t), Offering::changed};
    if (std::strcmp(id, TENON_CONFIG_ID) == 0) return &config;
  }
  static_cast<void>(offered);
  static_cast<void>(id);
  return nullptr;
}

template <typename Type, typename = void>
struct StateVersion {
  static constexpr bool given = false;
  static constexpr uint32_t value = 0;
};
template <typename Type>
struct StateVersion<Type, std::void_t<decltype(Type::state_version)>> {
  static constexpr bool given = true;
  static constexpr uint32_t value = Type::state_version;
};

}  // namespace detail

/* The entry of the application's extension. */
template <typename Type>
constexpr ExtensionEntry extension_entry() {
  static_assert(std::is_base_of_v<Extension, Type>, "an extension must derive from tenon::Extension");
  static_assert(std::is_convertible_v<Type*, Extension*>, "an extension must derive publicly from tenon::Extension");
  static_assert(std::is_default_constructible_v<Type>, "an extension needs a constructor without arguments");
  constexpr bool saves = !std::is_same_v<decltype(&Type::save), std::string (Extension::*)()>;
  constexpr bool loads = !std::is_same_v<decltype(&Type::load), Result (Extension::*)(std::string_view, uint32_t)>;
  static_assert(saves == loads && saves == detail::StateVersion<Type>::given,
                "state needs all three: static constexpr uint32_t state_version, save() and load()");
  constexpr bool asked = detail::Overrides_auth_providers<Type>::value || detail::Overrides_auth_hooks<Type>::value ||
                         detail::Overrides_middleware<Type>::value || detail::Overrides_hooks<Type>::value;
  constexpr bool offers =
      asked || detail::Overrides_on_event<Type>::value || detail::Overrides_config_changed<Type>::value;
  ExtensionEntry entry = {&detail::make<Extension, Type>, detail::StateVersion<Type>::given,
                          detail::StateVersion<Type>::value, nullptr, nullptr};
  if constexpr (asked) entry.collect = &detail::collect<Type>;
  if constexpr (offers) entry.offer = &detail::offer<Type>;
  return entry;
}

}  // namespace tenon

#endif
