#ifndef TENON_CORE_MIDDLEWARE_FACE_H
#define TENON_CORE_MIDDLEWARE_FACE_H

#include "tenon/ext/middleware.h"

namespace tenon::core {

// The host's side of tenon.middleware/1.
const tenon_host_middleware_t& middleware_functions();

}  // namespace tenon::core

#endif
