#ifndef TENON_RUNNER_ENVIRONMENT_H
#define TENON_RUNNER_ENVIRONMENT_H

#include <string>

namespace tenon::runner {

// Of what this process was given, only what the plugin of another process may know stays, in its memory too; TMPDIR is
// `temporary` from here on. Before it has a second thread.
void clear_environment(const std::string& temporary);

}  // namespace tenon::runner

#endif
