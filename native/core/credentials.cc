#include "credentials.h"

#include <chrono>
#include <cstring>
#include <string>

#include "byte_buffer.h"
#include "crypto.h"
#include "front.h"
#include "host_face.h"
#include "password.h"
#include "token.h"

namespace tenon::core {

namespace {

// What is needed to begin with; TENON_OK, or why not.
tenon_status begin(const tenon_host_t* host, const Crypto*& crypto) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return TENON_ERROR_STATE;
  if (!face.permissions().allow(Permit::AuthCredentials, {})) return TENON_ERROR_DENIED;
  crypto = Crypto::find();
  return crypto == nullptr ? TENON_ERROR_UNSUPPORTED : TENON_OK;
}

bool is_wrong(tenon_bytes_t bytes) { return bytes.data == nullptr && bytes.size != 0; }

tenon_status give(std::string_view text, void* buffer, size_t capacity, size_t* size) {
  *size = text.size();
  if (capacity < text.size()) return TENON_ERROR_TOO_LARGE;
  if (!text.empty()) std::memcpy(buffer, text.data(), text.size());
  return TENON_OK;
}

int64_t seconds_since_epoch() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// With the issuer that this plugin is.
template <typename Work>
tenon_status with_issuer(const tenon_host_t* host, Work work) {
  const Crypto* crypto = nullptr;
  if (const tenon_status status = begin(host, crypto); status != TENON_OK) return status;
  Plugin& plugin = HostFace::of(host).plugin();
  const std::string& master = plugin.front().token_key();
  Crypto::Digest key;
  if (master.empty() || !crypto->authenticate(master, plugin.id(), key)) return TENON_ERROR_UNSUPPORTED;
  return work(TokenIssuer(*crypto, {key.data(), key.size()}, plugin.id()));
}

}  // namespace

tenon_status Credentials::hash_password(const tenon_host_t* host, tenon_bytes_t password, void* buffer, size_t capacity,
                                        size_t* size) {
  const Crypto* crypto = nullptr;
  if (const tenon_status status = begin(host, crypto); status != TENON_OK) return status;
  if (is_wrong(password) || size == nullptr || (buffer == nullptr && capacity != 0)) return TENON_ERROR_ARGUMENT;
  if (HostFace::of(host).plugin().front().is_current_thread()) return TENON_ERROR_STATE;
  *size = PasswordHash::kOwnTextBytes;
  if (capacity < PasswordHash::kOwnTextBytes) return TENON_ERROR_TOO_LARGE;
  std::string text;
  const tenon_status status = core::hash_password(*crypto, view(password), text);
  return status == TENON_OK ? give(text, buffer, capacity, size) : status;
}

tenon_status Credentials::verify_password(const tenon_host_t* host, tenon_bytes_t password, tenon_bytes_t hash) {
  const Crypto* crypto = nullptr;
  if (const tenon_status status = begin(host, crypto); status != TENON_OK) return status;
  if (is_wrong(password) || is_wrong(hash)) return TENON_ERROR_ARGUMENT;
  if (HostFace::of(host).plugin().front().is_current_thread()) return TENON_ERROR_STATE;
  return core::verify_password(*crypto, view(password), view(hash));
}

tenon_status Credentials::sign_token(const tenon_host_t* host, tenon_bytes_t claims, uint32_t lifetime_s, void* buffer,
                                     size_t capacity, size_t* size) {
  if (is_wrong(claims) || size == nullptr || (buffer == nullptr && capacity != 0)) return TENON_ERROR_ARGUMENT;
  return with_issuer(host, [&](const TokenIssuer& issuer) {
    std::string token;
    const tenon_status status = issuer.sign(view(claims), seconds_since_epoch(), lifetime_s, token);
    return status == TENON_OK ? give(token, buffer, capacity, size) : status;
  });
}

tenon_status Credentials::verify_token(const tenon_host_t* host, tenon_bytes_t token, void* buffer, size_t capacity,
                                       size_t* size) {
  if (is_wrong(token) || size == nullptr || (buffer == nullptr && capacity != 0)) return TENON_ERROR_ARGUMENT;
  return with_issuer(host, [&](const TokenIssuer& issuer) {
    std::string claims;
    const tenon_status status = issuer.verify(view(token), seconds_since_epoch(), claims);
    return status == TENON_OK ? give(claims, buffer, capacity, size) : status;
  });
}

tenon_status Credentials::random(const tenon_host_t* host, void* buffer, size_t size) {
  if (!HostFace::of(host).open()) return TENON_ERROR_STATE;
  const Crypto* const crypto = Crypto::find();
  if (crypto == nullptr) return TENON_ERROR_UNSUPPORTED;
  if (buffer == nullptr && size != 0) return TENON_ERROR_ARGUMENT;
  return crypto->random(buffer, size) ? TENON_OK : TENON_ERROR_UNSUPPORTED;
}

}  // namespace tenon::core
