#ifndef TENON_RUNNER_REMOTE_REQUESTS_H
#define TENON_RUNNER_REMOTE_REQUESTS_H

#include "remote_request.h"

namespace tenon::runner {

// The requests that handlers of this process have. None is ever freed: a plugin that completes one twice meets what is
// no deferred request, as it does in the host's own process.
class Requests {
 public:
  // With the hold of a handler. [any]
  static RemoteRequest& take();
  // The last one to let go of it clears it. [any]
  static void let_go(RemoteRequest& request);
};

}  // namespace tenon::runner

#endif
