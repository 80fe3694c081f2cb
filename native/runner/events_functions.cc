#include "tenon/ext/events.h"

#include <vector>

#include "host.h"
#include "plugin_server.h"

namespace tenon::runner {

namespace {

constexpr size_t kSpanNameBytes = 255;

bool is_sound(tenon_bytes_t text) { return text.data != nullptr || text.size == 0; }

// What is too large is sent with one byte too many, for the host to say so.
std::string_view cut(tenon_bytes_t text) {
  return {text.data, text.size <= TENON_EVENT_LIMIT ? text.size : TENON_EVENT_LIMIT + 1};
}

std::string ask(const tenon_host_t* host, uint16_t code, tenon_bytes_t text) {
  wire::Writer writer;
  writer.text(cut(text));
  return Host::of(host).ask(code, {writer.bytes()});
}

tenon_status publish(const tenon_host_t* host, tenon_bytes_t topic, tenon_bytes_t payload) {
  if (!Host::of(host).is_ready()) return TENON_ERROR_STATE;
  if (!is_sound(topic) || !is_sound(payload)) return TENON_ERROR_ARGUMENT;
  wire::Writer writer;
  writer.text(cut(topic)).text(cut(payload));
  const std::string answer = Host::of(host).ask(wire::kUpEventPublish, {writer.bytes()});
  return wire::Reader(answer).get<int32_t>();
}

tenon_status check(const tenon_span_t* span) {
  if (span == nullptr || span->size < sizeof(tenon_span_t)) return TENON_ERROR_ARGUMENT;
  if (!is_sound(span->name) || span->name.size == 0 || span->name.size > kSpanNameBytes) return TENON_ERROR_ARGUMENT;
  if (span->fields == nullptr && span->field_count > 0) return TENON_ERROR_ARGUMENT;
  size_t room = TENON_EVENT_LIMIT - span->name.size;
  for (size_t index = 0; index < span->field_count; index++) {
    const tenon_log_field_t& field = span->fields[index];
    if (!is_sound(field.key) || !is_sound(field.value) || field.key.size == 0) return TENON_ERROR_ARGUMENT;
    if (field.key.size > room || field.value.size > room - field.key.size) return TENON_ERROR_TOO_LARGE;
    room -= field.key.size + field.value.size;
  }
  return TENON_OK;
}

tenon_status span(const tenon_host_t* host, const tenon_span_t* span) {
  if (!Host::of(host).is_ready()) return TENON_ERROR_STATE;
  if (const tenon_status status = check(span); status != TENON_OK) return status;
  wire::Writer writer;
  writer.text(span->name).put(span->begin_us).put(span->duration_us).put(static_cast<uint32_t>(span->field_count));
  for (size_t index = 0; index < span->field_count; index++) {
    writer.text(span->fields[index].key).text(span->fields[index].value);
  }
  const std::string answer = Host::of(host).ask(wire::kUpEventSpan, {writer.bytes()});
  return wire::Reader(answer).get<int32_t>();
}

tenon_status change(const tenon_host_t* host, uint16_t code, tenon_bytes_t pattern) {
  if (!Host::of(host).is_ready()) return TENON_ERROR_STATE;
  if (!is_sound(pattern)) return TENON_ERROR_ARGUMENT;
  const std::string answer = ask(host, code, pattern);
  return wire::Reader(answer).get<int32_t>();
}

tenon_status subscribe(const tenon_host_t* host, tenon_bytes_t pattern) {
  return change(host, wire::kUpEventSubscribe, pattern);
}

tenon_status unsubscribe(const tenon_host_t* host, tenon_bytes_t pattern) {
  return change(host, wire::kUpEventUnsubscribe, pattern);
}

bool wanted(const tenon_host_t* host, tenon_bytes_t topic) {
  if (!Host::of(host).is_ready() || !is_sound(topic)) return false;
  const std::string answer = ask(host, wire::kUpEventWanted, topic);
  return wire::Reader(answer).flag();
}

constexpr tenon_host_events_t kEvents = {sizeof(tenon_host_events_t), publish, span, subscribe, unsubscribe, wanted};

}  // namespace

const void* events_functions() { return &kEvents; }

bool serve_event(Plugin& plugin, wire::Reader& reader, wire::Writer&) {
  const auto dropped = reader.get<uint64_t>();
  std::vector<tenon_event_t> events(reader.count(1));
  std::vector<tenon_log_field_t> fields;
  for (tenon_event_t& event : events) {
    event.size = sizeof event;
    event.level = reader.get<int32_t>();
    event.time_us = reader.get<int64_t>();
    event.duration_us = reader.get<uint64_t>();
    event.status = reader.get<int32_t>();
    event.generation = reader.get<uint64_t>();
    event.topic = reader.bytes();
    event.source = reader.bytes();
    event.message = reader.bytes();
    event.field_count = reader.count(16);
    for (uint32_t index = 0; index < event.field_count; index++) {
      const tenon_bytes_t key = reader.bytes();
      fields.push_back({key, reader.bytes()});
    }
  }
  // None of them moves any more.
  const tenon_log_field_t* next = fields.data();
  for (tenon_event_t& event : events) {
    event.fields = next;
    next += event.field_count;
  }
  plugin.events->on_event(plugin.instance, events.data(), events.size(), dropped);
  return true;
}

}  // namespace tenon::runner
