#include "plugin_server.h"
#include "remote_request.h"
#include "remote_requests.h"

namespace tenon::runner {

bool handle(Plugin& plugin, wire::Reader& reader, wire::Writer& writer) {
  const auto index = reader.get<uint32_t>();
  auto request = std::make_shared<RemoteRequest>();
  if (!request->read(reader)) return false;
  const Requests::Entry entry(request);
  const tenon_status status = plugin.http->handle(plugin.instance, index, request.get(), request.get());
  writer.put<int32_t>(status);
  if (!request->deferred.load(std::memory_order_acquire)) writer.raw(request->changes.bytes());
  return true;
}

}  // namespace tenon::runner
