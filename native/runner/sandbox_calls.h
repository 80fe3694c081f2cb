#ifndef TENON_RUNNER_SANDBOX_CALLS_H
#define TENON_RUNNER_SANDBOX_CALLS_H

#include <cstdint>

namespace tenon::runner {

/*
 * No system call of this process reaches another one, its own privileges, or the system as a whole: they fail with
 * EPERM. `may_start` allows processes of its own; `landlock` is the version that confine_files has found: what that
 * does not see is denied here. After no_new_privs. False: the kernel has no seccomp, or nobody has written a filter for
 * this machine.
 */
bool confine_calls(bool may_start, uint32_t landlock);

}  // namespace tenon::runner

#endif
