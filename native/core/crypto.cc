#include "crypto.h"

#include <dlfcn.h>

#include <algorithm>
#include <limits>

namespace tenon::core {

namespace {

template <class Function>
bool resolve(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

// ERR_R_MALLOC_FAILURE, as it is in the errors of OpenSSL 3 and of 1.1.1.
bool is_of_memory(unsigned long error) { return (error & 0x7fffff) == 0xc0100 || (error & 0xfff) == 65; }

const unsigned char* octets(std::string_view text) {
  // An address also for no bytes: HMAC takes a null key for "the key of the call before".
  return reinterpret_cast<const unsigned char*>(text.data() == nullptr ? "" : text.data());
}

}  // namespace

const Crypto* Crypto::find() {
  static const std::optional<Crypto> present = of(RTLD_DEFAULT);
  return present ? &*present : nullptr;
}

std::optional<Crypto> Crypto::of(void* library) {
  Crypto crypto;
  const bool whole =
      resolve(library, "EVP_sha256", crypto.sha256_) && resolve(library, "HMAC", crypto.hmac_) &&
      resolve(library, "EVP_PBE_scrypt", crypto.scrypt_) && resolve(library, "RAND_bytes", crypto.random_) &&
      resolve(library, "CRYPTO_memcmp", crypto.compare_) && resolve(library, "ERR_get_error", crypto.next_error_) &&
      resolve(library, "ERR_clear_error", crypto.clear_errors_);
  if (!whole) return std::nullopt;
  return crypto;
}

bool Crypto::authenticate(std::string_view key, std::string_view text, Digest& digest) const {
  if (key.size() > static_cast<size_t>(std::numeric_limits<int>::max())) return false;
  unsigned size = 0;
  auto* const result = reinterpret_cast<unsigned char*>(digest.data());
  return hmac_(sha256_(), octets(key), static_cast<int>(key.size()), octets(text), text.size(), result, &size) !=
             nullptr &&
         size == digest.size();
}

tenon_status Crypto::scrypt(std::string_view password, std::string_view salt, uint64_t n, uint32_t r, uint32_t p,
                            char* key, size_t size) const {
  // The blocks of p and two of scratch are beside the n blocks; the rest is slack.
  const uint64_t memory = 128 * uint64_t{r} * (n + p + 2) + 4096;
  clear_errors_();
  if (scrypt_(reinterpret_cast<const char*>(octets(password)), password.size(), octets(salt), salt.size(), n, r, p,
              memory, reinterpret_cast<unsigned char*>(key), size) == 1) {
    return TENON_OK;
  }
  tenon_status status = TENON_ERROR_UNSUPPORTED;
  while (const unsigned long error = next_error_()) {
    if (is_of_memory(error)) status = TENON_ERROR_MEMORY;
  }
  return status;
}

bool Crypto::random(void* buffer, size_t size) const {
  auto* at = static_cast<unsigned char*>(buffer);
  constexpr size_t kMost = 1u << 20;
  while (size > 0) {
    const size_t part = std::min(size, kMost);
    if (random_(at, static_cast<int>(part)) != 1) return false;
    at += part;
    size -= part;
  }
  return true;
}

bool Crypto::equal(std::string_view one, std::string_view other) const {
  return one.size() == other.size() && compare_(octets(one), octets(other), one.size()) == 0;
}

}  // namespace tenon::core
