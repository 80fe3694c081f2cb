#include "host.h"
#include "plugin_server.h"

namespace tenon::runner {

const void* tasks_functions() { return nullptr; }

bool serve_task(uint16_t, wire::Reader&, wire::Writer&) { return false; }

}  // namespace tenon::runner
