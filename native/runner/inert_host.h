// The host that a plugin meets in its trial: every capability of the contract is there, nothing has an effect.
#ifndef TENON_RUNNER_INERT_HOST_H
#define TENON_RUNNER_INERT_HOST_H

#include <string>

#include "tenon/host.h"

namespace tenon::runner {

// log goes to standard error and its last message is kept; state begins empty and lives as long as the process; the
// functions of http answer as for an empty request, and refuse to build a response. [any]
const tenon_host_t* inert_host();

// The last message that went through tenon.log; empty when there was none. [any]
std::string last_log_message();

}  // namespace tenon::runner

#endif
