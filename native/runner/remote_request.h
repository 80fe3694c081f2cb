#ifndef TENON_RUNNER_REMOTE_REQUEST_H
#define TENON_RUNNER_REMOTE_REQUEST_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "request.h"
#include "request_way.h"
#include "response.h"
#include "tenon/ext/http.h"
#include "wire/lane.h"
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
  enum class Deferral { None, Deferred, Completed };

  RemoteRequest() = default;
  ~RemoteRequest() { drop_body(); }
  RemoteRequest(const RemoteRequest&) = delete;
  RemoteRequest& operator=(const RemoteRequest&) = delete;

  // Reads what write_request of the host wrote; the body follows, as a text. Views into the message, which must live as
  // long.
  bool read(wire::Reader& reader);
  // Its body is the end of what `lane` serves: what is written beyond is seen, and it can be deferred.
  void attach(wire::Lane& lane);
  // The same of what lies in `payload`, with as much behind it.
  void attach(std::string& payload);
  // What it was read from is its own from here on.
  void keep();
  void clear();

  uint64_t token = 0;
  core::Request request;
  core::Response response;  // but its body
  std::vector<std::pair<std::string, std::string>> params;
  uint64_t deadline = 0;      // ns of the monotonic clock, the same in all processes; 0: none was armed
  uint32_t time_left_ms = 0;  // where none was
  bool in_step = false;       // a middleware's or a hook's: neither deferred nor streamed
  bool streamed = false;
  std::atomic<Deferral> deferral{Deferral::None};
  std::atomic<int> holds{0};                // the handler, and a deferral
  wire::Writer changes;                     // since they were last sent, but the body of a handler
  mutable std::unique_ptr<RequestWay> way;  // null: not asked for yet

  uint32_t left_ms() const;
  bool is_cancelled() const;
  tenon_status status(int32_t status);
  tenon_status header(std::string_view name, std::string_view value, bool replace);
  tenon_status body(std::string_view body);
  tenon_status give(const void* data, size_t size, tenon_free_fn free_body, void* context);
  void fail(std::string_view message);
  tenon_status write(std::string_view chunk);
  tenon_status defer();
  // True when it was deferred: whoever called lets go of that hold.
  bool complete(tenon_status status);
  // What was written beyond goes with the changes.
  void note_overrun();

  // The body that the plugin has set since the changes were last sent, which comes behind them: the beginning of that
  // change, empty when there is none, and its bytes.
  std::string_view body_head();
  std::string_view body_bytes() const { return {body_data_, has_body_ ? body_size_ : 0}; }

 private:
  tenon_status note(tenon_status status);
  void put_body(const char* data, size_t size);
  void drop_body();
  void flush_many();
  void forget_sent();

  wire::Lane* lane_ = nullptr;      // that has the message, or
  std::string* payload_ = nullptr;  // which it is
  std::string kept_;                // the message, once it is its own
  char* mark_ = nullptr;
  bool has_body_ = false;
  const char* body_data_ = nullptr;
  size_t body_size_ = 0;
  tenon_free_fn free_ = nullptr;
  void* free_context_ = nullptr;
  std::string own_body_;
  wire::Writer body_head_;
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
