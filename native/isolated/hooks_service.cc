#include <string>

#include "byte_buffer.h"
#include "services.h"
#include "session.h"
#include "tenon/ext/hooks.h"
#include "wire/steps.h"

namespace tenon::isolated {

namespace {

// What a chain gives.
struct Taken {
  bool given = false;
  bool failed = false;
  std::string bytes;
  std::string message;
};

tenon_status write(const tenon_hook_output_t* output, tenon_bytes_t bytes) {
  Taken& taken = *static_cast<Taken*>(output->data);
  taken.given = true;
  taken.bytes.append(core::view(bytes));
  return TENON_OK;
}

void fail(const tenon_hook_output_t* output, tenon_bytes_t message) {
  Taken& taken = *static_cast<Taken*>(output->data);
  taken.failed = true;
  taken.message.assign(core::view(message));
}

}  // namespace

bool serve_hooks(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  const tenon_bytes_t name = reader.bytes();
  const auto version = reader.get<uint32_t>();
  const tenon_bytes_t input = reader.bytes();
  if (code != wire::kUpHooksRun || !reader.ended()) return false;
  Taken taken;
  const tenon_hook_output_t output = {sizeof output, &taken, write, fail};
  const auto& hooks = *session.service<tenon_host_hooks_t>(TENON_HOOKS_ID);
  writer.put<int32_t>(hooks.run(&session.host(), name, version, input, &output));
  writer.put(taken.failed).text(taken.message).put(taken.given).text(taken.bytes);
  return true;
}

}  // namespace tenon::isolated
