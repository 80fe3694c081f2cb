#include "byte_buffer.h"
#include "host.h"
#include "remote_request.h"
#include "remote_requests.h"
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
  return request_of(response).give(data, size, free_body, context);
}

void fail(tenon_response_t* response, tenon_bytes_t message) { request_of(response).fail(view(message)); }

uint32_t time_left_ms(const tenon_request_t* request) { return request_of(request).left_ms(); }
bool cancelled(const tenon_request_t* request) { return request_of(request).is_cancelled(); }

tenon_status write_chunk(tenon_response_t* response, tenon_bytes_t chunk) {
  return request_of(response).write({chunk.data, chunk.size});
}

tenon_status defer(tenon_response_t* response) { return request_of(response).defer(); }

void complete(tenon_response_t* response, tenon_status status) {
  RemoteRequest& request = request_of(response);
  if (request.complete(status)) Requests::let_go(request);
}

bool find_route(const tenon_host_t* host, tenon_http_method wanted, tenon_bytes_t where, tenon_bytes_t* plugin,
                tenon_bytes_t* pattern) {
  thread_local std::string answer;
  wire::Writer writer;
  writer.put<int32_t>(wanted).text(where);
  answer = Host::of(host).ask(wire::kUpHttpFindRoute, {writer.bytes()});
  wire::Reader reader(answer);
  if (!reader.flag()) return false;
  give(true, reader.text(), plugin);
  return give(true, reader.text(), pattern);
}

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
