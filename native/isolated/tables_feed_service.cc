#include <algorithm>
#include <mutex>

#include "tables_service.h"

namespace tenon::isolated {

namespace {

constexpr size_t kFeeds = 1024;
// The host waits in pieces, so that it sees in between that the handler is past its deadline.
constexpr uint32_t kWaitMs = 100;

struct HeldFeed {
  HeldFeed(const tenon_host_tables_t& functions, tenon_feed_t* held) : tables(functions), feed(held) {}
  HeldFeed(const HeldFeed&) = delete;
  HeldFeed& operator=(const HeldFeed&) = delete;
  ~HeldFeed() { tables.feed_end(feed); }

  const tenon_host_tables_t& tables;
  tenon_feed_t* const feed;
  std::mutex mutex;  // whoever has it uses the feed
};

bool begin(TablesQuestion& question) {
  tenon_table_t* const table = question.table();
  const auto from = question.reader.get<uint64_t>();
  if (table == nullptr || !question.reader.ended()) return false;
  Holdings& holdings = question.session.holdings;
  tenon_feed_t* feed = nullptr;
  const tenon_status status =
      holdings.count(kHeldFeed) >= kFeeds ? TENON_ERROR_MEMORY : question.tables.feed_begin(table, from, &feed);
  question.writer.put<int32_t>(status);
  if (status != TENON_OK) return true;
  const auto held = std::make_shared<HeldFeed>(question.tables, feed);
  question.writer.put(holdings.add(kHeldFeed, held, [feed] { core::TablesFace::cancel(*feed); }));
  return true;
}

}  // namespace

bool serve_feed(TablesQuestion& question, uint16_t code) {
  if (code == wire::kUpTablesFeed) return begin(question);
  const auto number = question.reader.get<uint64_t>();
  const uint32_t timeout_ms = code == wire::kUpTablesFeedNext ? question.reader.get<uint32_t>() : 0;
  if (!question.reader.ended()) return false;
  Holdings& holdings = question.session.holdings;
  if (code == wire::kUpTablesFeedEnd) return holdings.drop(kHeldFeed, number);
  const auto held = holdings.find<HeldFeed>(kHeldFeed, number);
  if (held == nullptr) return false;
  const std::unique_lock<std::mutex> lock(held->mutex, std::try_to_lock);
  if (!lock) return false;
  // One that was begun after all waits had been ended has nobody to end its own.
  const uint32_t wait_ms = question.session.ended() ? 0 : std::min(timeout_ms, kWaitMs);
  tenon_change_t change = {};
  change.size = sizeof change;
  const tenon_status status = question.tables.feed_next(held->feed, wait_ms, &change);
  question.writer.put<int32_t>(status);
  if (status != TENON_OK) return true;
  question.writer.put(change.deleted != 0).put(change.sequence).text(change.key).text(change.record.bytes);
  return true;
}

}  // namespace tenon::isolated
