#ifndef TENON_CORE_PIPELINE_H
#define TENON_CORE_PIPELINE_H

#include "tenon/types.h"

namespace tenon::core {

class Call;

/*
 * A request, straight down:
 *
 *   send      lease on the live generation, its route, then here (inline) or on the generation's pool:
 *   handle    authentication, middleware before, handler, middleware after: all plugin code, under the guards
 *   conclude  response check; the front delivers bytes and gives the lease back
 *
 * Authentication and middleware are code of extensions: each step has a lease of its own on the generation of the
 * extension that is live then. An inline call may not wait in between, so it takes all those leases before it begins,
 * and is parked, without any, behind the gate of an extension that is being replaced.
 */

// Bring a call into the live generation of its plugin. True when it is finished and can be answered at once; false when
// the answer comes through its front. [front]
bool send(Call& call);

// The gate has opened: bring a call that waited at it in. [front]
void resend(Call& call);

// Run plugin code for a call that holds a lease; what the handler returned. [handler]
tenon_status handle(Call& call);

// The handler of a call that InstanceSource::begin has begun has returned `status`; the call may be gone after it.
// [any]
void end_begun(Call& call, tenon_status status);
// It has not begun, and is to do so on a thread. [any]
void begin_anew(Call& call);
// It is to go on on a thread: InstanceSource::go_on is called there. [front]
void go_on_begun(Call& call);

// Nobody is left who could take `call` from the queue of its generation, whose threads hang but for those that could
// not be started: refuse it. [any]
void strand(Call& call, uint32_t lost);

// The deadline of `call` has passed and the watchdog has claimed it. [watchdog]
void expire(Call& call);

}  // namespace tenon::core

#endif
