#ifndef TENON_CORE_UUID_H
#define TENON_CORE_UUID_H

#include <cstdint>
#include <string>

namespace tenon::core {

// Append a fresh UUID of version 7 (RFC 9562): 48 bits of time, 12 of a counter, the rest from the system's random
// numbers. False when the system has none. Each sorts behind all that this process was given before, on any thread; of
// several processes those of later milliseconds do.
bool append_uuid(int64_t now_ms, std::string& text);

}  // namespace tenon::core

#endif
