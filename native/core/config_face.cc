#include "config_face.h"

#include <utility>

#include "byte_buffer.h"
#include "host_face.h"

namespace tenon::core {

namespace {

std::shared_ptr<const ConfigValues> values_of(const tenon_host_t* host) {
  HostFace& face = HostFace::of(host);
  return face.open() ? face.config().read() : nullptr;
}

void visit_own(const tenon_host_t* host, void (*visit)(void* context, tenon_bytes_t json), void* context) {
  const std::shared_ptr<const ConfigValues> values = values_of(host);
  if (values != nullptr && visit != nullptr) visit(context, bytes(values->own));
}

void visit_consumers(const tenon_host_t* host,
                     void (*visit)(void* context, tenon_bytes_t application, tenon_bytes_t settings), void* context) {
  const std::shared_ptr<const ConfigValues> values = values_of(host);
  if (values == nullptr || visit == nullptr) return;
  for (const auto& [application, settings] : values->consumers) visit(context, bytes(application), bytes(settings));
}

constexpr tenon_host_config_t kConfig = {sizeof(tenon_host_config_t), visit_own, visit_consumers};

}  // namespace

const tenon_host_config_t& ConfigFace::functions() { return kConfig; }

std::shared_ptr<const ConfigValues> ConfigFace::values() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return values_;
}

std::shared_ptr<const ConfigValues> ConfigFace::read() {
  was_read_.store(true, std::memory_order_release);
  return values();
}

void ConfigFace::take(const std::string& application, std::string json) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto changed = std::make_shared<ConfigValues>(*values_);
  if (application.empty()) {
    changed->own = json.empty() ? "{}" : std::move(json);
  } else if (json.empty()) {
    changed->consumers.erase(application);
  } else {
    changed->consumers[application] = std::move(json);
  }
  values_ = std::move(changed);
}

}  // namespace tenon::core
