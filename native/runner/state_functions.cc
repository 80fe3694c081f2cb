#include <cstring>

#include "host.h"
#include "tenon/ext/state.h"

namespace tenon::runner {

namespace {

tenon_status put(const tenon_host_t* host, tenon_bytes_t key, tenon_bytes_t value) {
  if ((key.data == nullptr && key.size != 0) || (value.data == nullptr && value.size != 0)) return TENON_ERROR_ARGUMENT;
  if (key.size > TENON_STATE_LIMIT || value.size > TENON_STATE_LIMIT - key.size) return TENON_ERROR_TOO_LARGE;
  wire::Writer writer;
  writer.text(key);
  const uint64_t size = value.size;
  const std::string answer = Host::of(host).ask(
      wire::kUpStatePut,
      {writer.bytes(), {reinterpret_cast<const char*>(&size), sizeof size}, {value.data, value.size}});
  return wire::Reader(answer).get<int32_t>();
}

tenon_status get(const tenon_host_t* host, tenon_bytes_t key, void* buffer, size_t capacity, size_t* value_size) {
  wire::Writer writer;
  writer.text(key).put<uint64_t>(buffer == nullptr ? 0 : capacity);
  const std::string answer = Host::of(host).ask(wire::kUpStateGet, {writer.bytes()});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  const auto size = reader.get<uint64_t>();
  const std::string_view value = reader.text();
  if (value_size != nullptr) *value_size = size;
  if (status == TENON_OK && !value.empty()) std::memcpy(buffer, value.data(), value.size());
  return status;
}

tenon_status remove_value(const tenon_host_t* host, tenon_bytes_t key) {
  wire::Writer writer;
  writer.text(key);
  const std::string answer = Host::of(host).ask(wire::kUpStateRemove, {writer.bytes()});
  return wire::Reader(answer).get<int32_t>();
}

constexpr tenon_host_state_t kState = {sizeof(tenon_host_state_t), put, get, remove_value};

}  // namespace

const void* state_functions() { return &kState; }

}  // namespace tenon::runner
