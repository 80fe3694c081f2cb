#include "record_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "byte_buffer.h"
#include "date.h"
#include "hash64.h"
#include "key.h"
#include "tenon/ext/tables.h"
#include "uuid.h"

namespace tenon::core {

namespace {

using Role = Field::Role;

void store(char* at, unsigned bytes, uint64_t value) {
  for (unsigned i = 0; i < bytes; i++) at[i] = static_cast<char>(value >> (8 * i) & 0xff);
}

int64_t milliseconds(double finite) { return static_cast<int64_t>(std::clamp(finite, -9e15, 9e15)); }

}  // namespace

bool RecordWriter::write(std::string_view json) {
  if (!begin(json.size())) return false;
  JsonReader reader(json);
  if (ordered(reader)) return finish();
  if (!disordered_) return false;
  std::vector<std::string_view> values;
  return collect(json, values) && write(values);
}

bool RecordWriter::write(const std::vector<std::string_view>& values) {
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
bool RecordWriter::collect(std::string_view json, std::vector<std::string_view>& values) {
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
    if (!values[number].empty()) return refuse(ValuePlace{nullptr, fields[number].name, 0}, "is there twice");
    if (!reader.skip(values[number])) break;
  }
  return reader.end() || broken(reader);
}

bool RecordWriter::begin(size_t size) {
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

bool RecordWriter::finish() {
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
bool RecordWriter::ordered(JsonReader& reader) {
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

size_t RecordWriter::find(const std::vector<Field>& fields, std::string_view name, size_t expected) {
  if (expected < fields.size() && fields[expected].name == name) return expected;
  const auto named = [name](const Field& field) { return field.name == name; };
  return static_cast<size_t>(std::find_if(fields.begin(), fields.end(), named) - fields.begin());
}

bool RecordWriter::host_sets(uint32_t number) const {
  const Role role = definition_.fields[number].role;
  return role == Role::CreatedTime || role == Role::UpdatedTime;
}

// Whether only the client can give it.
bool RecordWriter::needed(uint32_t number) const {
  const Field& field = definition_.fields[number];
  if (number == definition_.primary) return true;
  return field.type.required && !field.dropped && !host_sets(number) &&
         !(field.role == Role::ExpiresAt && definition_.expiration_ms != 0);
}

bool RecordWriter::field(uint32_t number, JsonReader& reader) {
  if (host_sets(number)) {
    std::string_view ignored;
    return reader.skip(ignored) ? host_time(number) : broken(reader);
  }
  const Field& field = definition_.fields[number];
  const ValuePlace place{nullptr, field.name, 0};
  ValueSlot slot;
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

bool RecordWriter::absent(uint32_t number) {
  const Field& field = definition_.fields[number];
  if (host_sets(number)) return host_time(number);
  if (number == definition_.primary) return own_key();
  if (field.role == Role::ExpiresAt && definition_.expiration_ms != 0) {
    expires_by_field_ = true;
    expiry_ = fresh_expiry();
    time(number, expiry_);
    return true;
  }
  return !field.type.required || field.dropped || refuse(ValuePlace{nullptr, field.name, 0}, "is required and missing");
}

bool RecordWriter::host_time(uint32_t number) {
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
void RecordWriter::time(uint32_t number, int64_t ms) {
  const Field& field = definition_.fields[number];
  ValueSlot slot;
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

int64_t RecordWriter::fresh_expiry() const {
  const auto after = static_cast<int64_t>(std::min(definition_.expiration_ms, static_cast<uint64_t>(kSafeInteger)));
  return std::min(std::clamp(origin_.now_ms, kFirstDate, kLastDate) + after, kLastDate);
}

// 0 is for never: what expired in 1970 has expired a millisecond later.
int64_t RecordWriter::expiry(const ValueSlot& slot) {
  auto ms = static_cast<int64_t>(slot.bits);
  if (slot.kind == TENON_VALUE_FLOAT) {
    double number = 0;
    std::memcpy(&number, &slot.bits, sizeof number);
    ms = milliseconds(number);
  }
  return ms == 0 ? 1 : ms;
}

bool RecordWriter::own_key() {
  const Field& field = definition_.fields[definition_.primary];
  const ValuePlace place{nullptr, field.name, 0};
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
  ValueSlot slot;
  append_name(field.name, first_);
  JsonReader reader(json);
  if (!value(field.type, true, reader, place, slot)) return false;
  keep(definition_.primary, slot);
  return check_key(slot);
}

bool RecordWriter::check_key(const ValueSlot& slot) {
  tenon_value_t value = {};
  value.kind = slot.kind;
  value.escaped = slot.escaped ? 1 : 0;
  value.integer = static_cast<int64_t>(slot.bits);
  value.text = bytes(std::string_view(out_).substr(begin_ + slot.begin, slot.length));
  std::string key;
  if (!append_key(definition_, value, key, problem_)) return false;
  if (origin_.key.empty() || key == origin_.key) return true;
  return refuse(ValuePlace{nullptr, definition_.fields[definition_.primary].name, 0},
                "is " + excerpt(key_text(definition_, origin_.key)) + " in the path and " +
                    excerpt(key_text(definition_, key)) + " in the body");
}

void RecordWriter::keep(uint32_t number, const ValueSlot& slot) {
  char* const at = &out_[TENON_RECORD_HEAD + static_cast<size_t>(number) * TENON_RECORD_SLOT];
  const uint64_t flags = (slot.escaped ? TENON_SLOT_ESCAPED : 0) | slot.kind << TENON_SLOT_KIND_SHIFT;
  store(at, 4, slot.begin);
  store(at + 4, 4, slot.length | flags);
  store(at + 8, 8, slot.bits);
}

}  // namespace tenon::core
