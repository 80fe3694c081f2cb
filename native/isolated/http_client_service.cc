#include "services.h"
#include "session.h"

namespace tenon::isolated {

bool serve_http_client(Session&, uint16_t, wire::Reader&, wire::Writer&) { return false; }

}  // namespace tenon::isolated
