#include "event.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "byte_buffer.h"

namespace tenon::core {

int64_t wall_time_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::shared_ptr<const Event> Event::make(const EventParts& parts, size_t limit) {
  size_t room = limit;
  const auto cut = [&room](std::string_view text) {
    text = text.substr(0, room);
    room -= text.size();
    return text;
  };
  const std::string_view message = cut(parts.message);
  auto event = std::make_shared<Event>();
  for (size_t index = 0; parts.fields != nullptr && index < parts.field_count && room > 0; index++) {
    const std::string_view key = cut(core::view(parts.fields[index].key));
    if (!key.empty()) event->fields_.push_back({bytes(key), bytes(cut(core::view(parts.fields[index].value)))});
  }
  const size_t text = parts.topic.size() + parts.source.size() + limit - room;
  event->text_ = std::unique_ptr<char[]>(new char[text]);
  char* end = event->text_.get();
  const auto keep = [&end](std::string_view given) {
    char* const begin = end;
    if (!given.empty()) std::memcpy(begin, given.data(), given.size());
    end += given.size();
    return tenon_bytes_t{begin, given.size()};
  };
  for (tenon_log_field_t& field : event->fields_) field = {keep(core::view(field.key)), keep(core::view(field.value))};
  event->view_ = {sizeof(tenon_event_t), parts.level,          parts.time_us == 0 ? wall_time_us() : parts.time_us,
                  parts.duration_us,     parts.status,         static_cast<uint32_t>(event->fields_.size()),
                  keep(parts.topic),     keep(parts.source),   parts.generation,
                  keep(message),         event->fields_.data()};
  event->size_ = sizeof(Event) + text + event->fields_.capacity() * sizeof(tenon_log_field_t);
  return event;
}

}  // namespace tenon::core
