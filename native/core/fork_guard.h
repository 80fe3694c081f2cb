#ifndef TENON_CORE_FORK_GUARD_H
#define TENON_CORE_FORK_GUARD_H

#include "image_registry.h"

namespace tenon::core {

/*
 * A child that plugin code has forked ends at once, with status 121: it would be a second host, with all the
 * descriptors of this one and none of its threads. The parent sees fork succeed, and it is noted, as is a fork that the
 * system refuses. What starts programs
 * without running code in the child goes on as ever: posix_spawn, system and popen do not come by here, nor does vfork.
 * Once.
 */
void guard_forks();

// The next fork of this thread is one of `image`, until it is said to be of none. [its thread]
void enter_fork(ImageIndex image);

}  // namespace tenon::core

#endif
