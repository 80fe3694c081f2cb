#ifndef TENON_RUNNER_SANDBOX_H
#define TENON_RUNNER_SANDBOX_H

#include <cstddef>
#include <string>

#include "wire/runner_settings.h"

namespace tenon::runner {

// Of each thread that serves a lane.
constexpr size_t kStackBytes = 1024 * 1024;

// From here on this process, and every thread it begins, may only what `settings` says. Before its library is opened,
// and before it has a second thread. False and why in `problem` when a limit could not be set; what the kernel does not
// have is left out, and `confinement` says what there is. `library`, an open file, may be read wherever it is.
bool enter_sandbox(const wire::RunnerSettings& settings, int library, wire::Confinement& confinement,
                   std::string& problem);

// What a process with these settings is not to be begun without, and is: "seccomp", "landlock", or both; empty:
// nothing.
std::string lacking(const wire::RunnerSettings& settings, const wire::Confinement& confinement);

// The plugin's memory is not to be used up by the stack of a thread that is begun for the host. Before it is.
void allow_stack(const wire::RunnerSettings& settings);

}  // namespace tenon::runner

#endif
