// Setup, login, refresh and logout: how a client gets tokens, and gives them back.
#include "answers.hpp"

namespace {

tenon::Response tokens_of(const auth::Login& login) {
  if (login.status == TENON_ERROR_DENIED) return auth::refusal({});
  if (!login) return auth::problem(503, "no token can be made now");
  tenon::Json json;
  json.object().field("accessToken", login.access).field("refreshToken", login.refresh);
  json.field("tokenType", "Bearer").field("expiresIn", login.expires_s);
  return tenon::json(json).header("cache-control", "no-store");
}

}  // namespace

// POST /tenon-auth/setup {username, password}: the first admin, by whoever has the admin token of the host.
struct Setup : tenon::Resource {
  static constexpr uint64_t body_limit = auth::most_body;

  tenon::Response post(const tenon::Request& request) override {
    if (!request.is_operator())
      return auth::problem(401, "send the admin token of the host")
          .header("www-authenticate", "Bearer realm=\"tenon\"");
    auto json = auth::body(request, {"username", "password"});
    if (!json) return json.refusal();
    auto name = auth::new_name(*json);
    if (!name) return name.refusal();
    auto hash = auth::new_hash((*json)["password"]);
    if (!hash) return hash.refusal();
    const tenon::Written made = auth::accounts().create(*name, *hash, {std::string(auth::admin_role)}, true, true);
    if (made.status() == TENON_ERROR_EXISTS) return auth::exists("there are users: an admin makes others");
    if (made) tenon::log::info("the first admin was made", {{"user", *name}});
    return made ? tenon::status(201) : auth::outcome(made.status());
  }
};

// POST /tenon-auth/login {username, password}
struct Login : tenon::Resource {
  static constexpr uint64_t body_limit = auth::most_body;

  tenon::Response post(const tenon::Request& request) override {
    auto json = auth::body(request, {"username", "password"});
    if (!json) return json.refusal();
    const auto name = (*json)["username"].text();
    const auto password = (*json)["password"].text();
    if (!name || !password) return auth::problem(422, "username and password must be texts");
    const auth::Known known = auth::accounts().by_password(*name, *password);
    return known ? tokens_of(auth::accounts().log_in(known.user)) : auth::refusal(known);
  }
};

// POST /tenon-auth/refresh {refreshToken}: a new pair; each refresh token is good for once.
struct Refresh : tenon::Resource {
  static constexpr uint64_t body_limit = auth::most_body;

  tenon::Response post(const tenon::Request& request) override {
    auto json = auth::body(request, {"refreshToken"});
    if (!json) return json.refusal();
    const auto token = (*json)["refreshToken"].text();
    if (!token) return auth::problem(422, "refreshToken must be a text");
    return tokens_of(auth::accounts().refresh(*token));
  }
};

// POST /tenon-auth/logout with an access token: it and its refresh token end.
struct Logout : tenon::Resource {
  tenon::Response post(const tenon::Request& request) override {
    auto caller = auth::caller(request);
    if (!caller) return caller.refusal();
    if (caller->session.empty()) return auth::problem(422, "send the access token of the login that is to end");
    const tenon_status status = auth::accounts().log_out(caller->session);
    return auth::outcome(status == TENON_ERROR_NOT_FOUND ? TENON_OK : status);
  }
};

// GET /tenon-auth/me: who I am.
struct Me : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    auto caller = auth::caller(request);
    return caller ? tenon::json(caller->user.json) : caller.refusal();
  }
};

// PUT /tenon-auth/password {password, newPassword}: my own; all my logins end.
struct Password : tenon::Resource {
  static constexpr uint64_t body_limit = auth::most_body;

  tenon::Response put(const tenon::Request& request) override {
    auto caller = auth::caller(request);
    if (!caller) return caller.refusal();
    auto json = auth::body(request, {"password", "newPassword"});
    if (!json) return json.refusal();
    const auth::Known known = auth::accounts().by_password(caller->user.name, (*json)["password"].text().value_or(""));
    if (!known) return auth::refusal(known);
    auto hash = auth::new_hash((*json)["newPassword"]);
    if (!hash) return hash.refusal();
    return auth::outcome(auth::accounts().change(known.user.name, {*hash, {}, {}, known.user.version}));
  }
};
