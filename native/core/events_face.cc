#include "events_face.h"

#include <algorithm>
#include <string_view>

#include "byte_buffer.h"
#include "front.h"
#include "host_face.h"

namespace tenon::core {

namespace {

constexpr size_t kTopicBytes = 127;
constexpr size_t kSpanNameBytes = 255;
constexpr std::string_view kReserved = "tenon.";

bool is_sound(tenon_bytes_t text) { return text.data != nullptr || text.size == 0; }

bool is_topic(std::string_view topic) {
  return !topic.empty() && topic.size() <= kTopicBytes && std::all_of(topic.begin(), topic.end(), [](char one) {
    return (one >= 'a' && one <= 'z') || (one >= '0' && one <= '9') || one == '_' || one == '.' || one == '-';
  });
}

bool is_pattern(std::string_view pattern) {
  if (!pattern.empty() && pattern.back() == '*') {
    pattern.remove_suffix(1);
    if (pattern.empty()) return true;
  }
  return is_topic(pattern);
}

EventBus& bus_of(const HostFace& face) { return face.plugin().front().events(); }

// The common part of what a plugin publishes.
EventParts parts_of(const Plugin& plugin, uint64_t generation, std::string_view topic) {
  EventParts parts;
  parts.topic = topic;
  parts.source = plugin.id();
  parts.generation = generation;
  return parts;
}

tenon_status publish(const tenon_host_t* host, tenon_bytes_t topic, tenon_bytes_t payload) {
  HostFace& face = HostFace::of(host);
  if (!face.open() || !face.services().events.is_open()) return TENON_ERROR_STATE;
  if (!is_sound(topic) || !is_sound(payload) || !is_topic(view(topic))) return TENON_ERROR_ARGUMENT;
  if (view(topic).substr(0, kReserved.size()) == kReserved) return TENON_ERROR_ARGUMENT;
  if (payload.size > TENON_EVENT_LIMIT - topic.size) return TENON_ERROR_TOO_LARGE;
  if (!face.permissions().allow(Permit::EventsPublish, view(topic))) return TENON_ERROR_DENIED;
  EventBus& bus = bus_of(face);
  if (!bus.wanted(view(topic), &face.plugin())) return TENON_OK;
  EventParts parts = parts_of(face.plugin(), face.number(), view(topic));
  parts.message = view(payload);
  bus.publish(Event::make(parts, TENON_EVENT_LIMIT), &face.plugin());
  return TENON_OK;
}

tenon_status span(const tenon_host_t* host, const tenon_span_t* given) {
  HostFace& face = HostFace::of(host);
  if (!face.open() || !face.services().events.is_open()) return TENON_ERROR_STATE;
  if (given == nullptr || given->size < sizeof(tenon_span_t)) return TENON_ERROR_ARGUMENT;
  const tenon_span_t& it = *given;
  if (!is_sound(it.name) || it.name.size == 0 || it.name.size > kSpanNameBytes) return TENON_ERROR_ARGUMENT;
  if (it.fields == nullptr && it.field_count > 0) return TENON_ERROR_ARGUMENT;
  size_t room = TENON_EVENT_LIMIT - it.name.size;
  for (size_t index = 0; index < it.field_count; index++) {
    const tenon_log_field_t& field = it.fields[index];
    if (!is_sound(field.key) || !is_sound(field.value) || field.key.size == 0) return TENON_ERROR_ARGUMENT;
    if (field.key.size > room || field.value.size > room - field.key.size) return TENON_ERROR_TOO_LARGE;
    room -= field.key.size + field.value.size;
  }
  EventBus& bus = bus_of(face);
  if (!bus.wanted("tenon.span", &face.plugin())) return TENON_OK;
  EventParts parts = parts_of(face.plugin(), face.number(), "tenon.span");
  parts.time_us = it.begin_us;
  parts.duration_us = it.duration_us;
  parts.message = view(it.name);
  parts.fields = it.fields;
  parts.field_count = it.field_count;
  bus.publish(Event::make(parts, TENON_EVENT_LIMIT), &face.plugin());
  return TENON_OK;
}

tenon_status subscribe(const tenon_host_t* host, tenon_bytes_t pattern) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return TENON_ERROR_STATE;
  if (!is_sound(pattern) || !is_pattern(view(pattern))) return TENON_ERROR_ARGUMENT;
  if (!face.permissions().allow(Permit::EventsSubscribe, view(pattern))) return TENON_ERROR_DENIED;
  return face.services().events.subscribe(view(pattern));
}

tenon_status unsubscribe(const tenon_host_t* host, tenon_bytes_t pattern) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return TENON_ERROR_STATE;
  return is_sound(pattern) ? face.services().events.unsubscribe(view(pattern)) : TENON_ERROR_ARGUMENT;
}

bool wanted(const tenon_host_t* host, tenon_bytes_t topic) {
  HostFace& face = HostFace::of(host);
  return face.open() && face.services().events.is_open() && is_sound(topic) &&
         bus_of(face).wanted(view(topic), &face.plugin());
}

constexpr tenon_host_events_t kEvents = {sizeof(tenon_host_events_t), publish, span, subscribe, unsubscribe, wanted};

}  // namespace

const tenon_host_events_t& events_functions() { return kEvents; }

void publish_log(Plugin& plugin, uint64_t generation, int32_t level, tenon_bytes_t message,
                 const tenon_log_field_t* fields, size_t field_count) {
  EventBus& bus = plugin.front().events();
  if (!bus.wants_log() || !bus.wanted("tenon.log", &plugin)) return;
  EventParts parts = parts_of(plugin, generation, "tenon.log");
  parts.level = level;
  parts.message = view(message);
  parts.fields = fields;
  parts.field_count = field_count;
  bus.publish(Event::make(parts, LogRing::kRecordBytes), &plugin);
}

}  // namespace tenon::core
