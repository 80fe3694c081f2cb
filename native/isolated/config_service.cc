#include "services.h"
#include "session.h"
#include "tenon/ext/config.h"

namespace tenon::isolated {

// Asked for each time the plugin looks, so that the host knows that it has, and it sees what holds at that moment.
bool serve_config(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  const auto* const config = session.service<tenon_host_config_t>(TENON_CONFIG_ID);
  if (!reader.ended()) return false;
  if (code == wire::kUpConfigOwn) {
    const auto visit = [](void* to, tenon_bytes_t json) { static_cast<wire::Writer*>(to)->put(true).text(json); };
    config->own(&session.host(), visit, &writer);
  } else if (code == wire::kUpConfigConsumers) {
    const auto visit = [](void* to, tenon_bytes_t application, tenon_bytes_t settings) {
      static_cast<wire::Writer*>(to)->put(true).text(application).text(settings);
    };
    config->consumers(&session.host(), visit, &writer);
  } else {
    return false;
  }
  writer.put(false);
  return true;
}

}  // namespace tenon::isolated
