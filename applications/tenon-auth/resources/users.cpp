// Users, for admins.
#include <charconv>

#include "answers.hpp"

// GET /tenon-auth/users?after=NAME&limit=N, by name; POST {username, password, roles, enabled}
struct Users : tenon::Resource {
  static constexpr uint64_t body_limit = auth::most_body;

  tenon::Response get(const tenon::Request& request) override {
    auto admin = auth::admin(request);
    if (!admin) return admin.refusal();
    constexpr uint64_t most = 1000;
    uint64_t limit = 100;
    if (const auto text = request.query("limit")) {
      const auto read = std::from_chars(text->data(), text->data() + text->size(), limit);
      if (read.ec != std::errc() || read.ptr != text->data() + text->size() || limit < 1 || limit > most)
        return auth::problem(400, "limit must be a number from 1 to 1,000");
    }
    tenon::Scan scan = tenon::table("User").scan().limit(limit);
    if (const auto after = request.query("after")) {
      if (!auth::is_name(*after)) return auth::problem(400, "after must be a username");
      scan = std::move(scan).after(*after);
    }
    tenon::Json list;
    list.array();
    for (const tenon::Record& user : scan) list.raw(auth::user_of(user).json);
    return scan.problem() ? tenon::json(list) : auth::problem(503, "users cannot be read now");
  }

  tenon::Response post(const tenon::Request& request) override {
    auto admin = auth::admin(request);
    if (!admin) return admin.refusal();
    auto json = auth::body(request, {"username", "password", "roles", "enabled"});
    if (!json) return json.refusal();
    auto name = auth::new_name(*json);
    if (!name) return name.refusal();
    auto roles = auth::roles((*json)["roles"]);
    if (!roles) return roles.refusal();
    auto enabled = auth::truth((*json)["enabled"], true);
    if (!enabled) return enabled.refusal();
    auto hash = auth::new_hash((*json)["password"]);
    if (!hash) return hash.refusal();
    const tenon::Written made = auth::accounts().create(*name, *hash, *roles, *enabled, false);
    if (!made) return auth::outcome(made.status());
    return tenon::status(201).header("location", "/tenon-auth/users/" + *name);
  }
};

// GET, DELETE, and PUT {password, roles, enabled}, of which what is absent stays.
struct OneUser : tenon::Resource {
  static constexpr std::string_view path = "/users/:username";
  static constexpr uint64_t body_limit = auth::most_body;

  tenon::Response get(const tenon::Request& request) override {
    auto admin = auth::admin(request);
    if (!admin) return admin.refusal();
    tenon_status status = TENON_OK;
    const auto user = auth::accounts().find(request.param("username"), status);
    return user ? tenon::json(user->json) : auth::outcome(status);
  }

  tenon::Response put(const tenon::Request& request) override {
    auto admin = auth::admin(request);
    if (!admin) return admin.refusal();
    auto json = auth::body(request, {"password", "roles", "enabled"});
    if (!json) return json.refusal();
    if (json->size() == 0) return auth::problem(422, "give one of password, roles and enabled");
    auth::Change change;
    if ((*json)["roles"]) {
      auto roles = auth::roles((*json)["roles"]);
      if (!roles) return roles.refusal();
      change.roles = *roles;
    }
    if ((*json)["enabled"]) {
      auto enabled = auth::truth((*json)["enabled"], true);
      if (!enabled) return enabled.refusal();
      change.enabled = *enabled;
    }
    if ((*json)["password"]) {
      auto hash = auth::new_hash((*json)["password"]);
      if (!hash) return hash.refusal();
      change.hash = *hash;
    }
    return auth::outcome(auth::accounts().change(request.param("username"), change));
  }

  tenon::Response del(const tenon::Request& request) override {
    auto admin = auth::admin(request);
    if (!admin) return admin.refusal();
    return auth::outcome(auth::accounts().remove(request.param("username")));
  }
};
