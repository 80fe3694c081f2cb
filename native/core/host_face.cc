#include "host_face.h"

#include <string_view>
#include <utility>

#include "auth_face.h"
#include "byte_buffer.h"
#include "call.h"
#include "events_face.h"
#include "front.h"
#include "generation.h"
#include "hooks_face.h"
#include "log_origin.h"
#include "metrics_face.h"
#include "middleware_face.h"
#include "tasks_face.h"
#include "tenon/ext/config.h"
#include "tenon/ext/http.h"
#include "tenon/ext/http_client.h"
#include "tenon/ext/log.h"
#include "tenon/ext/state.h"
#include "tenon/types.h"

namespace tenon::core {

namespace {

// --- tenon.log/1

void log_write(const tenon_host_t* host, int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields,
               size_t field_count) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return;
  if (level >= TENON_LOG_WARN) face.remember(std::string(view(message).substr(0, Response::kMessageBytes)));
  if (level >= face.plugin().log_level()) write_log(face.plugin(), face.number(), level, message, fields, field_count);
}

bool log_enabled(const tenon_host_t* host, int32_t level) {
  const HostFace& face = HostFace::of(host);
  return face.open() && level >= face.plugin().log_level();
}

constexpr tenon_host_log_t kLog = {sizeof(tenon_host_log_t), log_write, log_enabled};

// --- tenon.state/1

tenon_status state_put(const tenon_host_t* host, tenon_bytes_t key, tenon_bytes_t value) {
  const HostFace& face = HostFace::of(host);
  return face.open() ? face.plugin().state().put(key, value) : TENON_ERROR_STATE;
}

tenon_status state_get(const tenon_host_t* host, tenon_bytes_t key, void* buffer, size_t capacity, size_t* value_size) {
  const HostFace& face = HostFace::of(host);
  return face.open() ? face.plugin().state().get(key, buffer, capacity, value_size) : TENON_ERROR_STATE;
}

tenon_status state_remove(const tenon_host_t* host, tenon_bytes_t key) {
  const HostFace& face = HostFace::of(host);
  return face.open() ? face.plugin().state().remove(key) : TENON_ERROR_STATE;
}

constexpr tenon_host_state_t kState = {sizeof(tenon_host_state_t), state_put, state_get, state_remove};

// --- tenon.http/1

bool give(bool found, std::string_view text, tenon_bytes_t* value) {
  if (found && value != nullptr) *value = bytes(text);
  return found;
}

tenon_http_method http_method(const tenon_request_t* request) { return call_of(request).request.method; }
tenon_bytes_t http_path(const tenon_request_t* request) { return bytes(call_of(request).request.path()); }
tenon_bytes_t http_query(const tenon_request_t* request) { return bytes(call_of(request).request.query()); }

bool http_query_value(tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
  std::string_view text;
  const bool found = call_of(request).request.query_value(view(name), text);
  return give(found, text, value);
}

bool http_param(tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
  Call& call = call_of(request);
  const size_t prefix =
      call.gate_route != nullptr ? 0 : call.lease.load(std::memory_order_relaxed)->generation->prefix_segments();
  std::string_view text;
  const bool found = call.request.param(*call.route, prefix, view(name), text);
  return give(found, text, value);
}

bool http_header(const tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
  std::string_view text;
  const bool found = call_of(request).request.header(view(name), text);
  return give(found, text, value);
}

uint32_t http_header_count(const tenon_request_t* request) { return call_of(request).request.header_count(); }

bool http_header_at(const tenon_request_t* request, uint32_t index, tenon_bytes_t* name, tenon_bytes_t* value) {
  std::string_view key;
  std::string_view text;
  if (!call_of(request).request.header_at(index, key, text)) return false;
  give(true, key, name);
  return give(true, text, value);
}

tenon_bytes_t http_body(const tenon_request_t* request) { return bytes(call_of(request).request.body()); }

tenon_bytes_t http_request_id(tenon_request_t* request) {
  Call& call = call_of(request);
  return bytes(call.request.id(call.front.name()));
}

uint32_t http_time_left_ms(const tenon_request_t* request) { return call_of(request).time_left_ms(); }
bool http_cancelled(const tenon_request_t* request) { return call_of(request).abandoned(); }

// Once a stream has begun, status and headers are on their way.
tenon_status http_set_status(tenon_response_t* response, int32_t status) {
  Call& call = call_of(response);
  return call.stream ? TENON_ERROR_STATE : call.response.set_status(status);
}

tenon_status http_set_header(tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value) {
  Call& call = call_of(response);
  return call.stream ? TENON_ERROR_STATE : call.response.set_header(view(name), view(value), true);
}

tenon_status http_add_header(tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value) {
  Call& call = call_of(response);
  return call.stream ? TENON_ERROR_STATE : call.response.set_header(view(name), view(value), false);
}

tenon_status http_set_body(tenon_response_t* response, tenon_bytes_t body) {
  Call& call = call_of(response);
  return call.stream ? TENON_ERROR_STATE : call.response.set_body({body.data, body.size});
}

tenon_status http_give_body(tenon_response_t* response, const void* data, size_t size, tenon_free_fn free_body,
                            void* context) {
  Call& call = call_of(response);
  if (!call.stream) return call.response.give_body(data, size, free_body, context);
  if (free_body != nullptr) free_body(const_cast<void*>(data), size, context);
  return TENON_ERROR_STATE;
}

void http_fail(tenon_response_t* response, tenon_bytes_t message) { call_of(response).response.fail(view(message)); }

tenon_status http_write(tenon_response_t* response, tenon_bytes_t chunk) {
  return call_of(response).write({chunk.data, chunk.size});
}

tenon_status http_defer(tenon_response_t* response) {
  Call& call = call_of(response);
  if (call.deferral.load(std::memory_order_relaxed) != Call::Deferral::None || call.inside() != nullptr) {
    return TENON_ERROR_STATE;
  }
  call.request.own();
  if (!call.armed) call.arm(call.route->deadline_ms);
  call.holds.fetch_add(1, std::memory_order_acq_rel);
  call.deferral.store(Call::Deferral::Deferred, std::memory_order_release);
  return TENON_OK;
}

void http_complete(tenon_response_t* response, tenon_status status) {
  Call& call = call_of(response);
  // A second one, or one without a deferral, would let go of somebody else's hold.
  Call::Deferral expected = Call::Deferral::Deferred;
  if (!call.deferral.compare_exchange_strong(expected, Call::Deferral::Completed, std::memory_order_acq_rel)) return;
  call.conclude(status);
  if (call.let_go()) call.post(kFinished);
}

bool http_find_route(const tenon_host_t* host, tenon_http_method method, tenon_bytes_t path, tenon_bytes_t* plugin,
                     tenon_bytes_t* pattern) {
  const HostFace& face = HostFace::of(host);
  std::string_view id;
  std::string_view whole;
  if (!face.open() || !face.plugin().front().find_route(method, view(path), id, whole)) return false;
  give(true, id, plugin);
  return give(true, whole, pattern);
}

constexpr tenon_host_http_t kHttp = {sizeof(tenon_host_http_t),
                                     http_method,
                                     http_path,
                                     http_query,
                                     http_query_value,
                                     http_param,
                                     http_header,
                                     http_header_count,
                                     http_header_at,
                                     http_body,
                                     http_request_id,
                                     http_time_left_ms,
                                     http_cancelled,
                                     http_set_status,
                                     http_set_header,
                                     http_add_header,
                                     http_set_body,
                                     http_give_body,
                                     http_fail,
                                     http_write,
                                     http_defer,
                                     http_complete,
                                     http_find_route};

const void* get_extension(const tenon_host_t* host, const char* id) {
  if (id == nullptr) return nullptr;
  const std::string_view name(id);
  if (name == TENON_HTTP_ID) return &kHttp;
  if (name == TENON_LOG_ID) return &kLog;
  if (name == TENON_STATE_ID) return &kState;
  if (name == TENON_CONFIG_ID) return &ConfigFace::functions();
  if (name == TENON_HTTP_CLIENT_ID && HostFace::of(host).plugin().front().outgoing().offered()) {
    return &HttpClientFace::functions();
  }
  if (name == TENON_TASKS_ID) return &tasks_functions();
  if (name == TENON_EVENTS_ID) return &events_functions();
  if (name == TENON_METRICS_ID) return &metrics_functions();
  if (name == TENON_AUTH_ID) return &auth_functions();
  if (name == TENON_MIDDLEWARE_ID) return &middleware_functions();
  if (name == TENON_HOOKS_ID) return &hooks_functions();
  if (name == TENON_TABLES_ID && HostFace::of(host).tables() != nullptr) return &TablesFace::functions();
  return nullptr;
}

}  // namespace

HostFace::HostFace(Plugin& plugin, uint64_t number, TablesAccess access, ConfigValues config,
                   std::optional<PermissionLines> permissions)
    : plugin_(plugin),
      number_(number),
      permissions_(std::make_shared<Permissions>(plugin, number)),
      tables_(TablesFace::make(plugin.front(), std::move(access), permissions_)),
      config_(std::move(config)),
      http_client_(std::make_shared<HttpClientFace>(plugin, number, permissions_)),
      services_(plugin, number),
      host_() {
  host_.size = sizeof(tenon_host_t);
  host_.abi_major = TENON_ABI_MAJOR;
  host_.abi_minor = TENON_ABI_MINOR;
  host_.version = TENON_SDK_VERSION;
  host_.data = this;
  host_.get_extension = get_extension;
  permissions_->set(std::move(permissions));
}

void HostFace::permit(std::optional<PermissionLines> permissions) {
  permissions_->set(std::move(permissions));
  services_.events.review(*permissions_);
}

HostFace::~HostFace() {
  if (tables_) tables_->dismiss();
}

void HostFace::close() {
  open_.store(false, std::memory_order_release);
  decisions_.forget();
}

void HostFace::remember(std::string message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  remembered_ = std::move(message);
}

std::string HostFace::take_remembered() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(remembered_, {});
}

void write_log(Plugin& plugin, uint64_t generation, int32_t level, tenon_bytes_t message,
               const tenon_log_field_t* fields, size_t field_count) {
  Front& front = plugin.front();
  publish_log(plugin, generation, level, message, fields, field_count);
  if (front.log().write({plugin.id(), generation, origin_of_thread(front)}, level, message, fields, field_count))
    front.wake();
}

}  // namespace tenon::core
