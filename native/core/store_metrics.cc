#include "change_log.h"
#include "store_body.h"

namespace tenon::core {

namespace {

struct Figure {
  const char* name;
  const char* property;
};

// Sums over all tables and indexes.
constexpr Figure kSums[] = {
    {"sstBytes", "rocksdb.total-sst-files-size"},
    {"liveBytes", "rocksdb.estimate-live-data-size"},
    {"memtableBytes", "rocksdb.cur-size-all-mem-tables"},
    {"readerBytes", "rocksdb.estimate-table-readers-mem"},
    {"compactionBytesPending", "rocksdb.estimate-pending-compaction-bytes"},
    {"immutableMemtables", "rocksdb.num-immutable-mem-table"},
};

// Of the whole database.
constexpr Figure kWholes[] = {
    {"cacheBytes", "rocksdb.block-cache-usage"},
    {"cacheCapacity", "rocksdb.block-cache-capacity"},
    {"pinnedBytes", "rocksdb.block-cache-pinned-usage"},
    {"compactionsRunning", "rocksdb.num-running-compactions"},
    {"flushesRunning", "rocksdb.num-running-flushes"},
    {"delayedWriteBytesPerSecond", "rocksdb.actual-delayed-write-rate"},
    {"writesStopped", "rocksdb.is-write-stopped"},
    {"backgroundErrors", "rocksdb.background-errors"},
    {"snapshots", "rocksdb.num-snapshots"},
};

void append(std::string& json, const char* name, uint64_t value) {
  json += json.empty() ? "{\"" : ",\"";
  json.append(name).append("\":").append(std::to_string(value));
}

}  // namespace

std::string Store::metrics() const {
  const Passage passage(body_->gate);
  if (body_->database == nullptr) return "{}";
  std::string json;
  {
    const std::lock_guard<std::mutex> lock(body_->families_mutex);
    uint64_t families = 0;
    for (const auto& family : body_->families) families += family->dropped ? 0 : 1;
    append(json, "families", families);
    for (const Figure& figure : kSums) {
      uint64_t sum = 0;
      for (const auto& family : body_->families) {
        if (!family->dropped) sum += body_->number(*family, figure.property);
      }
      append(json, figure.name, sum);
    }
    for (const Figure& figure : kWholes) append(json, figure.name, body_->number(*body_->notes, figure.property));
  }
  append(json, "sequence", body_->library->get_latest_sequence_number(body_->database));
  append(json, "commits", body_->commits.load());
  append(json, "damagedRecords", body_->damaged.load());
  append(json, "feedBytes", body_->kept_log_bytes());
  const std::lock_guard<std::mutex> lock(body_->readers_mutex);
  append(json, "feeds", body_->readers.size());
  return json + "}";
}

}  // namespace tenon::core
