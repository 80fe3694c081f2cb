#ifndef TENON_RUNNER_SANDBOX_H
#define TENON_RUNNER_SANDBOX_H

#include <string>

#include "wire/runner_settings.h"

namespace tenon::runner {

// From here on this process, and every thread it begins, may only what `settings` says. Before its library is opened,
// and before it has a second thread. False and why in `problem` when a limit could not be set; what the kernel does not
// have is left out.
bool enter_sandbox(const wire::RunnerSettings& settings, std::string& problem);

}  // namespace tenon::runner

#endif
