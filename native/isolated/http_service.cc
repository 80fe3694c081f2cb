#include "byte_buffer.h"
#include "plugin_functions.h"
#include "services.h"
#include "session.h"

namespace tenon::isolated {

namespace {

bool write_chunk(Session& session, wire::Reader& reader, wire::Writer& writer) {
  const auto token = reader.get<uint64_t>();
  const std::string_view changes = reader.text();
  const std::string_view chunk = reader.text();
  if (!reader.ended()) return false;
  tenon_status status = TENON_ERROR_CANCELLED;
  bool streams = false;
  uint64_t deadline = 0;
  const Frames::Hold hold(session.frames, token);
  if (hold.is_step()) {
    status = TENON_ERROR_STATE;
  } else if (core::Call* const call = hold.call()) {
    if (!apply_changes(*call, changes, ChangesOf::Part)) return false;
    status = call->write(chunk, &session.over());
    streams = call->stream != nullptr;
    deadline = call->armed ? call->deadline.load(std::memory_order_relaxed) : 0;
  }
  writer.put<int32_t>(status).put(streams).put(deadline);
  return true;
}

bool defer(Session& session, const tenon_host_http_t& http, wire::Reader& reader, wire::Writer& writer) {
  const auto token = reader.get<uint64_t>();
  if (!reader.ended()) return false;
  uint64_t deadline = 0;
  const tenon_status status = session.frames.defer(token, http, deadline);
  writer.put<int32_t>(status).put(deadline);
  return true;
}

bool complete(Session& session, const tenon_host_http_t& http, wire::Reader& reader) {
  const auto token = reader.get<uint64_t>();
  const auto status = reader.get<int32_t>();
  if (!reader.whole()) return false;
  Frames::Hold hold(session.frames, token);
  if (!hold.is_deferred()) return true;
  if (!apply_changes(*hold.call(), reader.rest())) return false;
  http.complete(hold.take_deferred(), status);
  return true;
}

bool change(Session& session, wire::Reader& reader, wire::Writer& writer) {
  const auto token = reader.get<uint64_t>();
  if (!reader.whole()) return false;
  const Frames::Hold hold(session.frames, token);
  if (hold.is_step()) return writer.put<int32_t>(TENON_ERROR_STATE), true;
  core::Call* const call = hold.call();
  if (call != nullptr && !apply_changes(*call, reader.rest(), ChangesOf::Part)) return false;
  writer.put<int32_t>(call == nullptr ? TENON_ERROR_CANCELLED : TENON_OK);
  return true;
}

bool find_route(Session& session, const tenon_host_http_t& http, wire::Reader& reader, wire::Writer& writer) {
  const auto method = reader.get<int32_t>();
  const tenon_bytes_t path = reader.bytes();
  if (!reader.ended()) return false;
  tenon_bytes_t plugin = {nullptr, 0};
  tenon_bytes_t pattern = {nullptr, 0};
  writer.put(http.find_route(&session.host(), method, path, &plugin, &pattern)).text(plugin).text(pattern);
  return true;
}

}  // namespace

bool serve_http(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  const auto& http = *session.service<tenon_host_http_t>(TENON_HTTP_ID);
  switch (code) {
    case wire::kUpHttpCancelled: {
      const auto token = reader.get<uint64_t>();
      if (!reader.ended()) return false;
      writer.put(session.frames.is_cancelled(token));
      return true;
    }
    case wire::kUpHttpWrite:
      return write_chunk(session, reader, writer);
    case wire::kUpHttpDefer:
      return defer(session, http, reader, writer);
    case wire::kUpHttpComplete:
      return complete(session, http, reader);
    case wire::kUpHttpFindRoute:
      return find_route(session, http, reader, writer);
    case wire::kUpHttpChange:
      return change(session, reader, writer);
    default:
      return false;
  }
}

}  // namespace tenon::isolated
