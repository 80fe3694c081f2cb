#include "extension.hpp"

#include <algorithm>
#include <memory>
#include <mutex>

namespace {

tenon::Decision decision_of(const auth::Known& known, uint32_t keep_ms) {
  if (known.status == TENON_ERROR_DENIED) return tenon::deny("the name, password or token is wrong, or has expired");
  if (known.status == TENON_ERROR_AGAIN) return tenon::slow_down("too many wrong passwords", known.wait_s);
  if (!known) return tenon::unavailable("passwords and tokens cannot be checked now");
  tenon::Decision decision = tenon::known(known.user.name).name(known.user.name).keep_ms(keep_ms);
  for (const std::string& role : known.user.roles) decision.role(role);
  return decision;
}

// Its own resources read the header themselves: one that is wrong or has expired keeps nobody from login and refresh.
bool is_own(const tenon::Request& request) { return request.application() == "tenon-auth"; }

class Basic : public tenon::AuthProvider {
 public:
  explicit Basic(auth::Accounts& accounts) : accounts_(accounts) {}
  std::string scheme() const override { return "Basic"; }
  std::string challenge() const override { return "Basic realm=\"tenon\", charset=\"UTF-8\""; }
  tenon::Decision authenticate(const tenon::Request& request, std::string_view credential) override {
    if (is_own(request)) return tenon::pass();
    constexpr uint32_t keep_ms = 30'000;  // a password takes 60 ms to check
    return decision_of(accounts_.by_basic(credential), keep_ms);
  }

 private:
  auth::Accounts& accounts_;
};

class Bearer : public tenon::AuthProvider {
 public:
  explicit Bearer(auth::Accounts& accounts) : accounts_(accounts) {}
  std::string scheme() const override { return "Bearer"; }
  std::string challenge() const override { return "Bearer realm=\"tenon\""; }
  tenon::Decision authenticate(const tenon::Request& request, std::string_view token) override {
    if (is_own(request)) return tenon::pass();
    // Another kind of token may be another extension's.
    if (std::count(token.begin(), token.end(), '.') != 2) return tenon::pass();
    return decision_of(accounts_.by_access_token(token), 0);
  }

 private:
  auth::Accounts& accounts_;
};

std::string_view name_of(tenon::Method method) {
  switch (method) {
    case tenon::Method::Get:
    case tenon::Method::Head:
      return "GET";
    case tenon::Method::Post:
      return "POST";
    case tenon::Method::Put:
      return "PUT";
    case tenon::Method::Patch:
      return "PATCH";
    case tenon::Method::Delete:
      return "DELETE";
    case tenon::Method::Options:
      break;
  }
  return "OPTIONS";
}

class RoleGuard : public tenon::AuthHook {
 public:
  explicit RoleGuard(const TenonAuthExtension& extension) : extension_(extension) {}

  tenon::Permission authorize(const tenon::Request& request, const tenon::Identity* identity) override {
    if (!extension_.is_guarded(request.application())) return tenon::allow();
    std::vector<std::string> roles;
    if (identity != nullptr) identity->roles([&roles](std::string_view role) { roles.emplace_back(role); });
    const std::string_view method = name_of(request.method());
    const tenon_status status = auth::Accounts::permits(roles, method, request.path());
    if (status == TENON_OK) return tenon::allow();
    if (status != TENON_ERROR_DENIED) return tenon::unavailable("permissions cannot be read now");
    return tenon::deny("no role permits " + std::string(method) + " " + std::string(request.path().substr(0, 256)));
  }

 private:
  const TenonAuthExtension& extension_;
};

}  // namespace

tenon::Result TenonAuthExtension::initialize() {
  auth::Settings settings;
  const tenon::Result result = auth::read_settings(tenon::config::own(), settings);
  if (result.refused()) return result;
  accounts.settings(settings);
  for (const tenon::config::Consumer& consumer : tenon::config::consumers()) {
    bool rbac = false;
    const tenon::Result read = auth::read_rbac(consumer.settings, rbac);
    if (read.refused()) {
      tenon::log::error("settings of an application are wrong: what roles permit is asked there until they are right",
                        {{"application", consumer.application}, {"why", read.reason()}});
    }
    guard(consumer.application, rbac || read.refused());
  }
  return tenon::ok();
}

tenon::AuthProviders TenonAuthExtension::auth_providers() {
  tenon::AuthProviders providers;
  providers.push_back(std::make_unique<Basic>(accounts));
  providers.push_back(std::make_unique<Bearer>(accounts));
  return providers;
}

tenon::AuthHooks TenonAuthExtension::auth_hooks() {
  tenon::AuthHooks hooks;
  hooks.push_back(tenon::own<RoleGuard>(*this));
  return hooks;
}

tenon::ConfigResult TenonAuthExtension::config_changed(std::string_view application, std::string_view json) {
  if (application.empty()) {
    auth::Settings settings;
    const tenon::Result result = auth::read_settings(json, settings);
    if (!result.refused()) accounts.settings(settings);
    return result;
  }
  bool rbac = false;
  if (!json.empty()) {
    const tenon::Result result = auth::read_rbac(json, rbac);
    if (result.refused()) return result;
  }
  guard(application, rbac);
  return tenon::ok();
}

bool TenonAuthExtension::is_guarded(std::string_view application) const {
  const std::shared_lock<std::shared_mutex> lock(mutex_);
  return guarded_.count(std::string(application)) != 0;
}

void TenonAuthExtension::guard(std::string_view application, bool guarded) {
  const std::lock_guard<std::shared_mutex> lock(mutex_);
  if (guarded) {
    guarded_.emplace(application);
  } else {
    guarded_.erase(std::string(application));
  }
}
