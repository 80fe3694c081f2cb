#include "remote_request.h"

#include "wire/protocol.h"

namespace tenon::runner {

bool RemoteRequest::read(wire::Reader& reader) {
  token = reader.get<uint64_t>();
  request.method = reader.get<int32_t>();
  request.number = reader.get<uint64_t>();
  deadline = reader.get<uint64_t>();
  time_left_ms = reader.get<uint32_t>();
  request.url().assign(reader.text());
  request.header_block().assign(reader.text());
  const uint32_t count = reader.count(16);
  for (uint32_t index = 0; index < count; index++) {
    std::string name(reader.text());
    params.emplace_back(std::move(name), std::string(reader.text()));
  }
  request.borrow_body(reader.text());
  request.lend();
  return reader.whole();
}

void RemoteRequest::own() { request.own(); }

tenon_status RemoteRequest::status(int32_t status) {
  if (streamed) return TENON_ERROR_STATE;
  changes.put(static_cast<uint8_t>(wire::Change::Status)).put<int32_t>(status);
  return response.set_status(status);
}

tenon_status RemoteRequest::header(std::string_view name, std::string_view value, bool replace) {
  if (streamed) return TENON_ERROR_STATE;
  changes.put(static_cast<uint8_t>(replace ? wire::Change::SetHeader : wire::Change::AddHeader));
  changes.text(name).text(value);
  return response.set_header(name, value, replace);
}

tenon_status RemoteRequest::body(std::string_view body) {
  if (streamed) return TENON_ERROR_STATE;
  const tenon_status status = body.data() == nullptr && !body.empty()    ? TENON_ERROR_ARGUMENT
                              : body.size() > core::Response::kBodyBytes ? TENON_ERROR_TOO_LARGE
                                                                         : TENON_OK;
  // What cannot be sent is refused here, and makes the response invalid there.
  if (status != TENON_OK) {
    changes.put(static_cast<uint8_t>(wire::Change::Status)).put<int32_t>(0);
    return status;
  }
  changes.put(static_cast<uint8_t>(wire::Change::Body)).text(body);
  return TENON_OK;
}

void RemoteRequest::fail(std::string_view message) {
  changes.put(static_cast<uint8_t>(wire::Change::Fail)).text(message.substr(0, core::Response::kMessageBytes));
}

}  // namespace tenon::runner
