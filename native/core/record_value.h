#ifndef TENON_CORE_RECORD_VALUE_H
#define TENON_CORE_RECORD_VALUE_H

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "definition.h"
#include "json.h"
#include "tenon/record.h"

namespace tenon::core {

// Where a value is, for the one case in which somebody has to be told.
struct ValuePlace {
  const ValuePlace* outer;
  std::string_view name;
  size_t index;

  std::string text() const;
};

// What a field has of its value.
struct ValueSlot {
  uint32_t kind = TENON_VALUE_NULL;
  bool escaped = false;
  size_t begin = 0;  // in the JSON text
  size_t length = 0;
  uint64_t bits = 0;
};

inline uint64_t bits_of(double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// The beginning of a text, quoted, for a message.
std::string excerpt(std::string_view text);

// Appends values to the JSON text of a record in their canonical form. What refuses says why in the problem, and is
// false; without a problem the text is not in the order of the definition.
class ValueWriter {
 public:
  ValueWriter(const Definition& definition, std::string& record, TableProblem& problem)
      : definition_(definition), out_(record), problem_(problem) {}

  bool refuse(const ValuePlace& place, const std::string& message);

 protected:
  using Kind = FieldType::Kind;
  using Next = JsonReader::Kind;

  void append_name(std::string_view name, bool& first) {
    if (!first) out_.push_back(',');
    first = false;
    out_.push_back('"');
    out_.append(name).append("\":", 2);
  }
  // `slot` is what a field has of the value.
  bool value(const FieldType& type, bool required, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);

  bool disorder() {
    disordered_ = true;
    return false;
  }
  bool unknown(const ValuePlace* place, std::string_view name);
  bool broken(const JsonReader& reader);
  bool no_object(JsonReader& reader);
  bool too_large();

  const Definition& definition_;
  std::string& out_;
  TableProblem& problem_;
  size_t begin_ = 0;  // of the JSON text in the record
  bool disordered_ = false;

 private:
  // A member of an object, as it was sent.
  struct Given {
    size_t number;  // in its type
    std::string_view text;
  };

  bool some(const FieldType& type, Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool text(const FieldType& type, Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool no_value(const FieldType& type, std::string_view value, const ValuePlace& place);
  bool whole(Kind kind, JsonReader& reader, const ValuePlace& place, int64_t& value);
  bool digits(JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool integer(Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool number(Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool boolean(Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool date(Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool any(JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool list(const FieldType& type, Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  bool object(const FieldType& type, Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot);
  // Both take as long as the text has members, not as long as the type has.
  bool ordered_members(const FieldType& type, JsonReader& reader, const ValuePlace& place);
  bool collected_members(const FieldType& type, JsonReader& reader, const ValuePlace& place);
  // The members of the object `json`, in the order of the type.
  bool collect_members(const FieldType& type, std::string_view json, const ValuePlace& place,
                       std::vector<Given>& given);
  static std::optional<size_t> member_of(const FieldType& type, std::string_view name, size_t expected);
  bool member(const Field& field, JsonReader& reader, const ValuePlace& place, bool& first);
  bool wrong(Next next, Kind kind, JsonReader& reader, const ValuePlace& place);
};

}  // namespace tenon::core

#endif
