/*
 * From what an extension overrides to the capabilities of the C contract. Part of <tenon/tenon.hpp>; nothing in it is
 * for authors but extension_entry().
 */
#include "tenon.hpp" /* first, and outside: it includes this one where it belongs */

#ifndef TENON_OFFERED_HPP
#define TENON_OFFERED_HPP

#include "extension.hpp"

namespace tenon {
namespace detail {

TENON_OVERRIDES(auth_providers, Extension)
TENON_OVERRIDES(auth_hooks, Extension)
TENON_OVERRIDES(middleware, Extension)
TENON_OVERRIDES(hooks, Extension)
TENON_OVERRIDES(on_event, Extension)
TENON_OVERRIDES(config_changed, Extension)
TENON_OVERRIDES(quiesce, Extension)
#undef TENON_OVERRIDES

/* The objects that the extension `Type` gave, and the contract's structs, which point into them. A template: what a
 * plugin does not offer is not compiled. */
template <typename Type>
class Offering final : public Offered {
 public:
  static constexpr bool has_auth = Overrides_auth_providers<Type>::value || Overrides_auth_hooks<Type>::value;
  static constexpr bool has_any = has_auth || Overrides_middleware<Type>::value || Overrides_hooks<Type>::value ||
                                  Overrides_on_event<Type>::value || Overrides_config_changed<Type>::value;

  static std::unique_ptr<Offered> collect(Extension& extension, Result& result) {
    std::unique_ptr<Offering> made(new Offering);
    if constexpr (Overrides_auth_providers<Type>::value) result = made->collect_providers(extension);
    if constexpr (Overrides_auth_hooks<Type>::value)
      if (!result.refused()) result = made->collect_auth_hooks(extension);
    if constexpr (Overrides_middleware<Type>::value)
      if (!result.refused()) result = made->collect_middleware(extension);
    if constexpr (Overrides_hooks<Type>::value)
      if (!result.refused()) result = made->collect_hooks(extension);
    if constexpr (Overrides_on_event<Type>::value) made->events_.on_event = on_event;
    if constexpr (Overrides_config_changed<Type>::value) made->config_.changed = config_changed;
    static_cast<void>(extension);
    static_cast<void>(result);
    return made;
  }

  const void* offer(const char* id) const override {
    if constexpr (has_auth) {
      const bool any = auth_.authenticate != nullptr || auth_.resolve_roles != nullptr || auth_.authorize != nullptr;
      if (std::strcmp(id, TENON_AUTH_ID) == 0) return any ? &auth_ : nullptr;
    }
    if constexpr (Overrides_middleware<Type>::value) {
      if (std::strcmp(id, TENON_MIDDLEWARE_ID) == 0) return middleware_ ? &declared_middleware_ : nullptr;
    }
    if constexpr (Overrides_hooks<Type>::value) {
      if (std::strcmp(id, TENON_HOOKS_ID) == 0) return hooks_.empty() ? nullptr : &chain_;
    }
    if constexpr (Overrides_on_event<Type>::value) {
      if (std::strcmp(id, TENON_EVENTS_ID) == 0) return &events_;
    }
    if constexpr (Overrides_config_changed<Type>::value) {
      if (std::strcmp(id, TENON_CONFIG_ID) == 0) return &config_;
    }
    return nullptr;
  }

 private:
  struct Provider {
    std::unique_ptr<AuthProvider> object;
    std::string scheme;
    std::string header;
    std::string challenge;
  };

  /* Of the generation that the contract's function was called for. */
  static const Offering& own() noexcept { return *static_cast<const Offering*>(services.offered); }

  Result collect_providers(Extension& extension) {
    for (std::unique_ptr<AuthProvider>& each : extension.auth_providers()) {
      if (!each) return refuse("auth_providers() gave a provider that is none");
      std::string scheme = each->scheme();
      std::string header = each->header();
      std::string challenge = each->challenge();
      providers_.push_back({std::move(each), std::move(scheme), std::move(header), std::move(challenge)});
    }
    for (const Provider& each : providers_)
      declared_providers_.push_back({static_cast<uint32_t>(sizeof(tenon_auth_provider_t)), bytes(each.scheme),
                                     bytes(each.header), bytes(each.challenge)});
    if (providers_.empty()) return ok();
    auth_.size = sizeof auth_;
    auth_.provider_count = [](tenon_plugin_t*) { return static_cast<uint32_t>(own().declared_providers_.size()); };
    auth_.provider = [](tenon_plugin_t*, uint32_t index) -> const tenon_auth_provider_t* {
      const auto& list = own().declared_providers_;
      return index < list.size() ? &list[index] : nullptr;
    };
    auth_.authenticate = authenticate;
    return ok();
  }

  static tenon_status authenticate(tenon_plugin_t*, uint32_t index, tenon_request_t* request, tenon_bytes_t credential,
                                   const tenon_auth_answer_t* answer) {
    if (index >= own().providers_.size()) return TENON_ERROR_ARGUMENT;
    return Edge::guard(failing(*answer), [&] {
      const Request asked = Edge::request(request);
      const Decision decision = own().providers_[index].object->authenticate(asked, view(credential));
      if (decision.refusal_.status_ != TENON_OK) return refused(*answer, decision.refusal_);
      return accepted(*answer, decision);
    });
  }

  static tenon_status accepted(const tenon_auth_answer_t& answer, const Decision& decision) {
    std::vector<tenon_bytes_t> roles;
    for (const std::string& each : decision.roles_) roles.push_back(bytes(each));
    tenon_identity_t identity{};
    identity.size = sizeof identity;
    identity.role_count = static_cast<uint32_t>(roles.size());
    identity.subject = bytes(decision.subject_);
    identity.name = bytes(decision.name_);
    identity.roles = roles.data();
    identity.claims = bytes(decision.claims_);
    if (answer.accept(&answer, &identity, decision.cache_ms_) == TENON_OK) return TENON_OK;
    failing(answer)("it knew somebody whose subject, name, roles or claims are not within their bounds");
    return TENON_ERROR;
  }

  /* The host logs it, with the request. */
  static auto failing(const tenon_auth_answer_t& answer) {
    return [&answer](std::string_view message) { answer.refuse(&answer, bytes(message), 0); };
  }

  static tenon_status refused(const tenon_auth_answer_t& answer, const Refusal& refusal) {
    if (!refusal.why_.empty()) answer.refuse(&answer, bytes(refusal.why_), refusal.retry_after_s_);
    return refusal.status_;
  }

  Result collect_auth_hooks(Extension& extension) {
    auth_hooks_ = extension.auth_hooks();
    auth_.size = sizeof auth_;
    for (const Owned<AuthHook>& each : auth_hooks_) {
      if (!each) return refuse("auth_hooks() gave a hook that is none");
      if (each.first_) auth_.resolve_roles = resolve_roles;
      if (each.second_) auth_.authorize = authorize;
    }
    return ok();
  }

  static tenon_status resolve_roles(tenon_plugin_t*, tenon_request_t* request, const tenon_identity_t* identity,
                                    const tenon_auth_answer_t* answer) {
    const auto fail = failing(*answer);
    return Edge::guard(fail, [&]() -> tenon_status {
      const Request asked = Edge::request(request);
      const Identity who(*identity);
      Roles roles(answer);
      for (const Owned<AuthHook>& each : own().auth_hooks_) {
        const Result result = each.first_ ? each.object_->resolve_roles(asked, who, roles) : ok();
        if (!result.refused()) continue;
        fail(result.reason());
        return TENON_ERROR;
      }
      return TENON_OK;
    });
  }

  static tenon_status authorize(tenon_plugin_t*, tenon_request_t* request, const tenon_identity_t* identity,
                                const tenon_auth_answer_t* answer) {
    return Edge::guard(failing(*answer), [&]() -> tenon_status {
      const Request asked = Edge::request(request);
      std::optional<Identity> who;
      if (identity != nullptr) who.emplace(*identity);
      for (const Owned<AuthHook>& each : own().auth_hooks_) {
        if (!each.second_) continue;
        const Permission permission = each.object_->authorize(asked, who ? &*who : nullptr);
        if (permission.refusal_.status_ != TENON_OK) return refused(*answer, permission.refusal_);
      }
      return TENON_OK;
    });
  }

  Result collect_middleware(Extension& extension) {
    middleware_ = extension.middleware();
    if (!middleware_) return ok();
    if (services.middleware == nullptr || services.http == nullptr)
      return refuse("this host does not offer " TENON_MIDDLEWARE_ID);
    declared_middleware_.size = sizeof declared_middleware_;
    declared_middleware_.order = middleware_.object_->order();
    if (middleware_.first_) declared_middleware_.before = before;
    if (middleware_.second_) declared_middleware_.after = after;
    return ok();
  }

  static tenon_status before(tenon_plugin_t*, tenon_request_t* request, tenon_response_t* response, bool* answered) {
    const auto fail = [response](std::string_view message) { services.http->fail(response, bytes(message)); };
    return Edge::guard(fail, [&]() -> tenon_status {
      const Request asked = Edge::request(request);
      Exchange exchange(request, response);
      std::optional<Response> answer = own().middleware_.object_->before(asked, exchange);
      if (!answer) return TENON_OK;
      *answered = true;
      const char* const refusal = Edge::send(response, *answer);
      if (refusal == nullptr) return TENON_OK;
      fail(refusal);
      return TENON_ERROR;
    });
  }

  static void after(tenon_plugin_t*, tenon_request_t* request, tenon_response_t* response) {
    const auto fail = [request](std::string_view message) {
      log::error(message, {{"request_id", Edge::request(request).request_id()}, {"step", "after"}});
    };
    static_cast<void>(Edge::guard(fail, [&]() -> tenon_status {
      const Request asked = Edge::request(request);
      Exchange exchange(request, response);
      own().middleware_.object_->after(asked, exchange);
      return TENON_OK;
    }));
  }

  Result collect_hooks(Extension& extension) {
    hooks_ = extension.hooks();
    for (const Hook& each : hooks_)
      declared_hooks_.push_back(
          {static_cast<uint32_t>(sizeof(tenon_hook_t)), each.version_, bytes(each.name_), each.order_});
    chain_.size = sizeof chain_;
    chain_.hook_count = [](tenon_plugin_t*) { return static_cast<uint32_t>(own().declared_hooks_.size()); };
    chain_.hook = [](tenon_plugin_t*, uint32_t index) -> const tenon_hook_t* {
      const auto& list = own().declared_hooks_;
      return index < list.size() ? &list[index] : nullptr;
    };
    chain_.call = call;
    return ok();
  }

  static tenon_status call(tenon_plugin_t*, uint32_t index, tenon_bytes_t input, const tenon_hook_output_t* output) {
    if (index >= own().hooks_.size()) return TENON_ERROR_ARGUMENT;
    bool threw = false;
    const auto fail = [output](std::string_view message) { output->fail(output, bytes(message)); };
    const auto caught = [&threw, &fail](std::string_view message) { return threw = true, fail(message); };
    const tenon_status status = Edge::guard(caught, [&]() -> tenon_status {
      const Hooked hooked = own().hooks_[index].call_->run(view(input));
      if (hooked.status_ == TENON_OK) return output->write(output, bytes(hooked.bytes_));
      if (hooked.status_ == TENON_ERROR) fail(hooked.bytes_);
      return hooked.status_;
    });
    return threw ? TENON_ERROR_INVALID : status; /* no refusal: the message is for the log */
  }

  static void on_event(tenon_plugin_t*, const tenon_event_t* events, size_t count, uint64_t dropped) {
    static_cast<void>(Edge::guard(Edge::log_failure, [&]() -> tenon_status {
      services.extension->on_event(Events(events, count, dropped));
      return TENON_OK;
    }));
  }

  static tenon_status config_changed(tenon_plugin_t*, tenon_bytes_t application, tenon_bytes_t json) {
    return Edge::guard(Edge::log_failure, [&]() -> tenon_status {
      const ConfigResult change = services.extension->config_changed(view(application), view(json));
      if (change.reload_) return TENON_ERROR_UNSUPPORTED;
      if (!change.result_.refused()) return TENON_OK;
      Edge::log_failure(change.result_.reason());
      return TENON_ERROR;
    });
  }

  std::vector<Provider> providers_;
  std::vector<tenon_auth_provider_t> declared_providers_;
  AuthHooks auth_hooks_;
  tenon_plugin_auth_t auth_{};
  Owned<Middleware> middleware_;
  tenon_plugin_middleware_t declared_middleware_{};
  Hooks hooks_;
  std::vector<tenon_hook_t> declared_hooks_;
  tenon_plugin_hooks_t chain_{};
  /* Members, not constants: those of two images with this type could become one. */
  tenon_plugin_events_t events_ = {sizeof(tenon_plugin_events_t), nullptr};
  tenon_plugin_config_t config_ = {sizeof(tenon_plugin_config_t), nullptr};
};

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
  using Offering = detail::Offering<Type>;
  ExtensionEntry entry = {&detail::make<Extension, Type>, detail::StateVersion<Type>::given,
                          detail::StateVersion<Type>::value, nullptr, detail::Overrides_quiesce<Type>::value};
  if constexpr (Offering::has_any) entry.collect = &Offering::collect;
  return entry;
}

}  // namespace tenon

#endif
