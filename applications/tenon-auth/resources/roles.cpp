// What roles permit in applications with `rbac: true`, for admins.
#include "answers.hpp"

// GET /tenon-auth/roles
struct Roles : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    auto admin = auth::admin(request);
    if (!admin) return admin.refusal();
    tenon::Json list;
    list.array();
    tenon::Scan scan = tenon::table("Role").scan();
    for (const tenon::Record& role : scan) list.raw(role.json());
    return scan.problem() ? tenon::json(list) : auth::problem(503, "roles cannot be read now");
  }
};

// PUT {permissions: ["GET /shop/*"]} and DELETE of /tenon-auth/roles/:name
struct OneRole : tenon::Resource {
  static constexpr std::string_view path = "/roles/:name";
  static constexpr uint64_t body_limit = 256 * 1024;

  tenon::Response put(const tenon::Request& request) override {
    auto admin = auth::admin(request);
    if (!admin) return admin.refusal();
    const std::string_view name = request.param("name");
    if (!auth::is_role(name)) return auth::problem(422, "a role is 1 to 63 of A-Z, a-z, 0-9 and _.:-");
    if (name == auth::admin_role) return auth::problem(409, "the role admin may do everything");
    auto json = auth::body(request, {"permissions"});
    if (!json) return json.refusal();
    if (!(*json)["permissions"]) return auth::problem(422, "give permissions, of which there may be none");
    auto permissions = auth::texts((*json)["permissions"], auth::most_permissions, auth::is_permission,
                                   "permissions must be at most 256 texts such as \"GET /shop/*\"");
    if (!permissions) return permissions.refusal();
    tenon::Json role;
    role.object().field("name", name).key("permissions").array();
    for (const std::string& permission : *permissions) role.value(permission);
    return auth::outcome(tenon::table("Role").put(role).status());
  }

  tenon::Response del(const tenon::Request& request) override {
    auto admin = auth::admin(request);
    if (!admin) return admin.refusal();
    return auth::outcome(tenon::table("Role").remove(request.param("name")).status());
  }
};
