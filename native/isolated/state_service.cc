#include <string>

#include "services.h"
#include "session.h"
#include "tenon/ext/state.h"

namespace tenon::isolated {

bool serve_state(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  const auto* const state = session.service<tenon_host_state_t>(TENON_STATE_ID);
  const tenon_host_t* const host = &session.host();
  const tenon_bytes_t key = reader.bytes();
  if (code == wire::kUpStatePut) {
    const tenon_bytes_t value = reader.bytes();
    if (!reader.ended()) return false;
    writer.put<int32_t>(state->put(host, key, value));
    return true;
  }
  if (code == wire::kUpStateRemove) {
    if (!reader.ended()) return false;
    writer.put<int32_t>(state->remove(host, key));
    return true;
  }
  if (code != wire::kUpStateGet) return false;
  const auto capacity = reader.get<uint64_t>();
  if (!reader.ended()) return false;
  // What there is decides how much is made ready, and not what was asked for.
  size_t size = 0;
  tenon_status status = state->get(host, key, nullptr, 0, &size);
  std::string value;
  while (status == TENON_ERROR_TOO_LARGE && size <= capacity) {
    value.resize(size);
    status = state->get(host, key, value.data(), value.size(), &size);
  }
  const bool fits = status == TENON_OK && size <= value.size();
  writer.put<int32_t>(status).put<uint64_t>(size).text(std::string_view(value).substr(0, fits ? size : 0));
  return true;
}

}  // namespace tenon::isolated
