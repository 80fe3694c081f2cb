#include <algorithm>
#include <mutex>

#include "clock.h"
#include "tables_service.h"

namespace tenon::isolated {

namespace {

// Each of them keeps a picture of the whole table.
constexpr size_t kCursors = 1024;
// What comes with the cursor: a scan for one record costs one question. How long more are looked for that may not be
// wanted.
constexpr uint32_t kFirstRecords = 4;
constexpr uint64_t kFirstNs = 100'000;
constexpr uint64_t kPageNs = 2'000'000;

struct HeldCursor {
  HeldCursor(const tenon_host_tables_t& functions, tenon_cursor_t* held) : tables(functions), cursor(held) {}
  HeldCursor(const HeldCursor&) = delete;
  HeldCursor& operator=(const HeldCursor&) = delete;
  ~HeldCursor() { tables.scan_end(cursor); }

  const tenon_host_tables_t& tables;
  tenon_cursor_t* const cursor;
  std::mutex mutex;  // whoever has it uses the cursor
};

// What the page ends with.
tenon_status write_page(TablesQuestion& question, tenon_cursor_t* cursor, uint32_t wanted, uint64_t most_ns) {
  const uint64_t end = core::now() + most_ns;
  tenon_status status = TENON_OK;
  size_t bytes = 0;
  for (uint32_t count = 0; count < wanted && bytes < wire::kPageBytes; count++) {
    tenon_record_t record = {};
    record.size = sizeof record;
    status = question.tables.next(cursor, &record);
    if (status != TENON_OK) break;
    question.writer.put(true).text(record.bytes);
    bytes += record.bytes.size;
    if (core::now() >= end) break;
  }
  question.writer.put(false).put<int32_t>(status);
  return status;
}

bool begin(TablesQuestion& question) {
  wire::Reader& reader = question.reader;
  tenon_table_t* const table = question.table();
  tenon_scan_t scan = {};
  scan.size = sizeof scan;
  scan.field = reader.get<int32_t>();
  scan.lower = question.value();
  scan.upper = question.value();
  scan.lower_excluded = reader.flag();
  scan.upper_excluded = reader.flag();
  scan.reverse = reader.flag();
  scan.prefix = reader.bytes();
  scan.filter = reader.bytes();
  if (table == nullptr || !reader.ended()) return false;
  tenon_table_problem_t problem = no_problem();
  if (question.session.holdings.count(kHeldCursor) >= kCursors) {
    question.writer.put<int32_t>(TENON_ERROR_MEMORY).text(std::string_view());
    question.writer.text("a process of its own has at most 1024 scans under way");
    return true;
  }
  tenon_cursor_t* cursor = nullptr;
  if (!question.tell(question.tables.scan(table, &scan, &cursor, &problem), problem)) return true;
  const auto held = std::make_shared<HeldCursor>(question.tables, cursor);
  wire::Writer page;
  TablesQuestion first = {question.session, question.tables, reader, page};
  const bool at_end = write_page(first, cursor, kFirstRecords, kFirstNs) == TENON_ERROR_NOT_FOUND;
  question.writer.put<uint64_t>(at_end ? 0 : question.session.holdings.add(kHeldCursor, held)).raw(page.bytes());
  return true;
}

}  // namespace

bool serve_scan(TablesQuestion& question, uint16_t code) {
  if (code == wire::kUpTablesScan) return begin(question);
  const auto number = question.reader.get<uint64_t>();
  const uint32_t wanted = code == wire::kUpTablesNext ? question.reader.get<uint32_t>() : 0;
  if (!question.reader.ended()) return false;
  Holdings& holdings = question.session.holdings;
  if (code == wire::kUpTablesScanEnd) return holdings.drop(kHeldCursor, number);
  const auto held = holdings.find<HeldCursor>(kHeldCursor, number);
  if (held == nullptr) return false;
  const std::unique_lock<std::mutex> lock(held->mutex, std::try_to_lock);
  if (!lock) return false;
  const uint32_t records = std::clamp<uint32_t>(wanted, 1, wire::kPageRecords);
  if (write_page(question, held->cursor, records, kPageNs) == TENON_ERROR_NOT_FOUND) {
    holdings.drop(kHeldCursor, number);
  }
  return true;
}

}  // namespace tenon::isolated
