#ifndef TENON_RUNNER_REQUEST_WAY_H
#define TENON_RUNNER_REQUEST_WAY_H

#include <cstdint>
#include <memory>
#include <string>

#include "identity.h"
#include "wire/message.h"

namespace tenon::runner {

class RemoteRequest;

// Where a request is on its way through the host: brought with each step of an extension, asked for by a handler that
// wants to know.
struct RequestWay {
  std::string application, route;
  uint64_t began = 0;          // ns of the monotonic clock; 0: not known
  uint64_t kept = 0;           // by this extension, for this request
  bool keeps = false;          // it has said so in this step
  int32_t refused_status = 0;  // 0: it has not been refused
  std::unique_ptr<core::Identity> identity;
  bool identity_asked = false;

  void read(wire::Reader& reader) {
    application = reader.text();
    route = reader.text();
    began = reader.get<uint64_t>();
    kept = reader.get<uint64_t>();
  }
  // Asks the host unless it is known. Lives as long as the request. [handler]
  static RequestWay& of(const RemoteRequest& request);
};

}  // namespace tenon::runner

#endif
