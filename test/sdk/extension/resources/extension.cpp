// An extension that overrides everything and uses every service; ../test asks it.
#include <atomic>
#include <stdexcept>
#include <tenon/services.hpp>

namespace {

struct ApiKeys : tenon::AuthProvider {
  explicit ApiKeys(std::string realm) : realm_(std::move(realm)) {}
  std::string scheme() const override { return "ApiKey"; }
  std::string header() const override { return "x-api-key"; }
  std::string challenge() const override { return "ApiKey realm=\"" + realm_ + "\""; }
  tenon::Decision authenticate(const tenon::Request& request, std::string_view credential) override {
    if (request.identity()) return tenon::unavailable("there is an identity before there is one");
#if defined(__cpp_exceptions)
    if (credential == "throws") throw std::runtime_error("the provider threw");
#endif
    if (credential == "other") return tenon::pass();
    if (credential == "wrong") return tenon::deny("this key is wrong");
    if (credential == "often") return tenon::slow_down("too many attempts", 30);
    if (credential == "nobody") return tenon::known("");
    tenon::Decision decision = tenon::known(credential).name("Ada").role("reader").keep_ms(1000);
    decision.claims(tenon::Json().object().field("key", credential).take());
    return decision;
  }

 private:
  std::string realm_;
};

struct Basic final : tenon::AuthProvider {
  std::string scheme() const override { return "Basic"; }
  tenon::Decision authenticate(const tenon::Request&, std::string_view) override { return tenon::deny("no"); }
};

struct Resolver : tenon::AuthHook {
  tenon::Result resolve_roles(const tenon::Request&, const tenon::Identity& identity, tenon::Roles& roles) override {
    if (identity.subject() == "lost") return tenon::refuse("no roles are to be had");
    if (identity.has_role("reader")) roles.add("writer");
    return tenon::ok();
  }
};

struct Office : tenon::AuthHook {
  tenon::Permission authorize(const tenon::Request& request, const tenon::Identity* identity) override {
    if (request.query("closed")) return tenon::deny(identity == nullptr ? "closed to all" : "closed");
    return tenon::allow();
  }
};

struct Around : tenon::Middleware {
  int32_t order() const override { return -5; }
  std::optional<tenon::Response> before(const tenon::Request& request, tenon::Exchange& exchange) override {
    exchange.keep(exchange.kept() + 7);
    exchange.header("x-application", exchange.application());
#if defined(__cpp_exceptions)
    if (request.query("throw")) throw std::runtime_error("the middleware threw");
#endif
    if (request.query("stop")) return tenon::text("stopped").status(418);
    return std::nullopt;
  }
  void after(const tenon::Request&, tenon::Exchange& exchange) override {
    exchange.add_header("x-kept", std::to_string(exchange.kept()) + " " + std::to_string(exchange.status()));
  }
};

}  // namespace

struct Note {
  explicit Note(std::string_view from) : text(from) {}
  Note(const Note&) = delete;
  Note& operator=(const Note&) = delete;
  ~Note() { tenon::log::info("freed " + text); }
  std::string text;
};

struct EverythingExtension : tenon::Extension {
  tenon::metrics::Counter calls{"calls_total", "Calls.", {{"of", "everything"}}};
  tenon::metrics::Gauge level{"level", "How high it is."};
  tenon::metrics::Histogram sizes{"sizes", "How large.", {1, 10, 100}};
  std::atomic<int> ticks{0};
  std::string realm;

  tenon::Result initialize() override {
    const std::string own = tenon::config::own();
    const auto config = tenon::JsonView::parse(own);
    if (!config) return tenon::refuse("the config is no JSON");
    realm = (*config)["realm"].text().value_or("tenon");
    tenon::log::info("realm " + realm);
    return tenon::ok();
  }
  tenon::AuthProviders auth_providers() override {
    tenon::AuthProviders list;
    list.push_back(std::make_unique<ApiKeys>(realm));
    list.push_back(std::make_unique<Basic>());
    return list;
  }
  tenon::AuthHooks auth_hooks() override {
    tenon::AuthHooks list;
    list.push_back(tenon::own<Resolver>());
    list.push_back(std::make_unique<Office>());
    return list;
  }
  tenon::Owned<tenon::Middleware> middleware() override { return tenon::own<Around>(); }
  tenon::Hooks hooks() override {
    tenon::Hooks list;
    list.push_back(tenon::hook("text.loud", 2, [this](std::string_view input) -> tenon::Hooked {
                     if (input.empty()) return tenon::refuse("nothing to be loud about");
                     if (input == "same") return tenon::unchanged();
                     calls.add();
                     return std::string(input) + "!";
                   }).order(3));
    return list;
  }
  tenon::Result ready(const tenon::Context& context) override {
    context.consumers([](std::string_view application, std::string_view settings) {
      tenon::log::info("consumer", {{"application", application}, {"settings", settings}});
    });
    if (!context.subscribe("todo.*")) return tenon::refuse("no events");
    const auto route = context.find_route(tenon::Method::Get, "/nowhere");
    if (route) return tenon::refuse("a route to nowhere");
    tenon::tasks::every(100, [this](const tenon::tasks::Turn& turn) {
      if (++ticks == 3) turn.task().cancel();
    });
    return tenon::ok();
  }
  void on_event(const tenon::Events& batch) override {
    for (const tenon::Event& event : batch) {
#if defined(__cpp_exceptions)
      if (event.topic() == "todo.throw") throw std::runtime_error("the subscriber threw");
#endif
      tenon::log::info(event.message(), {{"topic", event.topic()}, {"of", batch.size()}, {"dropped", batch.dropped()}});
    }
  }
  tenon::ConfigResult config_changed(std::string_view application, std::string_view json) override {
    if (json == "{\"bad\":true}") return tenon::refuse("bad is not good");
    if (application.empty()) return tenon::reload();
    return tenon::ok();
  }
};

struct Who : tenon::Resource {
  static constexpr tenon::Auth auth = tenon::Auth::Identity;
  tenon::Response get(const tenon::Request& request) override {
    const std::optional<tenon::Identity> who = request.identity();
    if (!who) return tenon::status(500);
    tenon::Json json;
    json.object().field("subject", who->subject()).field("operator", request.is_operator()).key("roles").array();
    who->roles([&json](std::string_view role) { json.value(role); });
    return tenon::json(json);
  }
};

struct Editors : tenon::Resource {
  static constexpr std::string_view roles = "editor,admin";
  tenon::Response get(const tenon::Request&) override { return tenon::text("in"); }
};

struct Uses : tenon::Resource {
  static constexpr std::string_view path = "/uses/:what";
  static constexpr tenon::Auth auth = tenon::Auth::Open;
  tenon::Response post(const tenon::Request& request) override {
    const std::string_view what = request.param("what");
    auto& own = tenon::extension<EverythingExtension>();
    if (what == "task") {
      auto note = std::make_unique<Note>(request.body());  // a callback may own what cannot be copied
      const tenon::tasks::Task task =
          tenon::tasks::once(50, [note = std::move(note)] { tenon::log::info("ran " + note->text); });
      if (request.query("cancel")) task.cancel();
      return tenon::status(task ? 202 : 503);
    }
    if (what == "failing") {
#if defined(__cpp_exceptions)
      tenon::tasks::submit([] { throw std::runtime_error("the task threw"); });
#endif
      return tenon::status(202);
    }
    if (what == "event") {
      tenon::Span span("publish");
      span.field("size", request.body().size());
      return tenon::status(tenon::events::publish("todo.done", request.body()) ? 204 : 422);
    }
    if (what == "metrics") {
      own.calls.add(2);
      own.level.set(4.5);
      own.level.add(-1);
      own.sizes.observe(50);
      size_t series = 0;
      tenon::metrics::collect([&series](const tenon_metric_value_t&) { ++series; });
      return tenon::text(std::to_string(series));
    }
    if (what == "fetch") {
      tenon::http_client::Request wanted;
      wanted.url = request.body();
      wanted.headers = {{"accept", "text/plain"}};
      const tenon::http_client::Fetched fetched = tenon::http_client::fetch(wanted);
      return tenon::text(fetched ? fetched.body : fetched.message).status(fetched ? fetched.status : 502);
    }
    if (what == "chain") {
      const tenon::hooks::Output out = tenon::hooks::run("text.quiet", 1, request.body());
      return tenon::text(out ? out.bytes : out.message).status(out ? 200 : 502);
    }
    if (what == "password") {
      tenon_status status = TENON_ERROR;
      const std::optional<std::string> hash = tenon::passwords::hash(request.body(), status);
      const bool right = hash && status == TENON_OK && tenon::passwords::verify(request.body(), *hash) &&
                         !tenon::passwords::verify("x", *hash) && !tenon::passwords::hash("", status) &&
                         status == TENON_ERROR_ARGUMENT;
      return tenon::text(right ? "right" : "wrong");
    }
    if (what == "token") {
      const std::optional<std::string> token = tenon::tokens::sign(request.body(), 60);
      if (!token || tenon::tokens::verify("not a token") || tenon::random_bytes(16)->size() != 16)
        return tenon::status(500);
      return tenon::text(tenon::tokens::verify(*token).value_or("none"));
    }
    if (what == "json") {
      const auto json = tenon::JsonView::parse(request.body());
      if (!json) return tenon::status(400);
      tenon::Json out;
      out.object()
          .field("text", (*json)["a"].text().value_or("none"))
          .field("integer", (*json)["b"]["c"].integer().value_or(-1))
          .field("number", (*json)["b"]["c"].number().value_or(-1))
          .field("second", (*json)["list"].at(1).boolean().value_or(false))
          .field("size", json->size());
      return tenon::json(out);
    }
    return tenon::status(404);
  }
};
