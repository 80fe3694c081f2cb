// Users, roles and logins: what the tables hold, and who may be whom.
#ifndef TENON_AUTH_ACCOUNTS_HPP
#define TENON_AUTH_ACCOUNTS_HPP

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tenon/services.hpp>
#include <vector>

#include "brake.hpp"
#include "grammar.hpp"
#include "settings.hpp"

namespace auth {

struct User {
  std::string name;
  std::string hash;
  std::vector<std::string> roles;
  bool enabled = false;
  int64_t version = 0;
  std::string json;  // without the hash

  bool has_role(std::string_view role) const { return std::find(roles.begin(), roles.end(), role) != roles.end(); }
};

User user_of(const tenon::Record& record);

// TENON_OK: it is `user`, of this login when a token said so. _DENIED: no. _AGAIN: not before `wait_s` have passed.
// Anything else: it cannot be said now.
struct Known {
  tenon_status status = TENON_ERROR_DENIED;
  User user;
  std::string session;
  uint32_t wait_s = 0;
  explicit operator bool() const noexcept { return status == TENON_OK; }
};

// What a client is given when it logs in. TENON_ERROR_DENIED: the refresh token is no good.
struct Login {
  tenon_status status = TENON_ERROR_DENIED;
  std::string access;
  std::string refresh;
  int64_t expires_s = 0;
  explicit operator bool() const noexcept { return status == TENON_OK; }
};

// What is to become of a user; what is absent stays.
struct Change {
  std::optional<std::string> hash;
  std::optional<std::vector<std::string>> roles;
  std::optional<bool> enabled;
  // Of the user as the caller has seen it: with another one nothing is changed.
  std::optional<int64_t> version;
};

// Methods may be called by any number of threads at once.
class Accounts {
 public:
  Settings settings() const {
    const std::lock_guard<std::mutex> lock(settings_mutex_);
    return settings_;
  }
  void settings(const Settings& settings) {
    const std::lock_guard<std::mutex> lock(settings_mutex_);
    settings_ = settings;
  }
  Brake& brake() { return brake_; }

  Known by_password(const std::string& name, std::string_view password);
  Known by_basic(std::string_view credential);
  Known by_access_token(std::string_view token) const;
  // By the Authorization header of a request to this application itself.
  Known by_header(const tenon::Request& request);

  Login log_in(const User& user);
  Login refresh(std::string_view token);
  tenon_status log_out(std::string_view session);

  std::optional<User> find(std::string_view name, tenon_status& status) const;
  // TENON_ERROR_EXISTS: there is one; with `first`: there is any.
  tenon::Written create(std::string_view name, std::string_view hash, const std::vector<std::string>& roles,
                        bool enabled, bool first);
  // TENON_ERROR_STATE: it would leave no admin. TENON_ERROR_VERSION: it is of another version.
  tenon_status change(std::string_view name, const Change& change);
  tenon_status remove(std::string_view name);

  // Whether one of the roles (and `everyone`) may do this; TENON_ERROR_DENIED, or why it cannot be said.
  static tenon_status permits(const std::vector<std::string>& roles, std::string_view method, std::string_view path);

 private:
  struct Claims {
    std::string subject;
    std::string session;
    std::string id;
    int64_t version;
  };
  static std::optional<Claims> read(std::string_view token, std::string_view use);
  Login issue(const User& user, const std::string& session, const std::string& id) const;
  static bool is_last_admin(const User& user);
  static void end_sessions(tenon::Batch& batch, std::string_view user);
  static void make_room(tenon::Batch& batch, std::string_view user);

  // One change at a time: each looks at what others may have changed. No call is in another generation meanwhile: the
  // extension overrides quiesce(), so that calls wait at a reload until those in the old generation have ended.
  std::mutex changing_;
  mutable std::mutex settings_mutex_;
  Settings settings_;
  Brake brake_;
};

}  // namespace auth

#endif
