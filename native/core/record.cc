#include "record.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "byte_buffer.h"
#include "hash64.h"
#include "json_merge.h"
#include "key.h"
#include "tenon/ext/tables.h"
#include "uuid.h"

namespace tenon::core {

namespace {

using Kind = FieldType::Kind;
using Role = Field::Role;
using Next = JsonReader::Kind;

constexpr size_t kQuoted = 60;  // of a text in a message, bytes

// Where a value is, for the one case in which somebody has to be told.
struct Place {
  const Place* outer;
  std::string_view name;
  size_t index;

  std::string text() const {
    std::string path = outer == nullptr ? std::string() : outer->text();
    if (name.empty()) return path.append("[").append(std::to_string(index)).append("]");
    if (!path.empty()) path.push_back('.');
    return path.append(name);
  }
};

struct Slot {
  uint32_t kind = TENON_VALUE_NULL;
  bool escaped = false;
  size_t begin = 0;  // in the JSON text
  size_t length = 0;
  uint64_t bits = 0;
};

// A member of an object, as it was sent.
struct Given {
  size_t number;  // in its type
  std::string_view text;
};

void store(char* at, unsigned bytes, uint64_t value) {
  for (unsigned i = 0; i < bytes; i++) at[i] = static_cast<char>(value >> (8 * i) & 0xff);
}

uint64_t bits_of(double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

int64_t milliseconds(double finite) { return static_cast<int64_t>(std::clamp(finite, -9e15, 9e15)); }

// The beginning of a text, cut between characters.
std::string_view cut(std::string_view text, size_t size) {
  if (text.size() <= size) return text;
  while (size != 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) size--;
  return text.substr(0, size);
}

std::string excerpt(std::string_view text) {
  std::string quoted;
  append_quoted(cut(text, kQuoted), quoted);
  return quoted.append(text.size() > kQuoted ? "…" : "");
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

// Makes one record. Text whose fields stand in the order of the definition is written as it is read; other text is
// read again, its values by number.
class RecordWriter {
 public:
  RecordWriter(const Definition& definition, const RecordOrigin& origin, std::string& record, TableProblem& problem)
      : definition_(definition), origin_(origin), out_(record), problem_(problem) {}

  bool write(std::string_view json) {
    if (!begin(json.size())) return false;
    JsonReader reader(json);
    if (ordered(reader)) return finish();
    if (!disordered_) return false;
    std::vector<std::string_view> values;
    return collect(json, values) && write(values);
  }

  bool write(const std::vector<std::string_view>& values) {
    size_t size = 0;
    for (const std::string_view value : values) size += value.size();
    if (!begin(size)) return false;
    disordered_ = true;
    for (uint32_t number = 0; number < values.size(); number++) {
      if (values[number].empty()) {
        if (!absent(number)) return false;
        continue;
      }
      JsonReader reader(values[number]);
      if (!field(number, reader)) return false;
    }
    return finish();
  }

  // The values of the object `json` by the number of their field.
  bool collect(std::string_view json, std::vector<std::string_view>& values) {
    const std::vector<Field>& fields = definition_.fields;
    values.resize(fields.size());
    JsonReader reader(json);
    size_t expected = 0;
    std::string_view raw;
    bool escaped = false;
    if (reader.peek() != Next::Object) return no_object(reader);
    reader.begin_object();
    while (reader.member(raw, escaped)) {
      size_t number = 0;
      if (escaped) {
        const std::string name = unescaped(raw);
        number = find(fields, name, expected);
        if (number == fields.size()) return unknown(nullptr, name);
      } else {
        number = find(fields, raw, expected);
        if (number == fields.size()) return unknown(nullptr, raw);
      }
      expected = number + 1;
      if (!values[number].empty()) return refuse(Place{nullptr, fields[number].name, 0}, "is there twice");
      if (!reader.skip(values[number])) break;
    }
    return reader.end() || broken(reader);
  }

  bool refuse(const Place& place, const std::string& message) {
    problem_.field = place.text();
    problem_.message = problem_.field + " " + message;
    return false;
  }

 private:
  bool begin(size_t size) {
    if (size > TENON_TABLE_RECORD_LIMIT) return too_large();
    begin_ = TENON_RECORD_HEAD + definition_.fields.size() * TENON_RECORD_SLOT;
    expiry_ = 0;
    first_ = true;
    expires_by_field_ = false;
    out_.clear();
    out_.reserve(begin_ + size + size / 8 + 96);
    out_.resize(begin_, '\0');
    out_.push_back('{');
    return true;
  }

  bool finish() {
    out_.push_back('}');
    const size_t size = out_.size() - begin_;
    if (size > TENON_TABLE_RECORD_LIMIT) return too_large();
    if (!expires_by_field_ && definition_.expiration_ms != 0) expiry_ = fresh_expiry();
    out_[0] = static_cast<char>(TENON_RECORD_FORMAT);
    store(&out_[2], 2, definition_.fields.size());
    store(&out_[4], 4, definition_.revision);
    store(&out_[8], 8, hash64(std::string_view(out_).substr(begin_)));
    store(&out_[16], 8, static_cast<uint64_t>(expiry_));
    return true;
  }

  // False without a problem: the text is not in order.
  bool ordered(JsonReader& reader) {
    const std::vector<Field>& fields = definition_.fields;
    uint32_t next = 0;
    std::string_view name;
    bool escaped = false;
    if (reader.peek() != Next::Object) return no_object(reader);
    reader.begin_object();
    while (reader.member(name, escaped)) {
      uint32_t number = next;
      if (escaped) return disorder();
      while (number < fields.size() && fields[number].name != name) number++;
      if (number == fields.size()) return disorder();
      for (; next < number; next++) {
        if (needed(next)) return disorder();
        if (!absent(next)) return false;
      }
      if (!field(number, reader)) return false;
      next = number + 1;
    }
    if (!reader.end()) return broken(reader);
    for (; next < fields.size(); next++) {
      if (needed(next)) return disorder();
      if (!absent(next)) return false;
    }
    return true;
  }

  static size_t find(const std::vector<Field>& fields, std::string_view name, size_t expected) {
    if (expected < fields.size() && fields[expected].name == name) return expected;
    const auto named = [name](const Field& field) { return field.name == name; };
    return static_cast<size_t>(std::find_if(fields.begin(), fields.end(), named) - fields.begin());
  }

  bool host_sets(uint32_t number) const {
    const Role role = definition_.fields[number].role;
    return role == Role::CreatedTime || role == Role::UpdatedTime;
  }

  // Whether only the client can give it.
  bool needed(uint32_t number) const {
    const Field& field = definition_.fields[number];
    if (number == definition_.primary) return true;
    return field.type.required && !field.dropped && !host_sets(number) &&
           !(field.role == Role::ExpiresAt && definition_.expiration_ms != 0);
  }

  bool field(uint32_t number, JsonReader& reader) {
    if (host_sets(number)) {
      std::string_view ignored;
      return reader.skip(ignored) ? host_time(number) : broken(reader);
    }
    const Field& field = definition_.fields[number];
    const Place place{nullptr, field.name, 0};
    Slot slot;
    append_name(field.name, first_);
    if (!value(field.type, field.type.required || number == definition_.primary, reader, place, slot)) return false;
    keep(number, slot);
    if (number == definition_.primary) return check_key(slot);
    if (field.role == Role::ExpiresAt) {
      expires_by_field_ = true;
      if (slot.kind != TENON_VALUE_NULL) expiry_ = expiry(slot);
    }
    return true;
  }

  bool absent(uint32_t number) {
    const Field& field = definition_.fields[number];
    if (host_sets(number)) return host_time(number);
    if (number == definition_.primary) return own_key();
    if (field.role == Role::ExpiresAt && definition_.expiration_ms != 0) {
      expires_by_field_ = true;
      expiry_ = fresh_expiry();
      time(number, expiry_);
      return true;
    }
    return !field.type.required || field.dropped || refuse(Place{nullptr, field.name, 0}, "is required and missing");
  }

  bool host_time(uint32_t number) {
    const Field& field = definition_.fields[number];
    if (field.role == Role::CreatedTime && !origin_.previous.empty()) {
      const tenon_value_t before = value_of(origin_.previous, number);
      if (before.kind == TENON_VALUE_DATE || before.kind == TENON_VALUE_INTEGER) {
        time(number, before.integer);
        return true;
      }
      if (before.kind == TENON_VALUE_FLOAT && std::isfinite(before.number)) {
        time(number, milliseconds(before.number));
        return true;
      }
    }
    time(number, origin_.now_ms);
    return true;
  }

  // A time that the host sets, as the field has it.
  void time(uint32_t number, int64_t ms) {
    const Field& field = definition_.fields[number];
    Slot slot;
    append_name(field.name, first_);
    slot.begin = out_.size() - begin_;
    slot.bits = static_cast<uint64_t>(ms);
    if (field.type.kind == Kind::Date) {
      slot.kind = TENON_VALUE_DATE;
      ms = std::clamp(ms, kFirstDate, kLastDate);
      slot.bits = static_cast<uint64_t>(ms);
      out_.push_back('"');
      append_date(ms, out_);
      out_.push_back('"');
    } else if (field.type.kind == Kind::Float) {
      slot.kind = TENON_VALUE_FLOAT;
      slot.bits = bits_of(static_cast<double>(ms));
      append_float(static_cast<double>(ms), out_);
    } else {
      slot.kind = TENON_VALUE_INTEGER;
      append_integer(ms, out_);
    }
    slot.length = out_.size() - begin_ - slot.begin;
    keep(number, slot);
  }

  int64_t fresh_expiry() const {
    const auto after = static_cast<int64_t>(std::min(definition_.expiration_ms, static_cast<uint64_t>(kSafeInteger)));
    return std::min(std::clamp(origin_.now_ms, kFirstDate, kLastDate) + after, kLastDate);
  }

  // 0 is for never: what expired in 1970 has expired a millisecond later.
  static int64_t expiry(const Slot& slot) {
    auto ms = static_cast<int64_t>(slot.bits);
    if (slot.kind == TENON_VALUE_FLOAT) {
      double number = 0;
      std::memcpy(&number, &slot.bits, sizeof number);
      ms = milliseconds(number);
    }
    return ms == 0 ? 1 : ms;
  }

  bool own_key() {
    const Field& field = definition_.fields[definition_.primary];
    const Place place{nullptr, field.name, 0};
    std::string text;
    if (!origin_.key.empty()) {
      text = key_text(definition_, origin_.key);
    } else if (field.type.kind != Kind::Id) {
      return refuse(place, "is the primary key and missing");
    } else if (!append_uuid(origin_.now_ms, text)) {
      return refuse(place, "is missing, and the system has no random bytes for a new one");
    }
    std::string json;
    if (field.type.kind == Kind::Int) {
      json = text;
    } else {
      append_quoted(text, json);
    }
    Slot slot;
    append_name(field.name, first_);
    JsonReader reader(json);
    if (!value(field.type, true, reader, place, slot)) return false;
    keep(definition_.primary, slot);
    return check_key(slot);
  }

  bool check_key(const Slot& slot) {
    tenon_value_t value = {};
    value.kind = slot.kind;
    value.escaped = slot.escaped ? 1 : 0;
    value.integer = static_cast<int64_t>(slot.bits);
    value.text = bytes(std::string_view(out_).substr(begin_ + slot.begin, slot.length));
    std::string key;
    if (!append_key(definition_, value, key, problem_)) return false;
    if (origin_.key.empty() || key == origin_.key) return true;
    return refuse(Place{nullptr, definition_.fields[definition_.primary].name, 0},
                  "is " + excerpt(key_text(definition_, origin_.key)) + " in the path and " +
                      excerpt(key_text(definition_, key)) + " in the body");
  }

  void keep(uint32_t number, const Slot& slot) {
    char* const at = &out_[TENON_RECORD_HEAD + static_cast<size_t>(number) * TENON_RECORD_SLOT];
    const uint64_t flags = (slot.escaped ? TENON_SLOT_ESCAPED : 0) | slot.kind << TENON_SLOT_KIND_SHIFT;
    store(at, 4, slot.begin);
    store(at + 4, 4, slot.length | flags);
    store(at + 8, 8, slot.bits);
  }

  void append_name(std::string_view name, bool& first) {
    if (!first) out_.push_back(',');
    first = false;
    out_.push_back('"');
    out_.append(name).append("\":", 2);
  }

  // Appends the value in its canonical form; `slot` is what a field has of it.
  bool value(const FieldType& type, bool required, JsonReader& reader, const Place& place, Slot& slot) {
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

  bool some(const FieldType& type, Next next, JsonReader& reader, const Place& place, Slot& slot) {
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

  bool text(const FieldType& type, Next next, JsonReader& reader, const Place& place, Slot& slot) {
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

  bool no_value(const FieldType& type, std::string_view value, const Place& place) {
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

  bool whole(Kind kind, JsonReader& reader, const Place& place, int64_t& value) {
    std::string_view literal;
    if (!reader.number(literal)) return broken(reader);
    if (integer_of(literal, value)) return true;
    const std::string shown(literal.substr(0, kQuoted));
    if (literal.find_first_of(".eE") != std::string_view::npos) {
      return refuse(place, "is " + shown + ", and " + word(kind) + " is written without fraction and exponent");
    }
    return refuse(place, "is " + shown + ", beyond ±9007199254740991");
  }

  bool digits(JsonReader& reader, const Place& place, Slot& slot) {
    int64_t value = 0;
    if (!whole(Kind::Id, reader, place, value)) return false;
    slot.kind = TENON_VALUE_TEXT;
    out_.push_back('"');
    append_integer(value, out_);
    out_.push_back('"');
    return true;
  }

  bool integer(Next next, JsonReader& reader, const Place& place, Slot& slot) {
    int64_t value = 0;
    if (next != Next::Number) return wrong(next, Kind::Int, reader, place);
    if (!whole(Kind::Int, reader, place, value)) return false;
    slot.kind = TENON_VALUE_INTEGER;
    slot.bits = static_cast<uint64_t>(value);
    append_integer(value, out_);
    return true;
  }

  bool number(Next next, JsonReader& reader, const Place& place, Slot& slot) {
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

  bool boolean(Next next, JsonReader& reader, const Place& place, Slot& slot) {
    bool value = false;
    if (next != Next::True && next != Next::False) return wrong(next, Kind::Boolean, reader, place);
    if (!reader.boolean(value)) return broken(reader);
    slot.kind = TENON_VALUE_BOOLEAN;
    slot.bits = value ? 1 : 0;
    out_.append(value ? "true" : "false");
    return true;
  }

  bool date(Next next, JsonReader& reader, const Place& place, Slot& slot) {
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

  bool any(JsonReader& reader, const Place& place, Slot& slot) {
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

  bool list(const FieldType& type, Next next, JsonReader& reader, const Place& place, Slot& slot) {
    if (next != Next::List) return wrong(next, Kind::List, reader, place);
    if (!reader.begin_list()) return broken(reader);
    const FieldType& item = type.item.front();
    Place at{&place, {}, 0};
    out_.push_back('[');
    for (; reader.item(); at.index++) {
      Slot unused;
      if (at.index != 0) out_.push_back(',');
      if (!value(item, item.required, reader, at, unused)) return false;
    }
    if (reader.failed()) return broken(reader);
    out_.push_back(']');
    slot.kind = TENON_VALUE_JSON;
    return true;
  }

  bool object(const FieldType& type, Next next, JsonReader& reader, const Place& place, Slot& slot) {
    if (next != Next::Object) return wrong(next, Kind::Object, reader, place);
    slot.kind = TENON_VALUE_JSON;
    out_.push_back('{');
    if (!(disordered_ ? collected_members(type, reader, place) : ordered_members(type, reader, place))) return false;
    out_.push_back('}');
    return true;
  }

  // Both take as long as the text has members, not as long as the type has.
  bool ordered_members(const FieldType& type, JsonReader& reader, const Place& place) {
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

  static std::optional<size_t> member_of(const FieldType& type, std::string_view name, size_t expected) {
    if (expected < type.members.size() && type.members[expected].name == name) return expected;
    return type.place_of(name);
  }

  bool collected_members(const FieldType& type, JsonReader& reader, const Place& place) {
    std::string_view raw;
    std::vector<Given> given;
    bool first = true;
    if (!reader.skip(raw)) return broken(reader);
    if (!collect_members(type, raw, place, given)) return false;
    const auto absent = [&](uint32_t number) {
      return refuse(Place{&place, type.members[number].name, 0}, "is required and missing");
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

  // The members of the object `json`, in the order of the type.
  bool collect_members(const FieldType& type, std::string_view json, const Place& place, std::vector<Given>& given) {
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
    std::sort(given.begin(), given.end(),
              [](const Given& one, const Given& other) { return one.number < other.number; });
    const auto twice = std::adjacent_find(
        given.begin(), given.end(), [](const Given& one, const Given& other) { return one.number == other.number; });
    if (twice == given.end()) return true;
    return refuse(Place{&place, type.members[twice->number].name, 0}, "is there twice");
  }

  bool member(const Field& field, JsonReader& reader, const Place& place, bool& first) {
    Slot unused;
    append_name(field.name, first);
    return value(field.type, field.type.required, reader, Place{&place, field.name, 0}, unused);
  }

  bool disorder() {
    disordered_ = true;
    return false;
  }

  bool wrong(Next next, Kind kind, JsonReader& reader, const Place& place) {
    std::string_view raw;
    if (!reader.skip(raw)) return broken(reader);
    return refuse(place, std::string("is ") + word(next) + ", not " + word(kind));
  }

  bool unknown(const Place* place, std::string_view name) {
    const std::string outer = place == nullptr ? std::string() : place->text();
    problem_.field = (outer.empty() ? outer : outer + ".") + std::string(cut(name, 2 * kQuoted));
    problem_.message =
        outer.empty() ? definition_.name + " has no field " + excerpt(name) : outer + " has no member " + excerpt(name);
    return false;
  }

  bool broken(const JsonReader& reader) {
    problem_.field.clear();
    problem_.message = "The text is not JSON: " + reader.error();
    return false;
  }

  bool no_object(JsonReader& reader) {
    std::string_view raw;
    if (!reader.skip(raw)) return broken(reader);
    problem_.field.clear();
    problem_.message = "A record of " + definition_.name + " is an object";
    return false;
  }

  bool too_large() {
    problem_.field.clear();
    problem_.message = "A record of " + definition_.name + " has at most 16 MiB of JSON";
    return false;
  }

  const Definition& definition_;
  const RecordOrigin& origin_;
  std::string& out_;
  TableProblem& problem_;
  size_t begin_ = 0;  // of the JSON text in the record
  int64_t expiry_ = 0;
  bool expires_by_field_ = false;
  bool first_ = true;
  bool disordered_ = false;
};

std::string_view literal_of(std::string_view record, uint32_t field) {
  const tenon_value_t value = value_of(record, field);
  if (value.kind == TENON_VALUE_ABSENT) return {};
  if (value.kind == TENON_VALUE_TEXT) return {value.text.data - 1, value.text.size + 2};
  return view(value.text);
}

// What a patch may reach into.
bool has_members(Kind kind) { return kind == Kind::Object || kind == Kind::Any; }

bool is_slot(std::string_view json, const char* at) {
  const uint32_t begin = tenon_load32(at);
  const uint32_t second = tenon_load32(at + 4);
  const uint32_t kind = second >> TENON_SLOT_KIND_SHIFT;
  const size_t length = second & TENON_SLOT_LENGTH;
  if (kind == TENON_VALUE_ABSENT) return true;
  if (kind > TENON_VALUE_JSON || begin > json.size() || length > json.size() - begin) return false;
  // Around a text there are quotes, which a projection takes along.
  if (kind != TENON_VALUE_TEXT) return length != 0;
  return begin != 0 && begin + length < json.size() && json[begin - 1] == '"' && json[begin + length] == '"';
}

}  // namespace

bool make_record(const Definition& definition, std::string_view json, const RecordOrigin& origin, std::string& record,
                 TableProblem& problem) {
  return RecordWriter(definition, origin, record, problem).write(json);
}

bool patch_record(const Definition& definition, std::string_view patch, const RecordOrigin& origin, std::string& record,
                  TableProblem& problem) {
  RecordOrigin known = origin;
  std::string key;
  if (known.key.empty() && !origin.previous.empty()) {
    if (!append_key(definition, value_of(origin.previous, definition.primary), key, problem)) return false;
    known.key = key;
  }
  RecordWriter writer(definition, known, record, problem);
  std::vector<std::string_view> values;
  if (!writer.collect(patch, values)) return false;
  std::vector<std::string> merged;
  merged.reserve(values.size());
  for (uint32_t number = 0; number < values.size() && !origin.previous.empty(); number++) {
    const std::string_view stored = literal_of(origin.previous, number);
    if (values[number].empty()) {
      values[number] = stored;
    } else if (has_members(definition.fields[number].type.kind) && !stored.empty()) {
      merge_json(stored, values[number], merged.emplace_back());
      values[number] = merged.back();
    }
  }
  return writer.write(values);
}

bool is_record(std::string_view bytes) {
  if (bytes.size() < TENON_RECORD_HEAD || bytes[0] != static_cast<char>(TENON_RECORD_FORMAT) || bytes[1] != 0) {
    return false;
  }
  const size_t count = tenon_load16(bytes.data() + 2);
  const size_t begin = TENON_RECORD_HEAD + count * TENON_RECORD_SLOT;
  if (bytes.size() < begin + 2 || bytes.size() - begin > TENON_TABLE_RECORD_LIMIT) return false;
  const std::string_view json = bytes.substr(begin);
  if (json.front() != '{' || json.back() != '}') return false;
  for (size_t number = 0; number < count; number++) {
    if (!is_slot(json, bytes.data() + TENON_RECORD_HEAD + number * TENON_RECORD_SLOT)) return false;
  }
  return true;
}

std::string_view json_of(std::string_view record) {
  const tenon_record_t wrapped = as_record(record);
  return view(tenon_record_json(&wrapped));
}

uint64_t revision_of(std::string_view record) {
  const tenon_record_t wrapped = as_record(record);
  return tenon_record_revision(&wrapped);
}

int64_t expiry_of(std::string_view record) { return static_cast<int64_t>(tenon_load64(record.data() + 16)); }

void project(const Definition& definition, std::string_view record, const std::vector<uint32_t>& fields,
             std::string& json) {
  if (fields.empty()) {
    json.append(json_of(record));
    return;
  }
  char comma = '{';
  for (const uint32_t field : fields) {
    const std::string_view literal = field < definition.fields.size() ? literal_of(record, field) : std::string_view();
    if (literal.empty()) continue;
    json.push_back(std::exchange(comma, ','));
    json.append("\"").append(definition.fields[field].name).append("\":").append(literal);
  }
  json.append(comma == '{' ? "{}" : "}");
}

}  // namespace tenon::core
