#include "middleware_face.h"

#include "byte_buffer.h"
#include "call.h"
#include "clock.h"
#include "plugin.h"

namespace tenon::core {

namespace {

// Of the extension that asks; null where none has the request.
uint64_t* kept_of(const Call& call) {
  const ChainLink* const link = call.inside();
  if (link == nullptr) return nullptr;
  return &call.pass->kept[static_cast<size_t>(link - call.pass->chain->links.data())];
}

tenon_bytes_t application(const tenon_request_t* request) { return bytes(call_of(request).plugin->id()); }

tenon_bytes_t route(const tenon_request_t* request) { return bytes(call_of(request).path_pattern); }

int32_t status(const tenon_response_t* response) {
  const Call& call = call_of(response);
  return call.refusal == Refusal::None ? call.response.status() : call.refused_status;
}

uint64_t elapsed_us(const tenon_request_t* request) {
  const Call& call = call_of(request);
  return call.pass ? (now() - call.pass->began) / 1000 : 0;
}

void keep(tenon_request_t* request, uint64_t number) {
  uint64_t* const place = kept_of(call_of(request));
  if (place != nullptr) *place = number;
}

uint64_t kept(const tenon_request_t* request) {
  const uint64_t* const number = kept_of(call_of(request));
  return number == nullptr ? 0 : *number;
}

constexpr tenon_host_middleware_t kMiddleware = {
    sizeof(tenon_host_middleware_t), application, route, status, elapsed_us, keep, kept};

}  // namespace

const tenon_host_middleware_t& middleware_functions() { return kMiddleware; }

}  // namespace tenon::core
