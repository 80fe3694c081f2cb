#ifndef TENON_CORE_EVENTS_FACE_H
#define TENON_CORE_EVENTS_FACE_H

#include "tenon/ext/events.h"

namespace tenon::core {

class Plugin;

// tenon.events/1 as plugins call it.
const tenon_host_events_t& events_functions();

// A record of tenon.log that the host keeps, for those who subscribe to it.
void publish_log(Plugin& plugin, uint64_t generation, int32_t level, tenon_bytes_t message,
                 const tenon_log_field_t* fields, size_t field_count);

}  // namespace tenon::core

#endif
