#include "accounts.hpp"

namespace auth {
namespace {

constexpr size_t most_sessions = 100;

tenon::Table users() { return tenon::table("User"); }
tenon::Table sessions() { return tenon::table("Session"); }

std::vector<std::string> list_of(const tenon::Record& record, std::string_view field) {
  std::vector<std::string> list;
  if (const auto json = tenon::JsonView::parse(record[field].json()))
    json->each([&list](tenon::JsonView item) { list.push_back(item.text().value_or("")); });
  return list;
}

// 128 bits that nobody guesses, in hexadecimal digits; empty where there are none.
std::string random_id() {
  constexpr char digits[] = "0123456789abcdef";
  std::string id;
  const auto bytes = tenon::random_bytes(16);
  if (!bytes) return id;
  for (const char byte : *bytes) {
    id.push_back(digits[static_cast<unsigned char>(byte) >> 4]);
    id.push_back(digits[byte & 15]);
  }
  return id;
}

void write_list(tenon::Json& json, std::string_view key, const std::vector<std::string>& list) {
  json.key(key).array();
  for (const std::string& item : list) json.value(item);
  json.end();
}

Known not_known(tenon_status status, uint32_t wait_s = 0) {
  Known known;
  known.status = status;
  known.wait_s = wait_s;
  return known;
}

}  // namespace

User user_of(const tenon::Record& record) {
  User user{record.text("name"),       record.text("passwordHash"), list_of(record, "roles"),
            record.boolean("enabled"), record.integer("version"),   {}};
  tenon::Json json;
  json.object().field("username", user.name).key("roles").raw(record["roles"].json()).field("enabled", user.enabled);
  user.json = json.field("createdAt", record.date("createdAt")).field("changedAt", record.date("changedAt")).take();
  return user;
}

std::optional<User> Accounts::find(std::string_view name, tenon_status& status) const {
  const auto record = users().get(name, status);
  return record ? std::optional<User>(user_of(*record)) : std::nullopt;
}

Known Accounts::by_password(const std::string& name, std::string_view password) {
  // Of no password: whoever asks for a name that nobody has waits as long as for any other.
  constexpr std::string_view nobodys =
      "$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  if (!is_name(name) || password.empty() || password.size() > 1024) return not_known(TENON_ERROR_DENIED);
  const Settings now = settings();
  if (const uint32_t wait = brake_.wait_s(name, now)) return not_known(TENON_ERROR_AGAIN, wait);
  tenon_status status = TENON_OK;
  auto user = find(name, status);
  if (!user && status != TENON_ERROR_NOT_FOUND) return not_known(TENON_ERROR);
  const bool same = tenon::passwords::verify(password, user ? std::string_view(user->hash) : nobodys, status);
  if (!same && status != TENON_ERROR_DENIED) return not_known(TENON_ERROR);
  const bool right = same && user && user->enabled;
  if (const uint32_t wait = brake_.judge(name, right, now)) return not_known(TENON_ERROR_AGAIN, wait);
  return right ? Known{TENON_OK, std::move(*user), {}, 0} : not_known(TENON_ERROR_DENIED);
}

Known Accounts::by_basic(std::string_view credential) {
  const auto given = read_basic(credential);
  return given ? by_password(given->name, given->password) : not_known(TENON_ERROR_DENIED);
}

std::optional<Accounts::Claims> Accounts::read(std::string_view token, std::string_view use) {
  const auto text = tenon::tokens::verify(token);
  const auto json = text ? tenon::JsonView::parse(*text) : std::nullopt;
  if (!json || (*json)["use"].text() != use) return std::nullopt;
  const auto part = [&json](std::string_view name) { return (*json)[name].text().value_or(""); };
  return Claims{part("sub"), part("sid"), part("jti"), (*json)["ver"].integer().value_or(-1)};
}

Known Accounts::by_access_token(std::string_view token) const {
  const auto claims = read(token, "access");
  if (!claims) return not_known(TENON_ERROR_DENIED);
  tenon_status status = TENON_OK;
  const auto session = sessions().get(claims->session, status);
  if (!session) return not_known(status == TENON_ERROR_NOT_FOUND ? TENON_ERROR_DENIED : TENON_ERROR);
  auto user = find(claims->subject, status);
  if (!user) return not_known(status == TENON_ERROR_NOT_FOUND ? TENON_ERROR_DENIED : TENON_ERROR);
  if (!user->enabled || user->version != claims->version) return not_known(TENON_ERROR_DENIED);
  return {TENON_OK, std::move(*user), claims->session, 0};
}

Known Accounts::by_header(const tenon::Request& request) {
  const auto value = request.header("authorization");
  if (!value) return not_known(TENON_ERROR_DENIED);
  if (const auto token = credential_of(*value, "Bearer")) return by_access_token(*token);
  if (const auto basic = credential_of(*value, "Basic")) return by_basic(*basic);
  return not_known(TENON_ERROR_DENIED);
}

Login Accounts::issue(const User& user, const std::string& session, const std::string& id) const {
  const Settings now = settings();
  const auto claims = [&](std::string_view use) {
    tenon::Json json;
    json.object().field("use", use).field("sub", user.name).field("sid", session).field("ver", user.version);
    return json;
  };
  tenon::Json access = claims("access");
  write_list(access, "roles", user.roles);
  const auto first = tenon::tokens::sign(access.take(), static_cast<uint32_t>(now.access_s));
  const auto second =
      tenon::tokens::sign(claims("refresh").field("jti", id).take(), static_cast<uint32_t>(now.refresh_s));
  if (!first || !second) return {TENON_ERROR, {}, {}, 0};
  return {TENON_OK, *first, *second, now.access_s};
}

// A user who logs in again and again loses the login that would end first.
void Accounts::make_room(tenon::Batch& batch, std::string_view user) {
  size_t count = 0;
  std::string first;
  int64_t first_end = INT64_MAX;
  for (const tenon::Record& session : sessions().scan().where("user", user)) {
    ++count;
    if (session.date("expires") >= first_end) continue;
    first = session.text("id");
    first_end = session.date("expires");
  }
  if (count >= most_sessions) batch.remove(sessions(), first);
}

Login Accounts::log_in(const User& user) {
  const std::string session = random_id();
  const std::string id = random_id();
  if (session.empty() || id.empty()) return {TENON_ERROR, {}, {}, 0};
  Login login = issue(user, session, id);
  if (!login) return login;
  const std::lock_guard<std::mutex> lock(changing_);
  tenon::Json json;
  json.object().field("id", session).field("user", user.name).field("token", id);
  json.field("expires", now_ms() + settings().refresh_s * 1000);
  tenon::Batch batch;
  make_room(batch, user.name);
  if (!batch.put(sessions(), json).commit()) return {TENON_ERROR, {}, {}, 0};
  return login;
}

Login Accounts::refresh(std::string_view token) {
  const auto claims = read(token, "refresh");
  if (!claims) return {};
  const std::lock_guard<std::mutex> lock(changing_);
  tenon_status status = TENON_OK;
  const auto session = sessions().get(claims->session, status);
  if (!session) return {status == TENON_ERROR_NOT_FOUND ? TENON_ERROR_DENIED : TENON_ERROR, {}, {}, 0};
  const auto user = find(claims->subject, status);
  if (!user && status != TENON_ERROR_NOT_FOUND) return {TENON_ERROR, {}, {}, 0};
  const bool valid = user && user->enabled && user->version == claims->version;
  if (!valid || session->text("token") != claims->id) {
    // Somebody has a copy of a token that was used before: who of the two is the thief cannot be known.
    if (valid) tenon::log::warn("a refresh token was used twice: its login has ended", {{"user", claims->subject}});
    return {sessions().remove(claims->session) ? TENON_ERROR_DENIED : TENON_ERROR, {}, {}, 0};
  }
  const std::string id = random_id();
  Login login = issue(*user, claims->session, id);
  if (id.empty() || !login) return {TENON_ERROR, {}, {}, 0};
  tenon::Json json;
  json.object().field("token", id).field("expires", now_ms() + settings().refresh_s * 1000);
  if (!sessions().patch(claims->session, json)) return {TENON_ERROR, {}, {}, 0};
  return login;
}

tenon_status Accounts::log_out(std::string_view session) {
  const std::lock_guard<std::mutex> lock(changing_);
  return sessions().remove(session).status();
}

tenon::Written Accounts::create(std::string_view name, std::string_view hash, const std::vector<std::string>& roles,
                                bool enabled, bool first) {
  const std::lock_guard<std::mutex> lock(changing_);
  if (first) {
    tenon::Scan scan = users().scan().limit(1);
    if (scan.begin() != scan.end()) return tenon::Written(TENON_ERROR_EXISTS);
    if (!scan.problem()) return scan.problem();
  }
  tenon::Json json;
  json.object().field("name", name).field("passwordHash", hash).field("enabled", enabled);
  // Tokens of one of this name who was deleted are of an earlier version.
  json.field("version", now_ms());
  write_list(json, "roles", roles);
  return users().create(json);
}

// Also when the others cannot be read.
bool Accounts::is_last_admin(const User& user) {
  if (!user.enabled || !user.has_role(admin_role)) return false;
  for (const tenon::Record& other : users().scan().where("roles", "contains", admin_role))
    if (other.boolean("enabled") && other.text("name") != user.name) return false;
  return true;
}

void Accounts::end_sessions(tenon::Batch& batch, std::string_view user) {
  for (const tenon::Record& session : sessions().scan().where("user", user))
    batch.remove(sessions(), session.text("id"));
}

tenon_status Accounts::change(std::string_view name, const Change& change) {
  const std::lock_guard<std::mutex> lock(changing_);
  tenon_status status = TENON_OK;
  const auto before = find(name, status);
  if (!before) return status;
  if (change.version && *change.version != before->version) return TENON_ERROR_VERSION;
  User after = *before;
  if (change.hash) after.hash = *change.hash;
  if (change.roles) after.roles = *change.roles;
  if (change.enabled) after.enabled = *change.enabled;
  if (!(after.enabled && after.has_role(admin_role)) && is_last_admin(*before)) return TENON_ERROR_STATE;
  tenon::Json json;
  json.object().field("passwordHash", after.hash).field("enabled", after.enabled).field("version", before->version + 1);
  write_list(json, "roles", after.roles);
  tenon::Batch batch;
  batch.patch(users(), name, json);
  end_sessions(batch, name);
  status = batch.commit().status();
  if (status == TENON_OK) tenon::forget_decisions();
  return status;
}

tenon_status Accounts::remove(std::string_view name) {
  const std::lock_guard<std::mutex> lock(changing_);
  tenon_status status = TENON_OK;
  const auto user = find(name, status);
  if (!user) return status;
  if (is_last_admin(*user)) return TENON_ERROR_STATE;
  tenon::Batch batch;
  batch.remove(users(), name);
  end_sessions(batch, name);
  status = batch.commit().status();
  if (status == TENON_OK) tenon::forget_decisions();
  return status;
}

tenon_status Accounts::permits(const std::vector<std::string>& roles, std::string_view method, std::string_view path) {
  const tenon::Table table = tenon::table("Role");
  const auto allows = [&](std::string_view role, tenon_status& status) {
    const auto record = table.get(role, status);
    if (!record) return false;
    for (const std::string& permission : list_of(*record, "permissions"))
      if (auth::permits(permission, method, path)) return true;
    return false;
  };
  bool all_read = true;
  const auto ask = [&](std::string_view role) {
    tenon_status status = TENON_OK;
    const bool allowed = allows(role, status);
    all_read = all_read && (status == TENON_OK || status == TENON_ERROR_NOT_FOUND);
    return allowed;
  };
  if (ask(everyone_role)) return TENON_OK;
  for (const std::string& role : roles)
    if (role == admin_role || ask(role)) return TENON_OK;
  return all_read ? TENON_ERROR_DENIED : TENON_ERROR;
}

}  // namespace auth
