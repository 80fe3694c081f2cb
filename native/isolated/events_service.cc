#include "tenon/ext/events.h"

#include <vector>

#include "services.h"
#include "session.h"
#include "subscriptions.h"

namespace tenon::isolated {

namespace {

bool span(Session& session, wire::Reader& reader, wire::Writer& writer) {
  tenon_span_t span = {};
  span.size = sizeof span;
  span.name = reader.bytes();
  span.begin_us = reader.get<int64_t>();
  span.duration_us = reader.get<uint64_t>();
  const uint32_t count = reader.count(16);
  // Each has a key, and all of them are one event.
  if (count > TENON_EVENT_LIMIT) return false;
  std::vector<tenon_log_field_t> fields(count);
  for (tenon_log_field_t& field : fields) {
    field.key = reader.bytes();
    field.value = reader.bytes();
  }
  if (!reader.ended()) return false;
  span.fields = fields.data();
  span.field_count = fields.size();
  writer.put<int32_t>(session.service<tenon_host_events_t>(TENON_EVENTS_ID)->span(&session.host(), &span));
  return true;
}

}  // namespace

bool serve_events(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  if (code == wire::kUpEventSpan) return span(session, reader, writer);
  const auto* const events = session.service<tenon_host_events_t>(TENON_EVENTS_ID);
  const tenon_host_t* const host = &session.host();
  const tenon_bytes_t topic = reader.bytes();
  if (code == wire::kUpEventPublish) {
    const tenon_bytes_t payload = reader.bytes();
    if (!reader.ended()) return false;
    writer.put<int32_t>(events->publish(host, topic, payload));
    return true;
  }
  if (!reader.ended()) return false;
  switch (code) {
    case wire::kUpEventSubscribe:
      writer.put<int32_t>(session.subscriptions().subscribe(session, topic));
      return true;
    case wire::kUpEventUnsubscribe:
      writer.put<int32_t>(session.subscriptions().unsubscribe(session, topic));
      return true;
    case wire::kUpEventWanted:
      writer.put(events->wanted(host, topic));
      return true;
    default:
      return false;
  }
}

}  // namespace tenon::isolated
