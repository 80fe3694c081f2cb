#include "remote_request.h"

#include "clock.h"
#include "host.h"
#include "lent_memory.h"
#include "wire/protocol.h"

namespace tenon::runner {

namespace {

// As Stream::kChunkBytes of the host.
constexpr size_t kChunkBytes = 1024 * 1024;
// Changes of more bytes than these are not collected any further.
constexpr size_t kManyBytes = 256 * 1024;
constexpr size_t kKeptBytes = 16 * 1024;
static_assert(core::kMarkBytes <= wire::Lane::kSlackBytes);

std::string_view raw(const uint64_t& number) { return {reinterpret_cast<const char*>(&number), sizeof number}; }

}  // namespace

bool RemoteRequest::read(wire::Reader& reader) {
  token = reader.get<uint64_t>();
  request.set_strict(reader.flag());
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
  const std::string_view body = request.body();
  request.lend();
  // Not where it is a copy in pages of its own.
  if (!body.empty() && request.body().data() == body.data()) mark_ = const_cast<char*>(body.data()) + body.size();
  return reader.whole();
}

void RemoteRequest::attach(wire::Lane& lane) {
  lane_ = &lane;
  if (mark_ != nullptr) core::mark_end(mark_);
}

void RemoteRequest::attach(std::string& payload) {
  payload_ = &payload;
  if (mark_ != nullptr) core::mark_end(mark_);
}

void RemoteRequest::keep() {
  if (kept_.empty()) kept_ = lane_ != nullptr ? lane_->keep_payload() : std::move(*payload_);
}

void RemoteRequest::clear() {
  request.clear();
  response.clear();
  params.clear();
  in_step = streamed = false;
  deferral.store(Deferral::None, std::memory_order_relaxed);
  changes.clear();
  lane_ = nullptr;
  payload_ = nullptr;
  mark_ = nullptr;
  way.reset();
  if (!kept_.empty()) kept_ = std::string();
  drop_body();
}

uint32_t RemoteRequest::left_ms() const {
  if (deadline == 0) return time_left_ms;
  const uint64_t time = core::now();
  return deadline <= time ? 0 : static_cast<uint32_t>((deadline - time) / 1'000'000u);
}

bool RemoteRequest::is_cancelled() const {
  const std::string answer = Host::instance().ask(wire::kUpHttpCancelled, {raw(token)});
  return wire::Reader(answer).flag();
}

// What was refused makes the response invalid there, too.
tenon_status RemoteRequest::note(tenon_status status) {
  if (status == TENON_OK) return status;
  changes.put(static_cast<uint8_t>(wire::Change::Flaw)).text(response.flaw().substr(0, wire::kFlawBytes));
  flush_many();
  return status;
}

tenon_status RemoteRequest::status(int32_t status) {
  if (streamed) return TENON_ERROR_STATE;
  const tenon_status checked = response.set_status(status);
  if (checked != TENON_OK) return note(checked);
  changes.put(static_cast<uint8_t>(wire::Change::Status)).put<int32_t>(status);
  flush_many();
  return TENON_OK;
}

tenon_status RemoteRequest::header(std::string_view name, std::string_view value, bool replace) {
  if (streamed) return TENON_ERROR_STATE;
  const tenon_status checked = response.set_header(name, value, replace);
  if (checked != TENON_OK) return note(checked);
  changes.put(static_cast<uint8_t>(replace ? wire::Change::SetHeader : wire::Change::AddHeader));
  changes.text(name).text(value);
  flush_many();
  return TENON_OK;
}

tenon_status RemoteRequest::body(std::string_view body) {
  if (streamed) return TENON_ERROR_STATE;
  if ((body.data() == nullptr && !body.empty()) || body.size() > core::Response::kBodyBytes) {
    return note(response.set_body(body));
  }
  drop_body();
  own_body_.assign(body);
  put_body(own_body_.data(), own_body_.size());
  return TENON_OK;
}

tenon_status RemoteRequest::give(const void* data, size_t size, tenon_free_fn free_body, void* context) {
  const auto free_now = [&] {
    if (free_body != nullptr) free_body(const_cast<void*>(data), size, context);
  };
  if (streamed) return free_now(), TENON_ERROR_STATE;
  if ((data == nullptr && size != 0) || size > core::Response::kBodyBytes) {
    return note(response.give_body(data, size, free_body, context));
  }
  if (data == nullptr) {
    const tenon_status status = body({static_cast<const char*>(data), size});
    free_now();
    return status;
  }
  drop_body();
  put_body(static_cast<const char*>(data), size);
  free_ = free_body;
  free_context_ = context;
  return TENON_OK;
}

void RemoteRequest::put_body(const char* data, size_t size) {
  has_body_ = true;
  body_data_ = data;
  body_size_ = size;
}

void RemoteRequest::drop_body() {
  if (free_ != nullptr) std::exchange(free_, nullptr)(const_cast<char*>(body_data_), body_size_, free_context_);
  has_body_ = false;
  body_data_ = nullptr;
  body_size_ = 0;
  own_body_.clear();
  if (own_body_.capacity() > kKeptBytes) own_body_ = std::string();
}

void RemoteRequest::fail(std::string_view message) {
  changes.put(static_cast<uint8_t>(wire::Change::Fail)).text(message.substr(0, core::Response::kMessageBytes));
  flush_many();
}

// A step of an extension has no more than its answer.
void RemoteRequest::flush_many() {
  if (in_step || changes.bytes().size() < kManyBytes) return;
  Host::instance().ask(wire::kUpHttpChange, {raw(token), changes.bytes()});
  changes.clear();
}

std::string_view RemoteRequest::body_head() {
  if (!has_body_) return {};
  body_head_.clear();
  body_head_.put(static_cast<uint8_t>(wire::Change::Body)).put<uint64_t>(body_size_);
  return body_head_.bytes();
}

void RemoteRequest::forget_sent() {
  changes.clear();
  drop_body();
}

tenon_status RemoteRequest::write(std::string_view chunk) {
  if (in_step) return TENON_ERROR_STATE;
  if (chunk.size() > kChunkBytes) return TENON_ERROR_TOO_LARGE;
  if (chunk.data() == nullptr && !chunk.empty()) return TENON_ERROR_ARGUMENT;
  const std::string_view head = body_head();
  const uint64_t size = changes.bytes().size() + head.size() + body_bytes().size();
  const uint64_t chunk_size = chunk.size();
  const std::string answer = Host::instance().ask(
      wire::kUpHttpWrite, {raw(token), raw(size), changes.bytes(), head, body_bytes(), raw(chunk_size), chunk});
  forget_sent();
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  if (reader.flag()) streamed = true;
  deadline = reader.get<uint64_t>();
  return reader.ended() ? status : TENON_ERROR;
}

tenon_status RemoteRequest::defer() {
  if (in_step || (lane_ == nullptr && payload_ == nullptr) ||
      deferral.load(std::memory_order_relaxed) != Deferral::None) {
    return TENON_ERROR_STATE;
  }
  keep();
  const std::string answer = Host::instance().ask(wire::kUpHttpDefer, {raw(token)});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  const auto until = reader.get<uint64_t>();
  if (status != TENON_OK) return status;
  deadline = until;
  holds.fetch_add(1, std::memory_order_acq_rel);
  deferral.store(Deferral::Deferred, std::memory_order_release);
  return TENON_OK;
}

bool RemoteRequest::complete(tenon_status status) {
  Deferral expected = Deferral::Deferred;
  if (!deferral.compare_exchange_strong(expected, Deferral::Completed, std::memory_order_acq_rel)) return false;
  note_overrun();
  const std::string_view returned(reinterpret_cast<const char*>(&status), sizeof status);
  Host::instance().tell(wire::kUpHttpComplete, {raw(token), returned, changes.bytes(), body_head(), body_bytes()});
  return true;
}

void RemoteRequest::note_overrun() {
  const char* part = request.take_overrun();
  if (mark_ != nullptr && !core::is_end_marked(mark_)) part = "body";
  if (part != nullptr) changes.put(static_cast<uint8_t>(wire::Change::Overrun)).text(part);
}

}  // namespace tenon::runner
