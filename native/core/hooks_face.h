#ifndef TENON_CORE_HOOKS_FACE_H
#define TENON_CORE_HOOKS_FACE_H

#include "tenon/ext/hooks.h"

namespace tenon::core {

// The host's side of tenon.hooks/1.
const tenon_host_hooks_t& hooks_functions();

}  // namespace tenon::core

#endif
