#ifndef TENON_CORE_AUTH_FACE_H
#define TENON_CORE_AUTH_FACE_H

#include "tenon/ext/auth.h"

namespace tenon::core {

// The host's side of tenon.auth/1.
const tenon_host_auth_t& auth_functions();

}  // namespace tenon::core

#endif
