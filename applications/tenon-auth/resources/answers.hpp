// How the resources read what a client sends, and what they answer when it is not right.
#ifndef TENON_AUTH_ANSWERS_HPP
#define TENON_AUTH_ANSWERS_HPP

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <tenon/services.hpp>
#include <utility>
#include <vector>

#include "extension.hpp"

namespace auth {

inline Accounts& accounts() { return tenon::extension<TenonAuthExtension>().accounts; }

// No body of a client's is larger.
constexpr uint64_t most_body = 16 * 1024;

// As the host's own: the codes are those of /docs/errors.md. The status is this application's:
// RecordInvalid, PreconditionFailed and HandlerFailed have another one there.
struct Code {
  int status;
  std::string_view code;
  std::string_view page;
  std::string_view title;
};

inline tenon::Response problem(const Code& code, int status, std::string_view detail) {
  tenon::Json json;
  json.object().field("type", "/docs/errors.md#" + std::string(code.page)).field("title", code.title);
  json.field("status", status).field("detail", detail).field("error", code.code).field("message", detail);
  return tenon::json(json).type("application/problem+json").header("cache-control", "no-store").status(status);
}

inline tenon::Response problem(int status, std::string_view detail) {
  const Code codes[] = {
      {400, "BadRequest", "badrequest", "The request could not be understood"},
      {401, "Unauthenticated", "unauthenticated", "It is not known who asks"},
      {403, "Forbidden", "forbidden", "Who asks may not do this"},
      {404, "RecordNotFound", "recordnotfound", "There is no such record"},
      {409, "PreconditionFailed", "preconditionfailed", "The record is not in the state the request asks for"},
      {415, "ContentTypeUnsupported", "contenttypeunsupported", "A body of that kind is not read here"},
      {422, "RecordInvalid", "recordinvalid", "The record breaks the definition of its table"},
      {429, "TooManyAttempts", "toomanyattempts", "Too many wrong credentials"},
  };
  for (const Code& each : codes)
    if (each.status == status) return problem(each, status, detail);
  return problem({503, "HandlerFailed", "handlerfailed", "The plugin failed to answer"}, status, detail);
}

inline tenon::Response exists(std::string_view detail) {
  return problem({409, "RecordExists", "recordexists", "There is a record with that key already"}, 409, detail);
}

inline tenon::Response refusal(const Known& known) {
  if (known.status == TENON_ERROR_AGAIN)
    return problem(429, "too many wrong passwords").header("retry-after", std::to_string(known.wait_s));
  if (known.status != TENON_ERROR_DENIED) return problem(503, "passwords and tokens cannot be checked now");
  return problem(401, "the name, password or token is wrong, or has expired")
      .header("www-authenticate", "Bearer realm=\"tenon\"");
}

// Why a write was not done; 204 when it was.
inline tenon::Response outcome(tenon_status status) {
  switch (status) {
    case TENON_OK:
      return tenon::status(204);
    case TENON_ERROR_NOT_FOUND:
      return problem(404, "there is none of this name");
    case TENON_ERROR_EXISTS:
      return exists("there is one already");
    case TENON_ERROR_STATE:
      return problem(409, "this would leave nobody who is enabled and has the role admin");
    case TENON_ERROR_VERSION:
      return problem(409, "it has been changed meanwhile");
    case TENON_ERROR_INVALID:
      return problem(422, "the table does not take this");
    default:
      return problem(503, "this cannot be written now");
  }
}

// A value, or the answer to give in its place.
template <typename Type>
class Or {
 public:
  Or(Type value) : value_(std::move(value)) {}
  Or(tenon::Response refusal) : refusal_(std::move(refusal)) {}
  explicit operator bool() const noexcept { return value_.has_value(); }
  const Type& operator*() const { return *value_; }
  const Type* operator->() const { return &*value_; }
  tenon::Response refusal() { return std::move(refusal_); }

 private:
  std::optional<Type> value_;
  tenon::Response refusal_;
};

// Who calls; with `role` whoever has not it is refused.
inline Or<Known> caller(const tenon::Request& request, std::string_view role = {}) {
  Known known = accounts().by_header(request);
  if (!known) return refusal(known);
  if (!role.empty() && !known.user.has_role(role)) return problem(403, "this is for the role " + std::string(role));
  return known;
}
inline Or<Known> admin(const tenon::Request& request) { return caller(request, admin_role); }

// The body, an object of no members but these; said to be JSON, which a form of another site's page cannot say.
inline Or<tenon::JsonView> body(const tenon::Request& request, std::initializer_list<std::string_view> members) {
  const std::string_view type = request.header("content-type").value_or("");
  if (type.substr(0, type.find(';')) != "application/json") return problem(415, "send application/json");
  const auto json = tenon::JsonView::parse(request.body());
  if (!json || !json->is_object()) return problem(400, "the body is no JSON object");
  std::optional<std::string> unknown;
  json->each_member([&](std::string_view key, tenon::JsonView) {
    if (std::find(members.begin(), members.end(), key) == members.end()) unknown = key.size() > 64 ? "a member" : key;
  });
  if (!unknown) return *json;
  std::string known;
  for (const std::string_view& each : members)
    (known += &each == members.begin() ? "" : &each + 1 == members.end() ? " and " : ", ") += each;
  return problem(422, *unknown + (members.size() == 1 ? " is not " : " is none of ") + known);
}

inline Or<std::string> new_name(tenon::JsonView json) {
  auto name = json["username"].text();
  if (name && is_name(*name)) return std::move(*name);
  return problem(422, "username must be 1 to 64 of a-z, 0-9 and ._@-, beginning with a letter or digit");
}

inline Or<std::string> new_hash(tenon::JsonView password) {
  const auto text = password.text();
  if (!text || !is_password(*text)) return problem(422, "a password must have 8 to 1,024 bytes");
  auto hash = tenon::passwords::hash(*text);
  if (!hash) return problem(503, "passwords cannot be hashed now");
  return std::move(*hash);
}

// A list of texts that are all `right`; absent: empty.
template <typename Right>
Or<std::vector<std::string>> texts(tenon::JsonView json, size_t most, Right&& right, const char* otherwise) {
  std::vector<std::string> list;
  bool fine = !json || (json.is_array() && json.size() <= most);
  if (fine) {
    json.each([&](tenon::JsonView item) {
      list.push_back(item.text().value_or(""));
      fine = fine && right(list.back());
    });
  }
  if (!fine) return problem(422, otherwise);
  return list;
}

inline Or<std::vector<std::string>> roles(tenon::JsonView json) {
  return texts(json, most_roles, is_role, "roles must be at most 32 texts of 1 to 63 A-Z, a-z, 0-9 and _.:-");
}

inline Or<bool> truth(tenon::JsonView json, bool otherwise) {
  if (json && !json.is_boolean()) return problem(422, "enabled must be true or false");
  return json.boolean().value_or(otherwise);
}

}  // namespace auth

#endif
