#include "host.h"
#include "tenon/ext/config.h"

namespace tenon::runner {

namespace {

void own(const tenon_host_t* host, void (*visit)(void* context, tenon_bytes_t json), void* context) {
  if (visit == nullptr) return;
  const std::string answer = Host::of(host).ask(wire::kUpConfigOwn, {});
  wire::Reader reader(answer);
  if (reader.flag()) visit(context, reader.bytes());
}

void consumers(const tenon_host_t* host,
               void (*visit)(void* context, tenon_bytes_t application, tenon_bytes_t settings), void* context) {
  if (visit == nullptr) return;
  const std::string answer = Host::of(host).ask(wire::kUpConfigConsumers, {});
  wire::Reader reader(answer);
  while (reader.flag()) {
    const tenon_bytes_t application = reader.bytes();
    visit(context, application, reader.bytes());
  }
}

constexpr tenon_host_config_t kConfig = {sizeof(tenon_host_config_t), own, consumers};

}  // namespace

const void* config_functions() { return &kConfig; }

}  // namespace tenon::runner
