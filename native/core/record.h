#ifndef TENON_CORE_RECORD_H
#define TENON_CORE_RECORD_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "date.h"
#include "definition.h"
#include "json.h"
#include "tenon/record.h"

namespace tenon::core {

// How a record comes to be.
struct RecordOrigin {
  int64_t now_ms = 0;         // for createdTime, updatedTime and the table's expiration
  std::string_view previous;  // record that it replaces: createdTime is kept; empty: none
  std::string_view key;       // what the primary key must be, encoded as in key.h; empty: what the text says,
                              // or a fresh one (UUID version 7) for an ID that is not given
};

// The record of the object `json`, checked against `definition`, its text in canonical form (fields by number, no white
// space, dates in UTC with milliseconds, no absent optional fields). False and `problem` when it breaks the definition:
// unknown field, wrong type, null where there may be none, Int beyond 53 bits, text that is no UTF-8, nesting deeper
// than 64, a key twice, more than TENON_TABLE_RECORD_LIMIT. `record` is overwritten.
bool make_record(const Definition& definition, std::string_view json, const RecordOrigin& origin, std::string& record,
                 TableProblem& problem);

// The same for `patch` laid over `origin.previous`, member by member, nested objects too (RFC 7396; null is stored as
// null where the definition allows it).
bool patch_record(const Definition& definition, std::string_view patch, const RecordOrigin& origin, std::string& record,
                  TableProblem& problem);

// Whether `bytes` are laid out as a record: offsets and lengths within it. What is read from a disk is checked once.
bool is_record(std::string_view bytes);

inline tenon_record_t as_record(std::string_view bytes) {
  return {sizeof(tenon_record_t), 0, {bytes.data(), bytes.size()}, nullptr};
}
inline tenon_value_t value_of(std::string_view record, uint32_t field) {
  const tenon_record_t wrapped = as_record(record);
  return tenon_record_value(&wrapped, field);
}
std::string_view json_of(std::string_view record);
uint64_t revision_of(std::string_view record);
int64_t expiry_of(std::string_view record);  // ms since the epoch, 0: never

// Append the object of `fields` only, in that order; all fields when empty.
void project(const Definition& definition, std::string_view record, const std::vector<uint32_t>& fields,
             std::string& json);

}  // namespace tenon::core

#endif
