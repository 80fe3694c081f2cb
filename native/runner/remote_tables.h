#ifndef TENON_RUNNER_REMOTE_TABLES_H
#define TENON_RUNNER_REMOTE_TABLES_H

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "host.h"
#include "tenon/ext/tables.h"

// The handles plugins hold: what they are to the host goes by its number.
struct tenon_table {
  uint64_t number;
  bool is_own;       // it may be written to, whatever is permitted
  int32_t key_kind;  // TENON_VALUE_INTEGER or TENON_VALUE_TEXT
  std::unordered_map<std::string, int32_t> fields;
};

struct tenon_cursor {
  uint64_t number;
  std::string page;  // what the records given last are views of
  size_t at;         // in `page`: of what comes next; npos: nothing does
  uint32_t wanted;   // records of the next page
  bool at_end;       // the host has none of it any more
};

struct tenon_batch {
  struct Piece {
    tenon::wire::Writer writes;
    uint32_t count;
  };
  std::vector<Piece> pieces;  // each of what is sent at once
  uint32_t count;
  size_t json_bytes;
};

struct tenon_feed {
  uint64_t number;
  std::string change;  // what the change given last is views of
};

namespace tenon::runner {

inline bool is_sound(tenon_bytes_t text) { return text.data != nullptr || text.size == 0; }

// Texts of more than this are none that the host looks for, nor keys; the rest is not sent.
constexpr size_t kNameBytes = 64 * 1024;
inline std::string_view name_of(tenon_bytes_t text) {
  return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size).substr(0, kNameBytes);
}
// What other kinds leave in it is not looked at.
inline std::string_view text_of(const tenon_value_t& value) {
  if (value.kind != TENON_VALUE_TEXT || value.text.data == nullptr) return {};
  return {value.text.data, value.text.size};
}

void write_value(wire::Writer& writer, const tenon_value_t& value, std::string_view text);
// One that is none is left to the host to refuse.
void write_key(wire::Writer& writer, const tenon_value_t* key);
// TENON_OK, or why not: the problem that the host has told, in `problem` when there is one.
tenon_status take_status(wire::Reader& reader, tenon_table_problem_t* problem);
// `status`, with `message` in `problem` when there is one.
tenon_status tell(tenon_status status, const char* message, tenon_table_problem_t* problem);
tenon_status check_json(tenon_bytes_t json, tenon_table_problem_t* problem);

// The parts of tenon_host_tables_t, one file each.
tenon_status tables_batch_begin(const tenon_host_t* host, tenon_batch_t** batch);
tenon_status tables_batch_put(tenon_batch_t* batch, tenon_table_t* table, tenon_bytes_t json, uint32_t mode);
tenon_status tables_batch_patch(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key,
                                tenon_bytes_t json);
tenon_status tables_batch_remove(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key);
tenon_status tables_batch_commit(tenon_batch_t* batch, tenon_table_problem_t* problem);
void tables_batch_discard(tenon_batch_t* batch);

tenon_status tables_scan(tenon_table_t* table, const tenon_scan_t* scan, tenon_cursor_t** cursor,
                         tenon_table_problem_t* problem);
tenon_status tables_next(tenon_cursor_t* cursor, tenon_record_t* record);
void tables_scan_end(tenon_cursor_t* cursor);

tenon_status tables_feed_begin(tenon_table_t* table, uint64_t from, tenon_feed_t** feed);
tenon_status tables_feed_next(tenon_feed_t* feed, uint32_t timeout_ms, tenon_change_t* change);
void tables_feed_end(tenon_feed_t* feed);

}  // namespace tenon::runner

#endif
