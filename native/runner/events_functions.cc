#include "host.h"
#include "plugin_server.h"

namespace tenon::runner {

const void* events_functions() { return nullptr; }

bool serve_event(Plugin&, wire::Reader&, wire::Writer&) { return false; }

}  // namespace tenon::runner
