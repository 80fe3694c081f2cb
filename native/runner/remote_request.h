#ifndef TENON_RUNNER_REMOTE_REQUEST_H
#define TENON_RUNNER_REMOTE_REQUEST_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "request.h"
#include "response.h"
#include "tenon/ext/http.h"
#include "wire/message.h"

// The handles plugins hold: one object is both.
struct tenon_request {};
struct tenon_response {};

namespace tenon::runner {

/*
 * A request in a runner, as the host sent it, and what the plugin does to its response: checked here as the host does,
 * so that the plugin is answered alike, and noted, for the host to do it again.
 */
class RemoteRequest final : public tenon_request, public tenon_response {
 public:
  // Reads what write_request of the host wrote; the body follows, as a text. Views into the message, which must live as
  // long, but what is kept by `own`.
  bool read(wire::Reader& reader);
  // It outlives its message from here on.
  void own();

  uint64_t token = 0;
  core::Request request;
  core::Response response;
  std::vector<std::pair<std::string, std::string>> params;
  uint64_t deadline = 0;      // ns of the monotonic clock, the same in all processes; 0: none was armed
  uint32_t time_left_ms = 0;  // where none was
  bool in_step = false;       // a middleware's or a hook's: neither deferred nor streamed
  bool streamed = false;
  std::atomic<bool> deferred{false};
  wire::Writer changes;  // since they were last sent

  tenon_status status(int32_t status);
  tenon_status header(std::string_view name, std::string_view value, bool replace);
  tenon_status body(std::string_view body);
  void fail(std::string_view message);
};

inline RemoteRequest& request_of(tenon_request_t* request) { return *static_cast<RemoteRequest*>(request); }
inline const RemoteRequest& request_of(const tenon_request_t* request) {
  return *static_cast<const RemoteRequest*>(request);
}
inline RemoteRequest& request_of(tenon_response_t* response) { return *static_cast<RemoteRequest*>(response); }
inline const RemoteRequest& request_of(const tenon_response_t* response) {
  return *static_cast<const RemoteRequest*>(response);
}

}  // namespace tenon::runner

#endif
