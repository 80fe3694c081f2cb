#ifndef TENON_CORE_THREAD_EXIT_H
#define TENON_CORE_THREAD_EXIT_H

#include <cstdint>

namespace tenon::core {

/*
 * End the call of plugin code that this thread is in: the frames from the caller of a wrapper, which returns to
 * `caller`, up to the host's are unwound as an exit of the thread unwinds them, and the host gets `status`. Does not
 * return where it can be done: on x86-64, with frames that can be unwound. [its thread]
 */
void leave_plugin(const void* caller, int32_t status);

}  // namespace tenon::core

#endif
