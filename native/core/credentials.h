#ifndef TENON_CORE_CREDENTIALS_H
#define TENON_CORE_CREDENTIALS_H

#include "tenon/ext/auth.h"
#include "tenon/host.h"

namespace tenon::core {

// The functions of tenon_host_auth_t that providers are made of, for its table.
struct Credentials {
  static tenon_status hash_password(const tenon_host_t* host, tenon_bytes_t password, void* buffer, size_t capacity,
                                    size_t* size);
  static tenon_status verify_password(const tenon_host_t* host, tenon_bytes_t password, tenon_bytes_t hash);
  static tenon_status sign_token(const tenon_host_t* host, tenon_bytes_t claims, uint32_t lifetime_s, void* buffer,
                                 size_t capacity, size_t* size);
  static tenon_status verify_token(const tenon_host_t* host, tenon_bytes_t token, void* buffer, size_t capacity,
                                   size_t* size);
  static tenon_status random(const tenon_host_t* host, void* buffer, size_t size);
};

}  // namespace tenon::core

#endif
