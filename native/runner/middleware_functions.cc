#include "byte_buffer.h"
#include "clock.h"
#include "host.h"
#include "remote_request.h"
#include "request_way.h"
#include "tenon/ext/middleware.h"
#include "wire/steps.h"

namespace tenon::runner {

RequestWay& RequestWay::of(const RemoteRequest& request) {
  if (request.way) return *request.way;
  request.way = std::make_unique<RequestWay>();
  wire::Writer writer;
  writer.put(request.token);
  const std::string answer = Host::instance().ask(wire::kUpMiddlewareWay, {writer.bytes()});
  wire::Reader reader(answer);
  if (reader.flag()) request.way->read(reader);
  return *request.way;
}

namespace {

RequestWay& way_of(const tenon_request_t* request) { return RequestWay::of(request_of(request)); }

tenon_bytes_t application(const tenon_request_t* request) { return core::bytes(way_of(request).application); }
tenon_bytes_t route(const tenon_request_t* request) { return core::bytes(way_of(request).route); }

int32_t status(const tenon_response_t* response) {
  const RemoteRequest& request = request_of(response);
  const int32_t refused = request.way ? request.way->refused_status : 0;
  return refused == 0 ? request.response.status() : refused;
}

uint64_t elapsed_us(const tenon_request_t* request) {
  const uint64_t began = way_of(request).began;
  return began == 0 ? 0 : (core::now() - began) / 1000;
}

// In a handler nobody keeps it.
void keep(tenon_request_t* request, uint64_t number) {
  if (!request_of(request).in_step) return;
  RequestWay& way = way_of(request);
  way.kept = number;
  way.keeps = true;
}

uint64_t kept(const tenon_request_t* request) { return way_of(request).kept; }

constexpr tenon_host_middleware_t kMiddleware = {
    sizeof(tenon_host_middleware_t), application, route, status, elapsed_us, keep, kept};

}  // namespace

const void* middleware_functions() { return &kMiddleware; }

}  // namespace tenon::runner
