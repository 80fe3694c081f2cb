#ifndef TENON_ISOLATED_SERVICES_H
#define TENON_ISOLATED_SERVICES_H

#include <cstdint>

#include "wire/lane.h"
#include "wire/message.h"

namespace tenon::isolated {

class Session;

// What a runner asks of the host, one function and file for each capability. `code` is in the capability's range (see
// protocol.h). False: the runner has not kept to the protocol; nothing was done then. A question is decoded whole and
// `reader.ended()` seen to before anything is done. They run on the thread that waits for the runner: that of the
// handler, of the step or of the task that the plugin is in, or on one of the session for a thread of the plugin's own.
bool serve_log(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_state(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_config(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_http(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_tasks(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_events(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_metrics(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_http_client(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_auth(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_middleware(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_hooks(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_tables(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer);

}  // namespace tenon::isolated

#endif
