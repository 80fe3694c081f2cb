#include "tenon/ext/http_client.h"

#include <mutex>
#include <unordered_map>
#include <vector>

#include "host.h"
#include "plugin_server.h"

namespace tenon::runner {

namespace {

constexpr size_t kHeaders = 100;
constexpr size_t kHeaderBytes = 64 * 1024;
// Longer than a method and a URL that are taken: one that is cut is refused all the same.
constexpr size_t kTextBytes = 16 * 1024;

bool is_sound(tenon_bytes_t text) { return text.data != nullptr || text.size == 0; }

std::string_view cut(tenon_bytes_t text) { return {text.data, text.size < kTextBytes ? text.size : kTextBytes}; }

struct Fetch {
  tenon_http_client_done_fn done = nullptr;
  void* context = nullptr;
};

// The requests of this process that are not over, by a number of its own.
class Fetches {
 public:
  uint64_t add(const Fetch& fetch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    fetches_.emplace(++last_, fetch);
    return last_;
  }
  bool take(uint64_t own, Fetch& fetch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = fetches_.find(own);
    if (found == fetches_.end()) return false;
    fetch = found->second;
    fetches_.erase(found);
    return true;
  }

 private:
  std::mutex mutex_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, Fetch> fetches_;
};

Fetches fetches;

bool is_within_bounds(const tenon_http_client_request_t& request) {
  if (request.size < sizeof(tenon_http_client_request_t)) return false;
  if (!is_sound(request.method) || !is_sound(request.url) || !is_sound(request.body)) return false;
  if (request.body.size > TENON_HTTP_CLIENT_BODY || request.header_count > kHeaders) return false;
  if (request.header_count > 0 && request.headers == nullptr) return false;
  size_t room = kHeaderBytes;
  for (size_t index = 0; index < request.header_count; index++) {
    const tenon_log_field_t& header = request.headers[index];
    if (!is_sound(header.key) || !is_sound(header.value)) return false;
    if (header.key.size > room || header.value.size > room - header.key.size) return false;
    room -= header.key.size + header.value.size;
  }
  return true;
}

tenon_status send(const tenon_host_t* host, const tenon_http_client_request_t* request, tenon_http_client_done_fn done,
                  void* context, uint64_t* number) {
  if (request == nullptr || done == nullptr || !is_within_bounds(*request)) return TENON_ERROR_ARGUMENT;
  if (!Host::of(host).is_ready()) return TENON_ERROR_STATE;
  const uint64_t own = fetches.add({done, context});
  wire::Writer writer;
  writer.put(own).put(request->deadline_ms).text(cut(request->method)).text(cut(request->url));
  writer.put(static_cast<uint32_t>(request->header_count));
  for (size_t index = 0; index < request->header_count; index++) {
    writer.text(request->headers[index].key).text(request->headers[index].value);
  }
  writer.put<uint64_t>(request->body.size);
  const std::string answer =
      Host::of(host).ask(wire::kUpFetch, {writer.bytes(), {request->body.data, request->body.size}});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  if (status == TENON_OK) {
    if (number != nullptr) *number = reader.get<uint64_t>();
  } else {
    Fetch none;
    fetches.take(own, none);
  }
  return status;
}

tenon_status cancel(const tenon_host_t* host, uint64_t number) {
  wire::Writer writer;
  writer.put(number);
  const std::string answer = Host::of(host).ask(wire::kUpFetchCancel, {writer.bytes()});
  return wire::Reader(answer).get<int32_t>();
}

constexpr tenon_host_http_client_t kHttpClient = {sizeof(tenon_host_http_client_t), send, cancel};

}  // namespace

const void* http_client_functions() { return &kHttpClient; }

bool serve_fetched(wire::Reader& reader, wire::Writer&) {
  const auto own = reader.get<uint64_t>();
  tenon_http_client_response_t response = {};
  response.size = sizeof response;
  response.outcome = reader.get<int32_t>();
  response.status = reader.get<int32_t>();
  response.message = reader.bytes();
  std::vector<tenon_log_field_t> headers(reader.count(16));
  for (tenon_log_field_t& header : headers) {
    header.key = reader.bytes();
    header.value = reader.bytes();
  }
  response.header_count = static_cast<uint32_t>(headers.size());
  response.headers = headers.data();
  response.body = reader.bytes();
  if (Fetch fetch; fetches.take(own, fetch)) fetch.done(fetch.context, &response);
  return true;
}

}  // namespace tenon::runner
