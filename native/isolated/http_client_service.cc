#include "tenon/ext/http_client.h"

#include <atomic>
#include <memory>
#include <vector>

#include "services.h"
#include "session.h"

namespace tenon::isolated {

namespace {

constexpr Holdings::Kind kFetch = wire::kUpHttpClient;

// As many as a request may have.
constexpr uint32_t kHeaders = 100;

// A request of a runner to another server, as the host's threads have it.
struct Fetch {
  std::weak_ptr<Session> session;
  uint64_t own = 0;                 // the runner's number
  uint64_t held = 0;                // the host's
  std::atomic<uint64_t> number{0};  // the generation's, once it is known
};

// What a runner holds of it.
struct HeldFetch {
  HeldFetch(const Session& session, std::shared_ptr<Fetch> held)
      : host(session.host()),
        client(session.service<tenon_host_http_client_t>(TENON_HTTP_CLIENT_ID)),
        fetch(std::move(held)) {}
  ~HeldFetch() {
    if (const uint64_t number = fetch->number.load(); number != 0) client->cancel(&host, number);
  }
  HeldFetch(const HeldFetch&) = delete;
  HeldFetch& operator=(const HeldFetch&) = delete;

  const tenon_host_t& host;
  const tenon_host_http_client_t* const client;
  const std::shared_ptr<Fetch> fetch;
};

using Context = std::shared_ptr<Fetch>;

void done(void* context, const tenon_http_client_response_t* response) {
  const std::unique_ptr<Context> own(static_cast<Context*>(context));
  const Fetch& fetch = **own;
  const std::shared_ptr<Session> session = fetch.session.lock();
  if (!session) return;
  session->holdings.drop(kFetch, fetch.held);
  if (session->ended()) return;
  wire::Writer writer;
  writer.put(fetch.own).put<int32_t>(response->outcome).put(response->status).text(response->message);
  writer.put(response->header_count);
  for (uint32_t index = 0; index < response->header_count; index++) {
    writer.text(response->headers[index].key).text(response->headers[index].value);
  }
  writer.put<uint64_t>(response->body.size);
  wire::EndlessPatience patience;
  std::string answer;
  const wire::Lane::Parts parts = {writer.bytes(), {response->body.data, response->body.size}};
  if (session->call(wire::kDownFetched, parts, answer, patience) == wire::Outcome::Done && !answer.empty()) {
    session->kill("answered a request of its own with what is no answer");
  }
}

bool send(Session& session, wire::Reader& reader, wire::Writer& writer) {
  const auto fetch = std::make_shared<Fetch>();
  fetch->session = session.weak_from_this();
  fetch->own = reader.get<uint64_t>();
  tenon_http_client_request_t request = {};
  request.size = sizeof request;
  request.deadline_ms = reader.get<uint32_t>();
  request.method = reader.bytes();
  request.url = reader.bytes();
  const uint32_t count = reader.count(16);
  if (count > kHeaders) return false;
  std::vector<tenon_log_field_t> headers(count);
  for (tenon_log_field_t& header : headers) {
    header.key = reader.bytes();
    header.value = reader.bytes();
  }
  request.headers = headers.data();
  request.header_count = headers.size();
  request.body = reader.bytes();
  if (!reader.ended()) return false;
  // Held before it can be over.
  const auto held = std::make_shared<HeldFetch>(session, fetch);
  fetch->held = session.holdings.add(kFetch, held);
  auto context = std::make_unique<Context>(fetch);
  uint64_t number = 0;
  const tenon_status status = held->client->send(&session.host(), &request, done, context.get(), &number);
  if (status == TENON_OK) {
    context.release();
    fetch->number.store(number);
  } else {
    session.holdings.drop(kFetch, fetch->held);
  }
  writer.put<int32_t>(status).put(fetch->held);
  return true;
}

}  // namespace

bool serve_http_client(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  if (code == wire::kUpFetch) return send(session, reader, writer);
  if (code != wire::kUpFetchCancel) return false;
  const auto held = session.holdings.find<HeldFetch>(kFetch, reader.get<uint64_t>());
  if (!reader.ended()) return false;
  const uint64_t number = held ? held->fetch->number.load() : 0;
  writer.put<int32_t>(held ? held->client->cancel(&session.host(), number) : TENON_ERROR_NOT_FOUND);
  return true;
}

}  // namespace tenon::isolated
