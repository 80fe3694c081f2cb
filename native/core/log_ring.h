#ifndef TENON_CORE_LOG_RING_H
#define TENON_CORE_LOG_RING_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log_origin.h"
#include "tenon/ext/log.h"

namespace tenon::core {

struct LogRecord {
  std::string plugin;
  uint64_t generation;
  int32_t level;
  int64_t time_ms;
  std::string message;
  std::vector<std::pair<std::string, std::string>> fields;
  uint64_t request;  // during which it was written; 0: none
  std::string work;  // or during what else: "initialize", "task 12"
  LogRecord* next = nullptr;
};

// Who writes a record, and during what.
struct LogSource {
  const std::string& plugin;
  uint64_t generation;
  LogOrigin origin;
};

// Records on their way from any thread to the front: bounded, lock-free, in order of writing. A full ring drops the new
// record and counts it, because a handler must never wait for the log.
class LogRing {
 public:
  static constexpr size_t kRecords = 8192;
  static constexpr size_t kRecordBytes = 8192;
  static constexpr size_t kFieldKeyBytes = 63;

  LogRing() = default;
  ~LogRing() { take(); }
  LogRing(const LogRing&) = delete;
  LogRing& operator=(const LogRing&) = delete;

  // True when the reader must be woken. [any]
  bool write(const LogSource& source, int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields,
             size_t field_count);

  // Everything written since, oldest first. [front]
  std::vector<std::unique_ptr<LogRecord>> take();
  // Records dropped since the last time this was asked. [front]
  uint64_t take_dropped() { return dropped_.exchange(0, std::memory_order_relaxed); }
  bool empty() const { return head_.load(std::memory_order_acquire) == nullptr; }

 private:
  std::atomic<LogRecord*> head_{nullptr};
  std::atomic<size_t> count_{0};
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace tenon::core

#endif
