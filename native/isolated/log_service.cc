#include <vector>

#include "services.h"
#include "session.h"
#include "tenon/ext/log.h"

namespace tenon::isolated {

bool serve_log(Session& session, uint16_t code, wire::Reader& reader, wire::Writer&) {
  if (code != wire::kUpLog) return false;
  const auto level = reader.get<int32_t>();
  const tenon_bytes_t message = reader.bytes();
  std::vector<tenon_log_field_t> fields(reader.count(16));
  for (tenon_log_field_t& field : fields) {
    field.key = reader.bytes();
    field.value = reader.bytes();
  }
  if (!reader.ended()) return false;
  session.write_log(level, message, fields.data(), fields.size());
  return true;
}

}  // namespace tenon::isolated
