#include "plugin_server.h"
#include "remote_request.h"
#include "remote_requests.h"

namespace tenon::runner {

bool handle(Plugin& plugin, wire::Lane& lane, wire::Reader& reader, wire::Writer& writer) {
  const auto index = reader.get<uint32_t>();
  RemoteRequest& request = Requests::take();
  if (!request.read(reader) || !reader.ended()) return Requests::let_go(request), false;
  request.attach(lane);
  const tenon_status status = plugin.http->handle(plugin.instance, index, &request, &request);
  if (request.deferral.load(std::memory_order_acquire) == RemoteRequest::Deferral::None) request.note_overrun();
  send_result(request, status, lane, writer);
  return true;
}

void send_result(RemoteRequest& request, tenon_status status, wire::Lane& lane, wire::Writer& writer) {
  writer.put<int32_t>(status);
  // Deferred: it is another thread's.
  if (request.deferral.load(std::memory_order_acquire) != RemoteRequest::Deferral::None) {
    return Requests::let_go(request);
  }
  writer.raw(request.changes.bytes()).raw(request.body_head());
  lane.follow(
      request.body_bytes(), [](void* owner) { Requests::let_go(*static_cast<RemoteRequest*>(owner)); }, &request);
}

}  // namespace tenon::runner
