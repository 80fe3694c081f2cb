#ifndef TENON_CORE_TOKEN_H
#define TENON_CORE_TOKEN_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "crypto.h"
#include "tenon/types.h"

namespace tenon::core {

/*
 * JSON Web Tokens (RFC 7515, RFC 7519) of one issuer: HS256, one header, nothing negotiated. Times are seconds since
 * the epoch.
 */
class TokenIssuer {
 public:
  static constexpr size_t kClaimsBytes = 16 * 1024;
  static constexpr size_t kTokenBytes = 32 * 1024;
  static constexpr int64_t kMostLifetime = 31'536'000;
  static constexpr int64_t kClockLeeway = 30;

  // `key` is that of this issuer alone.
  TokenIssuer(const Crypto& crypto, std::string_view key, std::string_view id) : crypto_(crypto), key_(key), id_(id) {}

  // A token of `claims`, a JSON object; iss, iat and exp in it are replaced. TENON_ERROR_ARGUMENT for anything else, a
  // name that comes twice included.
  tenon_status sign(std::string_view claims, int64_t time, int64_t lifetime, std::string& token) const;
  // Its claims, when it is this issuer's and `time` is in its life; TENON_ERROR_DENIED otherwise.
  tenon_status verify(std::string_view token, int64_t time, std::string& claims) const;

  // base64url of HMAC-SHA-256 of `text`: the signature of a token whose first two parts it is.
  static bool append_signature(const Crypto& crypto, std::string_view key, std::string_view text,
                               std::string& signature);

 private:
  const Crypto& crypto_;
  const std::string_view key_;
  const std::string_view id_;
};

}  // namespace tenon::core

#endif
