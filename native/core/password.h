#ifndef TENON_CORE_PASSWORD_H
#define TENON_CORE_PASSWORD_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crypto.h"
#include "tenon/types.h"

namespace tenon::core {

// A hash of a password with what made it, as text `$scrypt$ln=15,r=8,p=1$salt$key` (PHC string format).
struct PasswordHash {
  static constexpr size_t kPasswordBytes = 1024;
  static constexpr size_t kTextBytes = 160;
  static constexpr size_t kSaltBytes = 16;
  static constexpr size_t kKeyBytes = 32;
  // Of the text of one that `hash_password` makes.
  static constexpr size_t kOwnTextBytes = 88;
  // Whoever brings a hash must not get more than these of the host with it.
  static constexpr uint64_t kMostMemory = 64u << 20;
  static constexpr uint64_t kMostWork = 1u << 20;  // n * r * p; four times that of an own hash

  uint32_t log_n = 15;
  uint32_t r = 8;
  uint32_t p = 1;
  std::string salt;
  std::string key;

  // None for a text that is no hash, or one outside the bounds.
  static std::optional<PasswordHash> parse(std::string_view text);
  std::string text() const;
};

// Hash of a password of 1 to kPasswordBytes bytes; TENON_ERROR_ARGUMENT for others. At most two passwords are hashed at
// once in a process; others wait for their turn: TENON_ERROR_AGAIN when too many do, or it does not come within 10 s.
// TENON_ERROR_MEMORY and TENON_ERROR_UNSUPPORTED as Crypto::scrypt, the latter also without randomness. Not on [main].
tenon_status hash_password(const Crypto& crypto, std::string_view password, std::string& text);
// TENON_OK, TENON_ERROR_DENIED, or TENON_ERROR_ARGUMENT for a text that is no hash; waits as hash_password does.
tenon_status verify_password(const Crypto& crypto, std::string_view password, std::string_view text);

}  // namespace tenon::core

#endif
