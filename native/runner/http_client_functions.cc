#include "host.h"
#include "plugin_server.h"

namespace tenon::runner {

const void* http_client_functions() { return nullptr; }

bool serve_fetched(wire::Reader&, wire::Writer&) { return false; }

}  // namespace tenon::runner
