#ifndef TENON_CORE_CRYPTO_H
#define TENON_CORE_CRYPTO_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tenon/types.h"

namespace tenon::core {

/*
 * What is used of OpenSSL's libcrypto (1.1.1 to 3). Nothing is linked with it: Node brings it along and exports it, or
 * is linked with it, so its functions are found in the process. A second copy could be of another build than Node's.
 */
class Crypto {
 public:
  using Digest = std::array<char, 32>;

  // That of this process; null where it has none. [any]
  static const Crypto* find();
  // That of a library opened with dlopen, or of the whole process (RTLD_DEFAULT).
  static std::optional<Crypto> of(void* library);

  // HMAC with SHA-256.
  bool authenticate(std::string_view key, std::string_view text, Digest& digest) const;
  // RFC 7914; `n` is a power of two. Needs 128 * n * r bytes: TENON_ERROR_MEMORY where they are not to be had.
  // TENON_ERROR_UNSUPPORTED when this OpenSSL does not do it, as one that is held to FIPS. Not on [main], whose errors
  // of OpenSSL are Node's.
  tenon_status scrypt(std::string_view password, std::string_view salt, uint64_t n, uint32_t r, uint32_t p, char* key,
                      size_t size) const;
  bool random(void* buffer, size_t size) const;
  // In a time that depends on the sizes alone.
  bool equal(std::string_view one, std::string_view other) const;

 private:
  Crypto() = default;

  const void* (*sha256_)() = nullptr;
  unsigned char* (*hmac_)(const void* digest, const void* key, int key_size, const unsigned char* text,
                          size_t text_size, unsigned char* result, unsigned* result_size) = nullptr;
  int (*scrypt_)(const char* password, size_t password_size, const unsigned char* salt, size_t salt_size, uint64_t n,
                 uint64_t r, uint64_t p, uint64_t most_memory, unsigned char* key, size_t key_size) = nullptr;
  int (*random_)(unsigned char* buffer, int size) = nullptr;
  int (*compare_)(const void* one, const void* other, size_t size) = nullptr;
  unsigned long (*next_error_)() = nullptr;
  void (*clear_errors_)() = nullptr;
};

}  // namespace tenon::core

#endif
