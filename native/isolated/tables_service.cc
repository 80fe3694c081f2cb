#include "services.h"
#include "session.h"

namespace tenon::isolated {

bool serve_tables(Session&, uint16_t, wire::Reader&, wire::Writer&) { return false; }

}  // namespace tenon::isolated
