// An extension that throws from each of its hooks when a request asks for it with ?throw=STEP, and from what it does by
// itself always.
#include <stdexcept>
#include <tenon/services.hpp>

namespace {

void meet(const tenon::Request& request, std::string_view step) {
  if (request.query("throw") == step) throw std::runtime_error(std::string(step) + " threw");
}

struct Keys final : tenon::AuthProvider {
  std::string scheme() const override { return "Key"; }
  tenon::Decision authenticate(const tenon::Request& request, std::string_view credential) override {
    meet(request, "authenticate");
    return tenon::known(credential);
  }
};

struct Office final : tenon::AuthHook {
  tenon::Result resolve_roles(const tenon::Request& request, const tenon::Identity&, tenon::Roles&) override {
    meet(request, "resolve_roles");
    return tenon::ok();
  }
  tenon::Permission authorize(const tenon::Request& request, const tenon::Identity*) override {
    meet(request, "authorize");
    if (request.query("throw") == "no exception") throw 7;
    return tenon::allow();
  }
};

struct Around final : tenon::Middleware {
  std::optional<tenon::Response> before(const tenon::Request& request, tenon::Exchange&) override {
    meet(request, "before");
    return std::nullopt;
  }
  void after(const tenon::Request& request, tenon::Exchange&) override { meet(request, "after"); }
};

}  // namespace

struct ThrowerExtension : tenon::Extension {
  tenon::AuthProviders auth_providers() override {
    tenon::AuthProviders list;
    list.push_back(std::make_unique<Keys>());
    return list;
  }
  tenon::AuthHooks auth_hooks() override {
    tenon::AuthHooks list;
    list.push_back(tenon::own<Office>());
    return list;
  }
  tenon::Owned<tenon::Middleware> middleware() override { return tenon::own<Around>(); }
  tenon::Hooks hooks() override {
    tenon::Hooks list;
    list.push_back(tenon::hook("wicked.hook", 1,
                               [](std::string_view) -> tenon::Hooked { throw std::runtime_error("the hook threw"); }));
    return list;
  }
  tenon::Result ready(const tenon::Context& context) override {
    return context.subscribe("wicked.*") ? tenon::ok() : tenon::refuse("no events");
  }
  void on_event(const tenon::Events&) override { throw std::runtime_error("on_event threw"); }
  tenon::ConfigResult config_changed(std::string_view, std::string_view) override {
    throw std::runtime_error("config_changed threw");
  }
};

struct Work : tenon::Resource {
  tenon::Response post(const tenon::Request&) override {
    tenon::tasks::submit([] { throw std::runtime_error("the task threw"); });
    tenon::http_client::Request nowhere;
    nowhere.url = "http://127.0.0.1:1/";
    tenon::http_client::send(nowhere,
                             [](const tenon::http_client::Response&) { throw std::runtime_error("done threw"); });
    return tenon::text("begun");
  }
};
