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
 * This version has no authentication and no middleware; they are steps of `handle`, before and after the handler.
 */

// Bring a call into the live generation of its plugin. True when it is finished and can be answered at once; false when
// the answer comes through its front. [front]
bool send(Call& call);

// The gate has opened: bring a call that waited at it in. [front]
void resend(Call& call);

// Run plugin code for a call that holds a lease; what the handler returned. [handler]
tenon_status handle(Call& call);

// The deadline of `call` has passed and the watchdog has claimed it. [watchdog]
void expire(Call& call);

}  // namespace tenon::core

#endif
