#ifndef TENON_CORE_OWN_THREAD_H
#define TENON_CORE_OWN_THREAD_H

#include "image_registry.h"

namespace tenon::core {

// This thread has been started by code of `image`, at `routine`: it is counted, has a record in the black box and a
// stack for a crash report, until the last of its destructors has run; none of that where the system cannot tell when
// that is, for want of memory or keys. [its thread]
void begin_own_thread(ImageIndex image, void* routine);

// Whether it is one of those. [any]
bool is_own_thread();

}  // namespace tenon::core

#endif
