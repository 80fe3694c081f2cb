#ifndef TENON_CORE_KEY_H
#define TENON_CORE_KEY_H

#include <cstdint>
#include <string>
#include <string_view>

#include "definition.h"
#include "tenon/record.h"

namespace tenon::core {

/*
 * Keys that sort as their values do, compared byte by byte.
 *   primary key   text: its UTF-8; Int: 8 bytes, big-endian, sign bit flipped
 *   index         value, then the primary key. A value is 0x00 for null or absent; else 0x01 and
 *                 Boolean 1 byte; Int, Date 8 bytes as above; Float 8 bytes, IEEE 754 with the sign bit flipped, all
 * bits when negative; text: its UTF-8 with 0x00 as 0x00 0xff, at most kIndexedText bytes of it, then 0x00 0x00
 */
constexpr size_t kIndexedText = 512;

// Append the primary key `value` (TEXT without escapes, or INTEGER). False and `problem`: wrong kind, empty, too long.
bool append_key(const Definition& definition, const tenon_value_t& value, std::string& key, TableProblem& problem);
// The same from the segment of a path, percent-decoded: an Int in decimal digits.
bool append_key_text(const Definition& definition, std::string_view text, std::string& key, TableProblem& problem);
// Both without a copy where the text itself is the key: `key` views the text, or else `space`.
bool view_key(const Definition& definition, const tenon_value_t& value, std::string& space, std::string_view& key,
              TableProblem& problem);
bool view_key_text(const Definition& definition, std::string_view text, std::string& space, std::string_view& key,
                   TableProblem& problem);
// Back to text: UTF-8, or decimal digits.
std::string key_text(const Definition& definition, std::string_view key);

// Append the value of an indexed field as an index has it; the kind of the field decides. `value` is of a record
// (escaped or not) or of a bound. False: it does not fit the field's type.
bool append_index_value(const Field& field, const tenon_value_t& value, std::string& key);
// How many bytes of an index entry are its value; the primary key is the rest. 0: it is none.
size_t index_value_size(const Field& field, std::string_view entry);
// Whether a field of this type can be indexed: not a list, an object or Any.
bool can_be_indexed(const FieldType& type);

// The first key behind all that begin with `prefix`; empty when there is none.
std::string behind_prefix(std::string_view prefix);

}  // namespace tenon::core

#endif
