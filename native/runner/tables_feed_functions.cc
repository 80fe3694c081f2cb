#include <algorithm>
#include <chrono>
#include <memory>

#include "remote_tables.h"

namespace tenon::runner {

tenon_status tables_feed_begin(tenon_table_t* table, uint64_t from, tenon_feed_t** feed) {
  if (table == nullptr || feed == nullptr) return TENON_ERROR_ARGUMENT;
  *feed = nullptr;
  wire::Writer writer;
  writer.put(table->number).put(from);
  const std::string answer = Host::instance().ask(wire::kUpTablesFeed, {writer.bytes()});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  if (status != TENON_OK) return status;
  auto fresh = std::make_unique<tenon_feed_t>();
  fresh->number = reader.get<uint64_t>();
  *feed = fresh.release();
  return TENON_OK;
}

// The host waits for a piece of the time only.
tenon_status tables_feed_next(tenon_feed_t* feed, uint32_t timeout_ms, tenon_change_t* change) {
  if (feed == nullptr || change == nullptr || change->size < sizeof(tenon_change_t)) return TENON_ERROR_ARGUMENT;
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (uint32_t left_ms = timeout_ms;;) {
    wire::Writer writer;
    writer.put(feed->number).put(left_ms);
    feed->change = Host::instance().ask(wire::kUpTablesFeedNext, {writer.bytes()});
    wire::Reader reader(feed->change);
    const auto status = reader.get<int32_t>();
    if (status == TENON_OK) {
      change->deleted = reader.flag() ? 1 : 0;
      change->sequence = reader.get<uint64_t>();
      change->key = reader.bytes();
      change->record = {};
      change->record.size = sizeof change->record;
      change->record.bytes = reader.bytes();
      if (change->record.bytes.size == 0) change->record.bytes.data = nullptr;
      return TENON_OK;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    if (status != TENON_ERROR_AGAIN || left <= 0) return status;
    left_ms = static_cast<uint32_t>(left);
  }
}

void tables_feed_end(tenon_feed_t* feed) {
  if (feed == nullptr) return;
  const std::unique_ptr<tenon_feed_t> own(feed);
  wire::Writer writer;
  writer.put(own->number);
  Host::instance().tell(wire::kUpTablesFeedEnd, {writer.bytes()});
}

}  // namespace tenon::runner
