#include "byte_buffer.h"
#include "host.h"
#include "tenon/ext/hooks.h"
#include "wire/steps.h"

namespace tenon::runner {

namespace {

// No hook has so long a name.
constexpr size_t kNameBytes = 128;

tenon_status run(const tenon_host_t* host, tenon_bytes_t name, uint32_t version, tenon_bytes_t input,
                 const tenon_hook_output_t* output) {
  if (!TENON_HAS(output, write) || (input.data == nullptr && input.size != 0)) return TENON_ERROR_ARGUMENT;
  if (input.size > TENON_HOOK_BYTES) return TENON_ERROR_TOO_LARGE;
  if (name.data == nullptr && name.size != 0) return TENON_ERROR_ARGUMENT;
  wire::Writer writer;
  writer.text(core::view(name).substr(0, kNameBytes)).put(version).put<uint64_t>(input.size);
  const std::string answer = Host::of(host).ask(wire::kUpHooksRun, {writer.bytes(), core::view(input)});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  const bool failed = reader.flag();
  const tenon_bytes_t message = reader.bytes();
  const bool given = reader.flag();
  const tenon_bytes_t bytes = reader.bytes();
  // More calls within calls than there are frames for.
  if (!reader.ended()) return TENON_ERROR_TOO_LARGE;
  if (failed && TENON_HAS(output, fail)) output->fail(output, message);
  return given ? output->write(output, bytes) : status;
}

constexpr tenon_host_hooks_t kHooks = {sizeof(tenon_host_hooks_t), run};

}  // namespace

const void* hooks_functions() { return &kHooks; }

}  // namespace tenon::runner
