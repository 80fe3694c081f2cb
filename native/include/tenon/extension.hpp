/*
 * What an application does beside answering requests, and what it does for others that list it under `extensions:`.
 * Part of <tenon/tenon.hpp>; the services it may use are in <tenon/services.hpp>.
 *
 *     struct MetricsExtension : tenon::Extension {
 *       tenon::Owned<tenon::Middleware> middleware() override { return tenon::own<RequestCounter>(); }
 *       tenon::Result ready(const tenon::Context& context) override {
 *         return context.subscribe("tenon.request") ? tenon::ok() : tenon::refuse("no events");
 *       }
 *       void on_event(const tenon::Events& batch) override { … }
 *     };
 *
 * Only what an extension overrides is offered to the host; an application that overrides none of it pays nothing.
 */
#include "tenon.hpp" /* first, and outside: it includes this one where it belongs */

#ifndef TENON_EXTENSION_HPP
#define TENON_EXTENSION_HPP

#include <vector>

#include "edge.hpp"

namespace tenon {
namespace detail {

/* What an extension gave when it was asked. */
struct Offered {
  Offered() = default;
  Offered(const Offered&) = delete;
  Offered& operator=(const Offered&) = delete;
  virtual ~Offered() = default;
  /* The capability `id`, or NULL. */
  virtual const void* offer(const char* id) const = 0;
};
template <typename Type>
class Offering;

}  // namespace detail

/* Why somebody is not let in. Made by deny(), slow_down() and unavailable(). */
class Refusal {
 public:
  Refusal(tenon_status status, std::string why, uint32_t retry_after_s = 0) noexcept
      : status_(status), retry_after_s_(retry_after_s), why_(std::move(why)) {}

 private:
  template <typename Type>
  friend class detail::Offering;
  tenon_status status_;
  uint32_t retry_after_s_;
  std::string why_;
};

/* No: 401 from a provider, 403 (401 for nobody) from authorize(). `why`: one sentence for the client, at most 1 KiB. */
inline Refusal deny(std::string why) noexcept { return {TENON_ERROR_DENIED, std::move(why)}; }
/* From a provider: too many attempts (429). `retry_after_s`: seconds after which to try again; 0: not said. */
inline Refusal slow_down(std::string why, uint32_t retry_after_s) noexcept {
  return {TENON_ERROR_AGAIN, std::move(why), retry_after_s};
}
/* It cannot be said (503): nobody gets in. `why` is for the log. */
inline Refusal unavailable(std::string why) noexcept { return {TENON_ERROR, std::move(why)}; }

/*
 * What a provider says of a credential: known(…), pass(), or a Refusal.
 *     return tenon::known("ada").name("Ada").role("editor").keep_ms(60'000);
 */
class Decision {
 public:
  Decision(Refusal refusal) noexcept : refusal_(std::move(refusal)) {}

  /* For people, at most 255 bytes. */
  Decision& name(std::string_view name) & { return name_.assign(name), *this; }
  Decision&& name(std::string_view name) && { return std::move(this->name(name)); }
  /* 1 to 63 bytes of [A-Za-z0-9_.:-]; at most TENON_AUTH_ROLE_LIMIT of them. */
  Decision& role(std::string_view role) & { return roles_.emplace_back(role), *this; }
  Decision&& role(std::string_view role) && { return std::move(this->role(role)); }
  /* A JSON object of at most TENON_AUTH_CLAIMS_LIMIT bytes. */
  Decision& claims(std::string_view json) & { return claims_.assign(json), *this; }
  Decision&& claims(std::string_view json) && { return std::move(claims(json)); }
  /* For how long the host may take the same credential without asking again; at most TENON_AUTH_CACHE_MS, 0: never. */
  Decision& keep_ms(uint32_t ms) & noexcept { return cache_ms_ = ms, *this; }
  Decision&& keep_ms(uint32_t ms) && noexcept { return std::move(keep_ms(ms)); }

 private:
  template <typename Type>
  friend class detail::Offering;
  friend Decision known(std::string_view subject);
  Refusal refusal_;
  std::string subject_;
  std::string name_;
  std::string claims_;
  std::vector<std::string> roles_;
  uint32_t cache_ms_ = 0;
};

/* It is `subject` (1 to 255 bytes; stays the same for ever) who asks. */
inline Decision known(std::string_view subject) {
  Decision decision(Refusal(TENON_OK, {}));
  decision.subject_.assign(subject);
  return decision;
}
/* The credential is none of this provider's: the next one is asked. */
inline Decision pass() noexcept { return Refusal(TENON_ERROR_NOT_FOUND, {}); }

/* Knows one kind of credential. Its methods run on the threads of requests, in parallel. */
class AuthProvider {
 public:
  AuthProvider() = default;
  AuthProvider(const AuthProvider&) = delete;
  AuthProvider& operator=(const AuthProvider&) = delete;
  virtual ~AuthProvider() = default;

  /* An RFC 9110 token: "Basic", "Bearer", "ApiKey". Asked once, as are the next two. */
  virtual std::string scheme() const = 0;
  /* In lower case. Of "authorization" the credential is what follows the scheme, of any other the whole value. */
  virtual std::string header() const { return "authorization"; }
  /* A value for WWW-Authenticate, such as `Basic realm="tenon"`; may be empty. */
  virtual std::string challenge() const { return {}; }
  /* Say who it is. Nobody gets in when this throws. */
  virtual Decision authenticate(const Request& request, std::string_view credential) = 0;
};

/* Where resolve_roles() puts roles. */
class Roles {
 public:
  Roles(const Roles&) = delete;
  Roles& operator=(const Roles&) = delete;
  /* One more, as in Decision::role. False: it is no role, or there are TENON_AUTH_ROLE_LIMIT already. */
  bool add(std::string_view role) noexcept { return answer_->add_role(answer_, detail::bytes(role)) == TENON_OK; }

 private:
  template <typename Type>
  friend class detail::Offering;
  explicit Roles(const tenon_auth_answer_t* answer) noexcept : answer_(answer) {}
  const tenon_auth_answer_t* answer_;
};

/* Whether a request may go on: allow(), or a Refusal. */
class [[nodiscard]] Permission {
 public:
  Permission(Refusal refusal) noexcept : refusal_(std::move(refusal)) {}

 private:
  template <typename Type>
  friend class detail::Offering;
  Refusal refusal_;
};
inline Permission allow() noexcept { return Refusal(TENON_OK, {}); }

/* Decides once it is known who asks. Override one or both; they run on the threads of requests, in parallel. */
class AuthHook {
 public:
  AuthHook() = default;
  AuthHook(const AuthHook&) = delete;
  AuthHook& operator=(const AuthHook&) = delete;
  virtual ~AuthHook() = default;

  /* Add the roles that the application gives to `identity`; kept as long as the provider's decision. A refusal: 503. */
  virtual Result resolve_roles(const Request&, const Identity& identity, Roles& roles) {
    static_cast<void>(identity);
    static_cast<void>(roles);
    return ok();
  }
  /* May the request go on? `identity` is nullptr for nobody. Asked for each request. */
  virtual Permission authorize(const Request&, const Identity* identity) {
    static_cast<void>(identity);
    return allow();
  }
};

/* A request between a middleware and the handler, with its response under way. */
class Exchange {
 public:
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /* Id of the application that the request is for, and the pattern of its route, such as "/todo/items/:id". */
  std::string_view application() const noexcept { return detail::view(services().application(request_)); }
  std::string_view route() const noexcept { return detail::view(services().route(request_)); }
  /* Of the response as it stands; 500 after a handler that failed. */
  int status() const noexcept { return services().status(response_); }
  /* Microseconds since the request came to its thread. */
  uint64_t elapsed_us() const noexcept { return services().elapsed_us(request_); }
  /* A number to keep from before() to after(); 0 at first. */
  void keep(uint64_t number) noexcept { services().keep(request_, number); }
  uint64_t kept() const noexcept { return services().kept(request_); }

  /* Change the response. False: it is refused, which makes the whole response invalid, or it is on its way already. */
  bool status(int code) noexcept { return detail::services.http->set_status(response_, code) == TENON_OK; }
  bool header(std::string_view name, std::string_view value) noexcept {
    return detail::services.http->set_header(response_, detail::bytes(name), detail::bytes(value)) == TENON_OK;
  }
  bool add_header(std::string_view name, std::string_view value) noexcept {
    return detail::services.http->add_header(response_, detail::bytes(name), detail::bytes(value)) == TENON_OK;
  }

 private:
  template <typename Type>
  friend class detail::Offering;
  Exchange(tenon_request_t* request, tenon_response_t* response) noexcept : request_(request), response_(response) {}
  static const tenon_host_middleware_t& services() noexcept { return *detail::services.middleware; }
  tenon_request_t* request_;
  tenon_response_t* response_;
};

/* Runs around the handlers of the applications that list the extension. Override one or both; they run in parallel. */
class Middleware {
 public:
  Middleware() = default;
  Middleware(const Middleware&) = delete;
  Middleware& operator=(const Middleware&) = delete;
  virtual ~Middleware() = default;

  /* Smaller runs first; `after` in the opposite order. Asked once. */
  virtual int32_t order() const { return 0; }
  /* Before the handler. A response ends the request here: it cannot be a stream. An exception answers 500. */
  virtual std::optional<Response> before(const Request&, Exchange& exchange) {
    static_cast<void>(exchange);
    return std::nullopt;
  }
  /* After the handler, also when it failed; not for routes of tables. */
  virtual void after(const Request&, Exchange& exchange) { static_cast<void>(exchange); }
};

/* What becomes of the input of a hook: text or bytes that replace it, unchanged(), or refuse("why"). */
class Hooked {
 public:
  Hooked(std::string bytes) noexcept : status_(TENON_OK), bytes_(std::move(bytes)) {}
  Hooked(const char* text) : Hooked(std::string(text)) {}
  Hooked(std::string_view bytes) : Hooked(std::string(bytes)) {}
  Hooked(Json& json) : Hooked(json.take()) {}
  Hooked(Json&& json) : Hooked(json.take()) {}
  Hooked(const Result& result) : status_(result.refused() ? TENON_ERROR : TENON_ERROR_NOT_FOUND) {
    bytes_.assign(result.reason());
  }

 private:
  template <typename Type>
  friend class detail::Offering;
  tenon_status status_;
  std::string bytes_;
};
/* The input goes on as it is. */
inline Hooked unchanged() { return ok(); }

/* Extends other plugins, where they run a chain of its name and version. Made by hook(). */
class Hook {
 public:
  Hook(Hook&&) = default;
  Hook& operator=(Hook&&) = default;
  /* Smaller runs first; 0 unless said. */
  Hook&& order(int32_t order) && noexcept { return order_ = order, std::move(*this); }

 private:
  template <typename Type>
  friend class detail::Offering;
  template <typename Work>
  friend Hook hook(std::string_view name, uint32_t version, Work&& work);

  struct Call {
    Call() = default;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    virtual ~Call() = default;
    virtual Hooked run(std::string_view input) = 0;
  };
  Hook(std::string_view name, uint32_t version, std::unique_ptr<Call> call)
      : name_(name), version_(version), call_(std::move(call)) {}

  std::string name_;
  uint32_t version_;
  int32_t order_ = 0;
  std::unique_ptr<Call> call_;
};

/*
 * `work(std::string_view input)` gives what a Hooked is made of; it runs on the threads of those who run the chain, in
 * parallel, and is freed with the extension. `name`: [a-z0-9_.-], 1 to 127 bytes; `version` from 1 upwards.
 *     hooks.push_back(tenon::hook("blog.render", 1, [](std::string_view text) { return shout(text); }));
 */
template <typename Work>
Hook hook(std::string_view name, uint32_t version, Work&& work) {
  struct Holder final : Hook::Call {
    explicit Holder(Work&& given) : work(std::forward<Work>(given)) {}
    Hooked run(std::string_view input) override { return work(input); }
    std::decay_t<Work> work;
  };
  return Hook(name, version, std::unique_ptr<Hook::Call>(new Holder(std::forward<Work>(work))));
}

/* One event. Views that live as long as on_event runs. */
class Event {
 public:
  explicit Event(const tenon_event_t& event) noexcept : event_(&event) {}

  /* "tenon.log", "tenon.request", "tenon.span", "tenon.plugin", or what a plugin published. */
  std::string_view topic() const noexcept { return detail::view(event_->topic); }
  /* Id of the plugin that caused it, and its generation; empty and 0: the host. */
  std::string_view source() const noexcept { return detail::view(event_->source); }
  uint64_t generation() const noexcept { return event_->generation; }
  /* Of an event that a plugin published: its payload, any bytes. */
  std::string_view message() const noexcept { return detail::view(event_->message); }
  /* TENON_LOG_…, of tenon.log; else 0. */
  int32_t level() const noexcept { return event_->level; }
  /* Microseconds since the epoch, and of tenon.request and tenon.span for how long. */
  int64_t time_us() const noexcept { return event_->time_us; }
  uint64_t duration_us() const noexcept { return event_->duration_us; }
  /* Of tenon.request: the status of the answer; else 0. */
  int status() const noexcept { return event_->status; }
  /* The field `key`. */
  std::optional<std::string_view> field(std::string_view key) const noexcept {
    for (uint32_t at = 0; at < event_->field_count; ++at)
      if (detail::view(event_->fields[at].key) == key) return detail::view(event_->fields[at].value);
    return std::nullopt;
  }
  /* Calls `visit(key, value)` for every field. */
  template <typename Visit>
  void fields(Visit&& visit) const {
    for (uint32_t at = 0; at < event_->field_count; ++at)
      visit(detail::view(event_->fields[at].key), detail::view(event_->fields[at].value));
  }

 private:
  const tenon_event_t* event_;
};

/* A batch: `for (const tenon::Event& event : batch)`. */
class Events {
 public:
  class Iterator {
   public:
    Event operator*() const noexcept { return Event(*reinterpret_cast<const tenon_event_t*>(at_)); }
    Iterator& operator++() noexcept { return at_ += stride_, *this; }
    bool operator!=(const Iterator& other) const noexcept { return at_ != other.at_; }

   private:
    friend class Events;
    Iterator(const char* at, size_t stride) noexcept : at_(at), stride_(stride) {}
    const char* at_;
    size_t stride_;
  };

  Events(const tenon_event_t* events, size_t count, uint64_t dropped) noexcept
      : first_(reinterpret_cast<const char*>(events)),
        stride_(count == 0 ? sizeof *events : events->size), /* a newer host's events are longer */
        count_(count),
        dropped_(dropped) {}

  Iterator begin() const noexcept { return {first_, stride_}; }
  Iterator end() const noexcept { return {first_ + count_ * stride_, stride_}; }
  size_t size() const noexcept { return count_; }
  /* How many did not fit into the queue since the batch before. */
  uint64_t dropped() const noexcept { return dropped_; }

 private:
  const char* first_;
  size_t stride_;
  size_t count_;
  uint64_t dropped_;
};

/* What is to become of a changed config: ok() takes it, refuse("why") keeps what was, reload() wants a new life. */
class [[nodiscard]] ConfigResult {
 public:
  ConfigResult(Result result) noexcept : result_(std::move(result)) {}

 private:
  template <typename Type>
  friend class detail::Offering;
  friend ConfigResult reload() noexcept;
  Result result_;
  bool reload_ = false;
};
inline ConfigResult reload() noexcept {
  ConfigResult change{ok()};
  change.reload_ = true;
  return change;
}

namespace detail {

#define TENON_OVERRIDES(method, Base)                                                                                  \
  template <typename Type, typename = void>                                                                            \
  struct Overrides_##method : std::true_type {}; /* private or overloaded */                                           \
  template <typename Type>                                                                                             \
  struct Overrides_##method<Type, std::void_t<decltype(&Type::method)>>                                                \
      : std::bool_constant<!std::is_same_v<decltype(&Type::method), decltype(&Base::method)>> {};
TENON_OVERRIDES(resolve_roles, AuthHook)
TENON_OVERRIDES(authorize, AuthHook)
TENON_OVERRIDES(before, Middleware)
TENON_OVERRIDES(after, Middleware)

/* The two methods of a Base, of which a Type may override one. */
template <typename Base, typename Type>
struct Parts {
  static constexpr bool first = Overrides_resolve_roles<Type>::value;
  static constexpr bool second = Overrides_authorize<Type>::value;
};
template <typename Type>
struct Parts<Middleware, Type> {
  static constexpr bool first = Overrides_before<Type>::value;
  static constexpr bool second = Overrides_after<Type>::value;
};

}  // namespace detail

/*
 * An AuthHook or a Middleware. Made by own<Type>(…), so that the host is told what Type overrides; a std::unique_ptr
 * becomes one too, and then passes for one that overrides everything.
 */
template <typename Base>
class Owned {
 public:
  Owned() = default;
  template <typename Type, std::enable_if_t<std::is_convertible_v<Type*, Base*>, int> = 0>
  Owned(std::unique_ptr<Type> object) noexcept : object_(std::move(object)), first_(true), second_(true) {}
  /* From one of a Type of this Base: see own(). */
  template <typename Type,
            std::enable_if_t<std::is_convertible_v<Type*, Base*> && !std::is_same_v<Type, Base>, int> = 0>
  Owned(Owned<Type> object) noexcept
      : object_(std::move(object.object_)),
        first_(detail::Parts<Base, Type>::first),
        second_(detail::Parts<Base, Type>::second) {}
  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  template <typename Type>
  friend class detail::Offering;
  template <typename Other>
  friend class Owned;
  template <typename Type, typename... Arguments>
  friend Owned<Type> own(Arguments&&... arguments);
  struct Exact {};
  Owned(Exact, Base* object) noexcept : object_(object) {}

  std::unique_ptr<Base> object_;
  bool first_ = false;  /* resolve_roles, before */
  bool second_ = false; /* authorize, after */
};

/* A new Type, as an AuthHook or a Middleware: `return tenon::own<RequestCounter>();` */
template <typename Type, typename... Arguments>
Owned<Type> own(Arguments&&... arguments) {
  return Owned<Type>(typename Owned<Type>::Exact(), new Type(std::forward<Arguments>(arguments)...));
}

using AuthProviders = std::vector<std::unique_ptr<AuthProvider>>;
using AuthHooks = std::vector<Owned<AuthHook>>;
using Hooks = std::vector<Hook>;

/* The world of an application once it exists. Views live as long as the extension. */
struct Context {
  std::string_view app_id;
  std::string_view root_directory;
  uint64_t generation;

  /* Who serves `method` on `path` (without query) now; views that live until the next call on this thread. */
  struct Route {
    std::string_view plugin;
    std::string_view pattern; /* with the prefix */
  };
  std::optional<Route> find_route(Method method, std::string_view path) const noexcept;
  /* As tenon::table(name). */
  Table table(std::string_view name) const noexcept { return tenon::table(name); }
  /* Have on_event() called with the events of `pattern`: a topic, or what topics begin with and a "*". False: the host
   * does not take it: more than 64, or on_event() is not overridden. */
  bool subscribe(std::string_view pattern) const noexcept {
    const detail::Services& to = detail::services;
    return to.events != nullptr && to.events->subscribe(to.host, detail::bytes(pattern)) == TENON_OK;
  }
  /* Calls `visit(application, settings)` for each application that lists this extension; `settings` is JSON. */
  template <typename Visit>
  void consumers(Visit&& visit) const;
};

/*
 * What an application does beside answering requests; at most one per application, named {Name}Extension. Steps of life
 * come one at a time on a thread of the generation's own, each under a deadline; a refusal or an exception ends the
 * load. Of the rest see which thread it runs on.
 *
 * State that a reload shall keep: a `static constexpr uint32_t state_version` together with save() and load().
 */
class Extension {
 public:
  Extension() = default;
  Extension(const Extension&) = delete;
  Extension& operator=(const Extension&) = delete;
  virtual ~Extension() = default;

  /* Light set-up; log, config and state may be used, nothing else exists yet. */
  virtual Result initialize() { return ok(); }

  /* Asked once, after initialize(): what the extension does for the applications that list it. The objects are freed
   * before the extension is. */
  virtual AuthProviders auth_providers() { return {}; }
  virtual AuthHooks auth_hooks() { return {}; }
  virtual Owned<Middleware> middleware() { return {}; }
  virtual Hooks hooks() { return {}; }

  /* Routes, tables and services exist; the first request comes after this. */
  virtual Result ready(const Context&) { return ok(); }

  /* Take events that ready() subscribed to. On a thread of its own, never twice at once, while the generation serves.
   * An exception is logged. */
  virtual void on_event(const Events& batch) { static_cast<void>(batch); }

  /* The application's own config (`application` empty), or the settings of an application that lists this extension,
   * has changed while it serves; `json` empty: that application is gone. Not overridden: a change reloads. */
  virtual ConfigResult config_changed(std::string_view application, std::string_view json) {
    static_cast<void>(application);
    static_cast<void>(json);
    return reload();
  }

  /* Whether the application can serve; must answer within a second. */
  virtual Result health() { return ok(); }
  /* Let go of what a successor needs for itself (ports, locks), and take it up again if the successor failed. Where
   * quiesce() is overridden, a reload has all calls wait until those in flight have ended; elsewhere it does not. */
  virtual Result quiesce() { return ok(); }
  virtual Result resume() { return ok(); }
  /* End own threads and work. */
  virtual void shutdown() {}

  /* The whole state as bytes; this generation may yet go on serving. */
  virtual std::string save() { return {}; }
  /* Whether load() would take `state`; must change nothing. A version above state_version is refused without asking. */
  virtual Result accepts(std::string_view state, uint32_t version) {
    static_cast<void>(state);
    static_cast<void>(version);
    return ok();
  }
  /* Take over what save() of an older or the same build gave, saved as `version`. */
  virtual Result load(std::string_view state, uint32_t version) {
    static_cast<void>(state);
    static_cast<void>(version);
    return ok();
  }
};

/* The application's extension, from any of its resources. */
template <typename Type>
Type& extension() noexcept {
  static_assert(std::is_base_of_v<Extension, Type>, "extension<T>(): T must derive from tenon::Extension");
  return *static_cast<Type*>(detail::services.extension);
}

/* What the compiler's generated glue knows of the extension. */
struct ExtensionEntry {
  Extension* (*make)();
  bool has_state;
  uint32_t state_version;
  /* Asks the extension what it offers, after initialize(); NULL: it overrides nothing of the kind. */
  std::unique_ptr<detail::Offered> (*collect)(Extension& extension, Result& result);
  /* It overrides quiesce(). */
  bool quiesces;
};

inline std::optional<Context::Route> Context::find_route(Method method, std::string_view path) const noexcept {
  const detail::Services& to = detail::services;
  tenon_bytes_t plugin{};
  tenon_bytes_t pattern{};
  if (!TENON_HAS(to.http, find_route) ||
      !to.http->find_route(to.host, static_cast<tenon_http_method>(method), detail::bytes(path), &plugin, &pattern))
    return std::nullopt;
  return Route{detail::view(plugin), detail::view(pattern)};
}

template <typename Visit>
void Context::consumers(Visit&& visit) const {
  const detail::Services& to = detail::services;
  if (to.config == nullptr) return;
  const auto pass_on = [](void* context, tenon_bytes_t application, tenon_bytes_t settings) {
    static_cast<void>(detail::Edge::guard(detail::Edge::log_failure, [&]() -> tenon_status {
      (*static_cast<std::remove_reference_t<Visit>*>(context))(detail::view(application), detail::view(settings));
      return TENON_OK;
    }));
  };
  to.config->consumers(to.host, pass_on, const_cast<void*>(static_cast<const void*>(&visit)));
}

}  // namespace tenon

#include "offered.hpp"

#endif
