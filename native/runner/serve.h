#ifndef TENON_RUNNER_SERVE_H
#define TENON_RUNNER_SERVE_H

namespace tenon::runner {

// Serve one library for the host that started this process, until it is gone; see native/wire/protocol.h. Its exit
// code.
int serve();

}  // namespace tenon::runner

#endif
