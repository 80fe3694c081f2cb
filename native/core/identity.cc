#include "identity.h"

#include <algorithm>
#include <utility>

#include "byte_buffer.h"
#include "json.h"
#include "route.h"

namespace tenon::core {

namespace {

constexpr size_t kTextBytes = 255;

bool is_sound(tenon_bytes_t bytes) { return bytes.data != nullptr || bytes.size == 0; }

bool is_text(tenon_bytes_t bytes) { return is_sound(bytes) && bytes.size <= kTextBytes && is_utf8(view(bytes)); }

bool is_object_or_empty(tenon_bytes_t claims) {
  if (!is_sound(claims) || claims.size > TENON_AUTH_CLAIMS_LIMIT) return false;
  if (claims.size == 0) return true;
  JsonReader reader(view(claims));
  std::string_view raw;
  return reader.peek() == JsonReader::Kind::Object && reader.skip(raw) && reader.end();
}

}  // namespace

std::unique_ptr<Identity> Identity::copy(const tenon_identity_t* given, std::string scheme, std::string extension) {
  if (given == nullptr || given->size < sizeof(tenon_identity_t)) return nullptr;
  if (!is_text(given->subject) || given->subject.size == 0 || !is_text(given->name)) return nullptr;
  if (!is_object_or_empty(given->claims) || given->role_count > TENON_AUTH_ROLE_LIMIT) return nullptr;
  if (given->roles == nullptr && given->role_count != 0) return nullptr;
  auto identity = std::unique_ptr<Identity>(new Identity());
  for (uint32_t index = 0; index < given->role_count; index++) {
    if (identity->add_role(view(given->roles[index])) != TENON_OK) return nullptr;
  }
  identity->subject_ = view(given->subject);
  identity->name_ = view(given->name);
  identity->claims_ = view(given->claims);
  identity->scheme_ = std::move(scheme);
  identity->extension_ = std::move(extension);
  return identity;
}

bool Identity::has_role(std::string_view role) const {
  return std::any_of(roles_.begin(), roles_.end(), [role](const auto& known) { return *known == role; });
}

tenon_status Identity::add_role(std::string_view role) {
  if (!is_role(role)) return TENON_ERROR_ARGUMENT;
  if (has_role(role)) return TENON_OK;
  if (roles_.size() >= TENON_AUTH_ROLE_LIMIT) return TENON_ERROR_TOO_LARGE;
  roles_.push_back(std::make_unique<const std::string>(role));
  role_views_.push_back(bytes(*roles_.back()));
  return TENON_OK;
}

tenon_identity_t Identity::face() const {
  return {sizeof(tenon_identity_t), static_cast<uint32_t>(role_views_.size()),
          bytes(subject_),          bytes(name_),
          bytes(scheme_),           bytes(extension_),
          role_views_.data(),       bytes(claims_)};
}

std::string Identity::json() const {
  std::string json = "{\"subject\":";
  append_quoted(subject_, json);
  json += ",\"name\":";
  append_quoted(name_, json);
  json += ",\"scheme\":";
  append_quoted(scheme_, json);
  json += ",\"extension\":";
  append_quoted(extension_, json);
  json += ",\"roles\":[";
  for (const auto& role : roles_) {
    if (json.back() != '[') json.push_back(',');
    append_quoted(*role, json);
  }
  json += "],\"claims\":";
  append_compact(claims_.empty() ? "{}" : claims_, json);
  json.push_back('}');
  return json;
}

}  // namespace tenon::core
