#ifndef TENON_CORE_EVENT_H
#define TENON_CORE_EVENT_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/ext/events.h"

namespace tenon::core {

// What an event is made of: views that are copied.
struct EventParts {
  std::string_view topic;
  std::string_view source;  // empty: the host
  uint64_t generation = 0;
  int32_t level = 0;
  int64_t time_us = 0;  // 0: now
  uint64_t duration_us = 0;
  int32_t status = 0;
  std::string_view message;
  const tenon_log_field_t* fields = nullptr;
  size_t field_count = 0;
};

// One event with all its bytes. Shared by the queues it is in.
class Event {
 public:
  // Message and fields are cut where they would be more than `limit` bytes.
  static std::shared_ptr<const Event> make(const EventParts& parts, size_t limit);

  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  const tenon_event_t& view() const { return view_; }
  size_t size() const { return size_; }

 private:
  tenon_event_t view_ = {};
  std::unique_ptr<char[]> text_;
  std::vector<tenon_log_field_t> fields_;
  size_t size_ = 0;
};

// Microseconds since the epoch.
int64_t wall_time_us();

}  // namespace tenon::core

#endif
