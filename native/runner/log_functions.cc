#include "host.h"
#include "tenon/ext/log.h"

namespace tenon::runner {

namespace {

void write_log(const tenon_host_t* host, int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields,
               size_t field_count) {
  Host& own = Host::of(host);
  // A warning is remembered there, whatever is kept.
  if (level < own.log_level() && level < TENON_LOG_WARN) return;
  wire::Writer writer;
  writer.put(level).text(message).put(static_cast<uint32_t>(field_count));
  for (size_t index = 0; index < field_count; index++) writer.text(fields[index].key).text(fields[index].value);
  own.tell(wire::kUpLog, {writer.bytes()});
}

bool is_enabled(const tenon_host_t* host, int32_t level) { return level >= Host::of(host).log_level(); }

constexpr tenon_host_log_t kLog = {sizeof(tenon_host_log_t), write_log, is_enabled};

}  // namespace

const void* log_functions() { return &kLog; }

}  // namespace tenon::runner
