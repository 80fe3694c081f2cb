// What this application does for those that list it: two providers, and the permissions of roles where they ask for it.
#ifndef TENON_AUTH_EXTENSION_HPP
#define TENON_AUTH_EXTENSION_HPP

#include <shared_mutex>
#include <string>
#include <string_view>
#include <tenon/services.hpp>
#include <unordered_set>

#include "accounts.hpp"

struct TenonAuthExtension : tenon::Extension {
  // Who guesses passwords goes on waiting when a newer build takes over.
  static constexpr uint32_t state_version = 1;

  auth::Accounts accounts;

  tenon::Result initialize() override;
  tenon::AuthProviders auth_providers() override;
  tenon::AuthHooks auth_hooks() override;
  tenon::ConfigResult config_changed(std::string_view application, std::string_view json) override;
  // It does nothing, and is not to go: with it a reload waits until no call is in this generation, see Accounts.
  tenon::Result quiesce() override { return tenon::ok(); }

  std::string save() override { return accounts.brake().save(); }
  tenon::Result accepts(std::string_view state, uint32_t) override {
    return auth::Brake::accepts(state) ? tenon::ok() : tenon::refuse("the saved attempts are no JSON");
  }
  tenon::Result load(std::string_view state, uint32_t version) override {
    return accounts.brake().load(state) ? tenon::ok() : accepts(state, version);
  }

  // Whether `application` has set `rbac: true`.
  bool is_guarded(std::string_view application) const;

 private:
  void guard(std::string_view application, bool guarded);

  mutable std::shared_mutex mutex_;
  std::unordered_set<std::string> guarded_;
};

#endif
