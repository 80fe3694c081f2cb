#include "record_value.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "date.h"
#include "json_merge.h"
#include "tenon/ext/tables.h"

namespace tenon::core {

namespace {

using Kind = FieldType::Kind;
using Next = JsonReader::Kind;

constexpr size_t kQuoted = 60;  // of a text in a message, bytes

// The beginning of a text, cut between characters.
std::string_view cut(std::string_view text, size_t size) {
  if (text.size() <= size) return text;
  while (size != 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) size--;
  return text.substr(0, size);
}

const char* word(Next kind) {
  switch (kind) {
    case Next::Null:
      return "null";
    case Next::True:
    case Next::False:
      return "true or false";
    case Next::Number:
      return "a number";
    case Next::Text:
      return "a string";
    case Next::List:
      return "a list";
    case Next::Object:
      return "an object";
    case Next::Wrong:
      break;
  }
  return "nothing";
}

const char* word(Kind kind) {
  static constexpr const char* kWords[] = {"an ID",  "a String", "an Int",  "a Float", "a Boolean",
                                           "a Date", "a value",  "an Enum", "a List",  "an Object"};
  return kWords[static_cast<size_t>(kind)];
}

}  // namespace

std::string ValuePlace::text() const {
  std::string path = outer == nullptr ? std::string() : outer->text();
  if (name.empty()) return path.append("[").append(std::to_string(index)).append("]");
  if (!path.empty()) path.push_back('.');
  return path.append(name);
}

std::string excerpt(std::string_view text) {
  std::string quoted;
  append_quoted(cut(text, kQuoted), quoted);
  return quoted.append(text.size() > kQuoted ? "…" : "");
}

bool ValueWriter::refuse(const ValuePlace& place, const std::string& message) {
  problem_.field = place.text();
  problem_.message = problem_.field + " " + message;
  return false;
}

bool ValueWriter::value(const FieldType& type, bool required, JsonReader& reader, const ValuePlace& place,
                        ValueSlot& slot) {
  // Dates from numbers make the text grow: what is too large is to be noticed before the memory is gone.
  if (out_.size() - begin_ > TENON_TABLE_RECORD_LIMIT) return too_large();
  slot.begin = out_.size() - begin_;
  const Next next = reader.peek();
  bool good = false;
  if (next == Next::Null) {
    if (required) return reader.null() ? refuse(place, "must not be null") : broken(reader);
    out_.append("null");
    good = reader.null() || broken(reader);
  } else {
    good = some(type, next, reader, place, slot);
  }
  slot.length = out_.size() - begin_ - slot.begin;
  if (slot.kind == TENON_VALUE_TEXT) {
    slot.begin++;
    slot.length -= 2;
  }
  return good;
}

bool ValueWriter::some(const FieldType& type, Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  switch (type.kind) {
    case Kind::Id:
      return next == Next::Number ? digits(reader, place, slot) : text(type, next, reader, place, slot);
    case Kind::String:
    case Kind::Enum:
      return text(type, next, reader, place, slot);
    case Kind::Int:
      return integer(next, reader, place, slot);
    case Kind::Float:
      return number(next, reader, place, slot);
    case Kind::Boolean:
      return boolean(next, reader, place, slot);
    case Kind::Date:
      return date(next, reader, place, slot);
    case Kind::Any:
      return any(reader, place, slot);
    case Kind::List:
      return list(type, next, reader, place, slot);
    case Kind::Object:
      return object(type, next, reader, place, slot);
  }
  return false;
}

bool ValueWriter::text(const FieldType& type, Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  std::string_view raw;
  if (next != Next::Text) return wrong(next, type.kind, reader, place);
  if (!reader.text(raw, slot.escaped)) return broken(reader);
  slot.kind = TENON_VALUE_TEXT;
  if (!slot.escaped) {
    if (type.kind == Kind::Enum && !type.place_of(raw)) return no_value(type, raw, place);
    out_.append(raw.data() - 1, raw.size() + 2);
    return true;
  }
  const std::string plain = unescaped(raw);
  if (type.kind == Kind::Enum && !type.place_of(plain)) return no_value(type, plain, place);
  const size_t before = out_.size();
  append_quoted(plain, out_);
  slot.escaped = out_.size() - before != plain.size() + 2;
  return true;
}

bool ValueWriter::no_value(const FieldType& type, std::string_view value, const ValuePlace& place) {
  std::string names;
  for (const std::string& name : type.values) {
    if (names.size() > 4 * kQuoted) {
      names.append(", …");
      break;
    }
    names.append(names.empty() ? "" : ", ").append(name);
  }
  return refuse(place, "is " + excerpt(value) + ", not one of " + names);
}

bool ValueWriter::whole(Kind kind, JsonReader& reader, const ValuePlace& place, int64_t& value) {
  std::string_view literal;
  if (!reader.number(literal)) return broken(reader);
  if (integer_of(literal, value)) return true;
  const std::string shown(literal.substr(0, kQuoted));
  if (literal.find_first_of(".eE") != std::string_view::npos) {
    return refuse(place, "is " + shown + ", and " + word(kind) + " is written without fraction and exponent");
  }
  return refuse(place, "is " + shown + ", beyond ±9007199254740991");
}

bool ValueWriter::digits(JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  int64_t value = 0;
  if (!whole(Kind::Id, reader, place, value)) return false;
  slot.kind = TENON_VALUE_TEXT;
  out_.push_back('"');
  append_integer(value, out_);
  out_.push_back('"');
  return true;
}

bool ValueWriter::integer(Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  int64_t value = 0;
  if (next != Next::Number) return wrong(next, Kind::Int, reader, place);
  if (!whole(Kind::Int, reader, place, value)) return false;
  slot.kind = TENON_VALUE_INTEGER;
  slot.bits = static_cast<uint64_t>(value);
  append_integer(value, out_);
  return true;
}

bool ValueWriter::number(Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  std::string_view literal;
  double value = 0;
  if (next != Next::Number) return wrong(next, Kind::Float, reader, place);
  if (!reader.number(literal)) return broken(reader);
  if (!float_of(literal, value)) {
    return refuse(place, "is " + std::string(literal.substr(0, kQuoted)) + ", too great for a Float");
  }
  if (value == 0) value = 0;  // -0 is written as 0
  slot.kind = TENON_VALUE_FLOAT;
  slot.bits = bits_of(value);
  append_float(value, out_);
  return true;
}

bool ValueWriter::boolean(Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  bool value = false;
  if (next != Next::True && next != Next::False) return wrong(next, Kind::Boolean, reader, place);
  if (!reader.boolean(value)) return broken(reader);
  slot.kind = TENON_VALUE_BOOLEAN;
  slot.bits = value ? 1 : 0;
  out_.append(value ? "true" : "false");
  return true;
}

bool ValueWriter::date(Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  static constexpr size_t kCanonical = 24;  // bytes; no other form has as many and ends in Z
  int64_t ms = 0;
  std::string_view canonical;
  if (next == Next::Number) {
    if (!whole(Kind::Date, reader, place, ms)) return false;
    if (ms < kFirstDate || ms > kLastDate) {
      return refuse(place, "is " + std::to_string(ms) + ", beyond the years 0000 to 9999");
    }
  } else if (next == Next::Text) {
    std::string_view raw;
    bool escaped = false;
    if (!reader.text(raw, escaped)) return broken(reader);
    if (escaped || !parse_iso_date(raw, ms)) {
      return refuse(place,
                    "is " + excerpt(unescaped(raw)) + ", not a date as in 2026-01-31 or 2026-01-31T12:00:00.000Z");
    }
    if (raw.size() == kCanonical && raw.back() == 'Z') canonical = raw;
  } else {
    return wrong(next, Kind::Date, reader, place);
  }
  slot.kind = TENON_VALUE_DATE;
  slot.bits = static_cast<uint64_t>(ms);
  if (!canonical.empty()) {
    out_.append(canonical.data() - 1, kCanonical + 2);
    return true;
  }
  out_.push_back('"');
  append_date(ms, out_);
  out_.push_back('"');
  return true;
}

bool ValueWriter::any(JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  std::string_view raw;
  if (!reader.skip(raw)) return broken(reader);
  if (raw.find('{') != std::string_view::npos) {
    std::string twice;
    if (member_twice(raw, twice)) return refuse(place, "has the member " + excerpt(twice) + " twice");
  }
  slot.kind = TENON_VALUE_JSON;
  append_compact(raw, out_);
  return true;
}

bool ValueWriter::list(const FieldType& type, Next next, JsonReader& reader, const ValuePlace& place, ValueSlot& slot) {
  if (next != Next::List) return wrong(next, Kind::List, reader, place);
  if (!reader.begin_list()) return broken(reader);
  const FieldType& item = type.item.front();
  ValuePlace at{&place, {}, 0};
  out_.push_back('[');
  for (; reader.item(); at.index++) {
    ValueSlot unused;
    if (at.index != 0) out_.push_back(',');
    if (!value(item, item.required, reader, at, unused)) return false;
  }
  if (reader.failed()) return broken(reader);
  out_.push_back(']');
  slot.kind = TENON_VALUE_JSON;
  return true;
}

bool ValueWriter::object(const FieldType& type, Next next, JsonReader& reader, const ValuePlace& place,
                         ValueSlot& slot) {
  if (next != Next::Object) return wrong(next, Kind::Object, reader, place);
  slot.kind = TENON_VALUE_JSON;
  out_.push_back('{');
  if (!(disordered_ ? collected_members(type, reader, place) : ordered_members(type, reader, place))) return false;
  out_.push_back('}');
  return true;
}

bool ValueWriter::ordered_members(const FieldType& type, JsonReader& reader, const ValuePlace& place) {
  std::string_view name;
  bool escaped = false;
  bool first = true;
  size_t next = 0;
  auto needed = type.needed.begin();
  if (!reader.begin_object()) return broken(reader);
  while (reader.member(name, escaped)) {
    if (escaped) return disorder();
    const std::optional<size_t> number = member_of(type, name, next);
    if (!number || *number < next) return disorder();
    if (needed != type.needed.end() && *needed < *number) return disorder();
    if (needed != type.needed.end() && *needed == *number) ++needed;
    if (!member(type.members[*number], reader, place, first)) return false;
    next = *number + 1;
  }
  if (reader.failed()) return broken(reader);
  return needed == type.needed.end() || disorder();
}

std::optional<size_t> ValueWriter::member_of(const FieldType& type, std::string_view name, size_t expected) {
  if (expected < type.members.size() && type.members[expected].name == name) return expected;
  return type.place_of(name);
}

bool ValueWriter::collected_members(const FieldType& type, JsonReader& reader, const ValuePlace& place) {
  std::string_view raw;
  std::vector<Given> given;
  bool first = true;
  if (!reader.skip(raw)) return broken(reader);
  if (!collect_members(type, raw, place, given)) return false;
  const auto absent = [&](uint32_t number) {
    return refuse(ValuePlace{&place, type.members[number].name, 0}, "is required and missing");
  };
  auto needed = type.needed.begin();
  for (const Given& one : given) {
    if (needed != type.needed.end() && *needed < one.number) return absent(*needed);
    if (needed != type.needed.end() && *needed == one.number) ++needed;
    JsonReader inner(one.text);
    if (!member(type.members[one.number], inner, place, first)) return false;
  }
  return needed == type.needed.end() || absent(*needed);
}

bool ValueWriter::collect_members(const FieldType& type, std::string_view json, const ValuePlace& place,
                                  std::vector<Given>& given) {
  JsonReader reader(json);
  size_t expected = 0;
  std::string_view raw;
  bool escaped = false;
  reader.begin_object();
  // With one more than the type has, one is there twice.
  const size_t most = type.members.size();
  while (given.size() <= most && reader.member(raw, escaped)) {
    const std::string plain = escaped ? unescaped(raw) : std::string();
    const std::string_view name = escaped ? std::string_view(plain) : raw;
    const std::optional<size_t> number = member_of(type, name, expected);
    if (!number) return unknown(&place, name);
    expected = *number + 1;
    given.push_back({*number, {}});
    if (!reader.skip(given.back().text)) break;
  }
  if (given.size() <= most && !reader.end()) return broken(reader);
  std::sort(given.begin(), given.end(), [](const Given& one, const Given& other) { return one.number < other.number; });
  const auto twice = std::adjacent_find(
      given.begin(), given.end(), [](const Given& one, const Given& other) { return one.number == other.number; });
  if (twice == given.end()) return true;
  return refuse(ValuePlace{&place, type.members[twice->number].name, 0}, "is there twice");
}

bool ValueWriter::member(const Field& field, JsonReader& reader, const ValuePlace& place, bool& first) {
  ValueSlot unused;
  append_name(field.name, first);
  return value(field.type, field.type.required, reader, ValuePlace{&place, field.name, 0}, unused);
}

bool ValueWriter::wrong(Next next, Kind kind, JsonReader& reader, const ValuePlace& place) {
  std::string_view raw;
  if (!reader.skip(raw)) return broken(reader);
  return refuse(place, std::string("is ") + word(next) + ", not " + word(kind));
}

bool ValueWriter::unknown(const ValuePlace* place, std::string_view name) {
  const std::string outer = place == nullptr ? std::string() : place->text();
  problem_.field = (outer.empty() ? outer : outer + ".") + std::string(cut(name, 2 * kQuoted));
  problem_.message =
      outer.empty() ? definition_.name + " has no field " + excerpt(name) : outer + " has no member " + excerpt(name);
  return false;
}

bool ValueWriter::broken(const JsonReader& reader) {
  problem_.field.clear();
  problem_.message = "The text is not JSON: " + reader.error();
  return false;
}

bool ValueWriter::no_object(JsonReader& reader) {
  std::string_view raw;
  if (!reader.skip(raw)) return broken(reader);
  problem_.field.clear();
  problem_.message = "A record of " + definition_.name + " is an object";
  return false;
}

bool ValueWriter::too_large() {
  problem_.field.clear();
  problem_.message = "A record of " + definition_.name + " has at most 16 MiB of JSON";
  return false;
}

}  // namespace tenon::core
