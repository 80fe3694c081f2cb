#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "remote_tables.h"

namespace tenon::runner {

namespace {

// Of bounds, prefix and filter together.
constexpr size_t kScanBytes = TENON_TABLE_RECORD_LIMIT;

constexpr uint32_t kSecondPage = 16;

bool fits(std::initializer_list<std::string_view> texts) {
  size_t left = kScanBytes;
  for (const std::string_view text : texts) {
    if (text.size() > left) return false;
    left -= text.size();
  }
  return true;
}

std::string_view whole(tenon_bytes_t text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}

// Whether the host has given it back: the page that is here is the last.
bool has_gone(const tenon_cursor_t& cursor) {
  if (cursor.at_end || cursor.at == std::string::npos) return cursor.at_end;
  int32_t last = TENON_OK;
  std::memcpy(&last, cursor.page.data() + cursor.page.size() - sizeof last, sizeof last);
  return last == TENON_ERROR_NOT_FOUND;
}

}  // namespace

tenon_status tables_scan(tenon_table_t* table, const tenon_scan_t* scan, tenon_cursor_t** cursor,
                         tenon_table_problem_t* problem) {
  if (table == nullptr || cursor == nullptr) return tell(TENON_ERROR_ARGUMENT, "a table is needed", problem);
  *cursor = nullptr;
  if (scan == nullptr || scan->size < sizeof(tenon_scan_t) || !is_sound(scan->lower.text) ||
      !is_sound(scan->upper.text) || !is_sound(scan->prefix) || !is_sound(scan->filter)) {
    return tell(TENON_ERROR_ARGUMENT, "scan: a struct with its size, and texts with their data, is needed", problem);
  }
  if (!fits({text_of(scan->lower), text_of(scan->upper), whole(scan->prefix), whole(scan->filter)})) {
    return tell(TENON_ERROR_INVALID, "the bounds and the filter have at most 16 MiB", problem);
  }
  wire::Writer writer;
  writer.put(table->number).put(scan->field);
  write_value(writer, scan->lower, text_of(scan->lower));
  write_value(writer, scan->upper, text_of(scan->upper));
  writer.put(scan->lower_excluded).put(scan->upper_excluded).put(scan->reverse);
  writer.text(whole(scan->prefix)).text(whole(scan->filter));
  std::string answer = Host::instance().ask(wire::kUpTablesScan, {writer.bytes()});
  wire::Reader reader(answer);
  if (const tenon_status status = take_status(reader, problem); status != TENON_OK) return status;
  auto fresh = std::make_unique<tenon_cursor_t>();
  fresh->number = reader.get<uint64_t>();
  fresh->at = answer.size() - reader.rest().size();
  fresh->at_end = fresh->number == 0;
  fresh->wanted = kSecondPage;
  fresh->page = std::move(answer);
  *cursor = fresh.release();
  return TENON_OK;
}

tenon_status tables_next(tenon_cursor_t* cursor, tenon_record_t* record) {
  if (cursor == nullptr || record == nullptr || record->size < sizeof(tenon_record_t)) return TENON_ERROR_ARGUMENT;
  record->bytes = {nullptr, 0};
  record->hold = nullptr;
  for (;;) {
    if (cursor->at != std::string::npos) {
      wire::Reader reader(std::string_view(cursor->page).substr(cursor->at));
      if (reader.flag()) {
        record->bytes = reader.bytes();
        cursor->at = cursor->page.size() - reader.rest().size();
        return TENON_OK;
      }
      const auto status = reader.get<int32_t>();
      cursor->at = std::string::npos;
      if (status == TENON_ERROR_NOT_FOUND) cursor->at_end = true;
      if (status != TENON_OK) return status;
    }
    if (cursor->at_end) return TENON_ERROR_NOT_FOUND;
    wire::Writer writer;
    writer.put(cursor->number).put(cursor->wanted);
    cursor->page = Host::instance().ask(wire::kUpTablesNext, {writer.bytes()});
    cursor->at = 0;
    cursor->wanted = std::min(cursor->wanted * 4, wire::kPageRecords);
  }
}

void tables_scan_end(tenon_cursor_t* cursor) {
  const std::unique_ptr<tenon_cursor_t> own(cursor);
  if (own == nullptr || has_gone(*own)) return;
  wire::Writer writer;
  writer.put(own->number);
  Host::instance().tell(wire::kUpTablesScanEnd, {writer.bytes()});
}

}  // namespace tenon::runner
