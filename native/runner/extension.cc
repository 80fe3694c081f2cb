#include "plugin_server.h"

namespace tenon::runner {

bool serve_extension(Plugin&, uint16_t, wire::Reader&, wire::Writer&) { return false; }

}  // namespace tenon::runner
