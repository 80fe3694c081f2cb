#include "call.h"
#include "services.h"
#include "session.h"
#include "tenon/ext/middleware.h"
#include "wire/steps.h"

namespace tenon::isolated {

bool serve_middleware(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  const auto token = reader.get<uint64_t>();
  if (code != wire::kUpMiddlewareWay || !reader.ended()) return false;
  const Frames::Hold hold(session.frames, token);
  const core::Call* const call = hold.call();
  if (call == nullptr) return writer.put(false), true;
  const auto& way = *session.service<tenon_host_middleware_t>(TENON_MIDDLEWARE_ID);
  writer.put(true).text(way.application(call)).text(way.route(call));
  writer.put<uint64_t>(call->pass ? call->pass->began : 0).put<uint64_t>(way.kept(call));
  return true;
}

}  // namespace tenon::isolated
