#include "byte_buffer.h"
#include "host.h"
#include "remote_request.h"
#include "tenon/ext/http.h"

namespace tenon::runner {

namespace {

using core::bytes;
using core::view;

bool give(bool found, std::string_view text, tenon_bytes_t* value) {
  if (found && value != nullptr) *value = bytes(text);
  return found;
}

tenon_http_method method(const tenon_request_t* request) { return request_of(request).request.method; }
tenon_bytes_t path(const tenon_request_t* request) { return bytes(request_of(request).request.path()); }
tenon_bytes_t query(const tenon_request_t* request) { return bytes(request_of(request).request.query()); }
tenon_bytes_t body(const tenon_request_t* request) { return bytes(request_of(request).request.body()); }

bool query_value(tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
  std::string_view text;
  const bool found = request_of(request).request.query_value(view(name), text);
  return give(found, text, value);
}

bool param(tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
  for (const auto& [own, text] : request_of(request).params) {
    if (own == view(name)) return give(true, text, value);
  }
  return false;
}

bool header(const tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
  std::string_view text;
  const bool found = request_of(request).request.header(view(name), text);
  return give(found, text, value);
}

uint32_t header_count(const tenon_request_t* request) { return request_of(request).request.header_count(); }

bool header_at(const tenon_request_t* request, uint32_t index, tenon_bytes_t* name, tenon_bytes_t* value) {
  std::string_view key;
  std::string_view text;
  if (!request_of(request).request.header_at(index, key, text)) return false;
  give(true, key, name);
  return give(true, text, value);
}

tenon_bytes_t request_id(tenon_request_t* request) {
  return bytes(request_of(request).request.id(Host::instance().settings().host_name));
}

tenon_status set_status(tenon_response_t* response, int32_t status) { return request_of(response).status(status); }
tenon_status set_header(tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value) {
  return request_of(response).header(view(name), view(value), true);
}
tenon_status add_header(tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value) {
  return request_of(response).header(view(name), view(value), false);
}
tenon_status set_body(tenon_response_t* response, tenon_bytes_t text) {
  return request_of(response).body({text.data, text.size});
}

tenon_status give_body(tenon_response_t* response, const void* data, size_t size, tenon_free_fn free_body,
                       void* context) {
  const tenon_status status = request_of(response).body({static_cast<const char*>(data), size});
  if (free_body != nullptr) free_body(const_cast<void*>(data), size, context);
  return status;
}

void fail(tenon_response_t* response, tenon_bytes_t message) { request_of(response).fail(view(message)); }

uint32_t time_left_ms(const tenon_request_t* request) { return request_of(request).time_left_ms; }
bool cancelled(const tenon_request_t*) { return false; }
tenon_status write_chunk(tenon_response_t*, tenon_bytes_t) { return TENON_ERROR_UNSUPPORTED; }
tenon_status defer(tenon_response_t*) { return TENON_ERROR_UNSUPPORTED; }
void complete(tenon_response_t*, tenon_status) {}
bool find_route(const tenon_host_t*, tenon_http_method, tenon_bytes_t, tenon_bytes_t*, tenon_bytes_t*) { return false; }

constexpr tenon_host_http_t kHttp = {sizeof(tenon_host_http_t),
                                     method,
                                     path,
                                     query,
                                     query_value,
                                     param,
                                     header,
                                     header_count,
                                     header_at,
                                     body,
                                     request_id,
                                     time_left_ms,
                                     cancelled,
                                     set_status,
                                     set_header,
                                     add_header,
                                     set_body,
                                     give_body,
                                     fail,
                                     write_chunk,
                                     defer,
                                     complete,
                                     find_route};

}  // namespace

const void* http_functions() { return &kHttp; }

}  // namespace tenon::runner
