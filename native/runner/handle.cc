#include "plugin_server.h"
#include "remote_request.h"
#include "remote_requests.h"

namespace tenon::runner {

bool handle(Plugin& plugin, wire::Lane& lane, wire::Reader& reader, wire::Writer& writer) {
  const auto index = reader.get<uint32_t>();
  RemoteRequest& request = Requests::take();
  const auto let_go = [](void* owner) { Requests::let_go(*static_cast<RemoteRequest*>(owner)); };
  if (!request.read(reader) || !reader.ended()) return let_go(&request), false;
  request.attach(lane);
  writer.put<int32_t>(plugin.http->handle(plugin.instance, index, &request, &request));
  // Deferred: it is another thread's.
  if (request.deferral.load(std::memory_order_acquire) != RemoteRequest::Deferral::None) {
    return let_go(&request), true;
  }
  request.note_overrun();
  writer.raw(request.changes.bytes()).raw(request.body_head());
  lane.follow(request.body_bytes(), let_go, &request);
  return true;
}

}  // namespace tenon::runner
