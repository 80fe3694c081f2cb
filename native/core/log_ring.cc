#include "log_ring.h"

#include <algorithm>
#include <chrono>

#include "byte_buffer.h"

namespace tenon::core {

bool LogRing::write(const LogSource& source, int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields,
                    size_t field_count) {
  if (count_.fetch_add(1, std::memory_order_relaxed) >= kRecords) {
    count_.fetch_sub(1, std::memory_order_relaxed);
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  auto record = std::make_unique<LogRecord>();
  record->plugin = source.plugin;
  record->generation = source.generation;
  record->request = source.origin.request;
  record->work = source.origin.work;
  if (source.origin.number != 0) record->work += " " + std::to_string(source.origin.number);
  record->level = level;
  record->time_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  size_t room = kRecordBytes;
  const auto cut = [&room](std::string_view text) {
    text = text.substr(0, room);
    room -= text.size();
    return std::string(text);
  };
  record->message = cut(view(message));
  if (fields != nullptr) {
    for (size_t index = 0; index < field_count && room > 0; index++) {
      std::string key = cut(view(fields[index].key).substr(0, kFieldKeyBytes));
      if (!key.empty()) record->fields.emplace_back(std::move(key), cut(view(fields[index].value)));
    }
  }
  LogRecord* const node = record.release();
  LogRecord* head = head_.load(std::memory_order_relaxed);
  do {
    node->next = head;
  } while (!head_.compare_exchange_weak(head, node, std::memory_order_acq_rel, std::memory_order_relaxed));
  return head == nullptr;
}

std::vector<std::unique_ptr<LogRecord>> LogRing::take() {
  std::vector<std::unique_ptr<LogRecord>> records;
  LogRecord* node = head_.exchange(nullptr, std::memory_order_acq_rel);
  while (node != nullptr) {
    records.emplace_back(node);
    node = node->next;
  }
  count_.fetch_sub(records.size(), std::memory_order_relaxed);
  std::reverse(records.begin(), records.end());
  return records;
}

}  // namespace tenon::core
