#include "token.h"

#include <algorithm>
#include <vector>

#include "base64.h"
#include "json.h"

namespace tenon::core {

namespace {

// {"alg":"HS256","typ":"JWT"}
constexpr std::string_view kHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

bool is_own(std::string_view name) { return name == "iss" || name == "iat" || name == "exp"; }

struct Claim {
  std::string name;
  std::string_view value;
};

// False for what is no JSON object, or has a name twice.
bool read_claims(std::string_view json, std::vector<Claim>& claims) {
  JsonReader reader(json);
  if (!reader.begin_object()) return false;
  std::string_view raw_name;
  bool escaped = false;
  while (reader.member(raw_name, escaped)) {
    Claim claim;
    claim.name = escaped ? unescaped(raw_name) : std::string(raw_name);
    if (!reader.skip(claim.value)) return false;
    claims.push_back(std::move(claim));
  }
  if (reader.failed() || !reader.end()) return false;
  std::vector<std::string_view> names;
  names.reserve(claims.size());
  for (const Claim& claim : claims) names.push_back(claim.name);
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

std::string_view value_of(const std::vector<Claim>& claims, std::string_view name) {
  const auto found =
      std::find_if(claims.begin(), claims.end(), [name](const Claim& claim) { return claim.name == name; });
  return found == claims.end() ? std::string_view() : found->value;
}

}  // namespace

bool TokenIssuer::append_signature(const Crypto& crypto, std::string_view key, std::string_view text,
                                   std::string& signature) {
  Crypto::Digest digest;
  if (!crypto.authenticate(key, text, digest)) return false;
  append_base64({digest.data(), digest.size()}, Base64::Url, signature);
  return true;
}

tenon_status TokenIssuer::sign(std::string_view claims, int64_t time, int64_t lifetime, std::string& token) const {
  std::vector<Claim> given;
  if (claims.size() > kClaimsBytes || lifetime < 1 || lifetime > kMostLifetime || !read_claims(claims, given)) {
    return TENON_ERROR_ARGUMENT;
  }
  std::string payload = "{\"iss\":";
  append_quoted(id_, payload);
  payload += ",\"iat\":" + std::to_string(time) + ",\"exp\":" + std::to_string(time + lifetime);
  for (const Claim& claim : given) {
    if (is_own(claim.name)) continue;
    payload.push_back(',');
    append_quoted(claim.name, payload);
    payload.push_back(':');
    append_compact(claim.value, payload);
  }
  payload.push_back('}');
  token = std::string(kHeader) + ".";
  append_base64(payload, Base64::Url, token);
  std::string signature;
  if (!append_signature(crypto_, key_, token, signature)) return TENON_ERROR_UNSUPPORTED;
  token += "." + signature;
  return TENON_OK;
}

tenon_status TokenIssuer::verify(std::string_view token, int64_t time, std::string& claims) const {
  if (token.size() > kTokenBytes) return TENON_ERROR_DENIED;
  const size_t first = token.find('.');
  const size_t last = token.rfind('.');
  if (first == std::string_view::npos || first == last || token.substr(0, first) != kHeader) return TENON_ERROR_DENIED;
  std::string signature;
  if (!append_signature(crypto_, key_, token.substr(0, last), signature)) return TENON_ERROR_UNSUPPORTED;
  if (!crypto_.equal(signature, token.substr(last + 1))) return TENON_ERROR_DENIED;
  std::string payload;
  std::vector<Claim> read;
  if (!read_base64(token.substr(first + 1, last - first - 1), Base64::Url, payload) || !read_claims(payload, read)) {
    return TENON_ERROR_DENIED;
  }
  std::string issuer;
  append_quoted(id_, issuer);
  int64_t issued = 0;
  int64_t expires = 0;
  const bool valid = value_of(read, "iss") == issuer && integer_of(value_of(read, "iat"), issued) &&
                     integer_of(value_of(read, "exp"), expires) && issued <= time + kClockLeeway &&
                     expires > time - kClockLeeway;
  if (!valid) return TENON_ERROR_DENIED;
  claims = std::move(payload);
  return TENON_OK;
}

}  // namespace tenon::core
