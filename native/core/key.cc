#include "key.h"

#include <cmath>
#include <cstring>

#include "byte_buffer.h"
#include "json.h"
#include "tenon/ext/tables.h"

namespace tenon::core {

namespace {

using Kind = FieldType::Kind;

constexpr uint64_t kSign = UINT64_C(1) << 63;
constexpr char kNothing = 0;
constexpr char kSomething = 1;

bool is_text(Kind kind) { return kind == Kind::Id || kind == Kind::String || kind == Kind::Enum; }

void append_big_endian(uint64_t value, std::string& key) {
  for (unsigned shift = 64; shift != 0; shift -= 8) key.push_back(static_cast<char>(value >> (shift - 8) & 0xff));
}

void append_ordered(int64_t value, std::string& key) { append_big_endian(static_cast<uint64_t>(value) ^ kSign, key); }

void append_ordered(double value, std::string& key) {
  if (value == 0) value = 0;  // there is one zero in an index, as there is in a comparison
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  append_big_endian((bits & kSign) != 0 ? ~bits : bits | kSign, key);
}

void append_terminated(std::string_view text, std::string& key) {
  for (const char c : text.substr(0, kIndexedText)) {
    key.push_back(c);
    if (c == '\0') key.push_back('\xff');
  }
  key.append(2, '\0');
}

bool refuse(const Field& field, const std::string& message, TableProblem& problem) {
  problem.field = field.name;
  problem.message = field.name + " " + message;
  return false;
}

bool check_text(const Field& field, std::string_view text, TableProblem& problem) {
  if (text.empty()) return refuse(field, "is the primary key and must not be empty", problem);
  if (text.size() > TENON_TABLE_KEY_LIMIT) {
    return refuse(field, "is the primary key and has more than 1024 bytes", problem);
  }
  if (text.find('\0') != std::string_view::npos) {
    return refuse(field, "is the primary key and must not have the character U+0000", problem);
  }
  return is_utf8(text) || refuse(field, "is not UTF-8", problem);
}

bool append_text(const Field& field, std::string_view text, std::string& key, TableProblem& problem) {
  if (!check_text(field, text, problem)) return false;
  key.append(text);
  return true;
}

bool append_integer_key(const Field& field, int64_t value, std::string& key, TableProblem& problem) {
  if (value > kSafeInteger || value < -kSafeInteger) {
    return refuse(field, "is beyond ±9007199254740991", problem);
  }
  append_ordered(value, key);
  return true;
}

size_t terminated_size(std::string_view entry, size_t at) {
  for (; at + 1 < entry.size(); at++) {
    if (entry[at] != '\0') continue;
    if (entry[at + 1] == '\0') return at + 2;
    at++;
  }
  return 0;
}

}  // namespace

bool append_key(const Definition& definition, const tenon_value_t& value, std::string& key, TableProblem& problem) {
  const Field& field = definition.fields[definition.primary];
  const bool integer = field.type.kind == Kind::Int;
  if (value.kind == TENON_VALUE_INTEGER) {
    if (integer) return append_integer_key(field, value.integer, key, problem);
    if (field.type.kind == Kind::Id) {
      std::string digits;
      append_integer(value.integer, digits);
      return append_text(field, digits, key, problem);
    }
  }
  if (value.kind != TENON_VALUE_TEXT || integer) {
    return refuse(field, integer ? "is the primary key and must be an Int" : "is the primary key and must be text",
                  problem);
  }
  if (value.escaped != 0) return append_text(field, unescaped(view(value.text)), key, problem);
  return append_text(field, view(value.text), key, problem);
}

bool append_key_text(const Definition& definition, std::string_view text, std::string& key, TableProblem& problem) {
  const Field& field = definition.fields[definition.primary];
  if (field.type.kind != Kind::Int) return append_text(field, text, key, problem);
  int64_t value = 0;
  const bool good = integer_of(text, value);
  // One way to write a number: two paths to one record would be two entries of a cache.
  if (!good || std::to_string(value) != text) {
    return refuse(field, "is an Int and must be decimal digits within ±9007199254740991", problem);
  }
  return append_integer_key(field, value, key, problem);
}

bool view_key(const Definition& definition, const tenon_value_t& value, std::string& space, std::string_view& key,
              TableProblem& problem) {
  const Field& field = definition.fields[definition.primary];
  if (value.kind == TENON_VALUE_TEXT && value.escaped == 0 && field.type.kind != Kind::Int) {
    key = view(value.text);
    return check_text(field, key, problem);
  }
  space.clear();
  if (!append_key(definition, value, space, problem)) return false;
  key = space;
  return true;
}

bool view_key_text(const Definition& definition, std::string_view text, std::string& space, std::string_view& key,
                   TableProblem& problem) {
  const Field& field = definition.fields[definition.primary];
  if (field.type.kind != Kind::Int) {
    key = text;
    return check_text(field, key, problem);
  }
  space.clear();
  if (!append_key_text(definition, text, space, problem)) return false;
  key = space;
  return true;
}

std::string key_text(const Definition& definition, std::string_view key) {
  if (definition.fields[definition.primary].type.kind != Kind::Int) return std::string(key);
  if (key.size() != 8) return {};
  uint64_t bits = 0;
  for (const char byte : key) bits = bits << 8 | static_cast<unsigned char>(byte);
  return std::to_string(static_cast<int64_t>(bits ^ kSign));
}

bool append_index_value(const Field& field, const tenon_value_t& value, std::string& key) {
  if (value.kind == TENON_VALUE_ABSENT || value.kind == TENON_VALUE_NULL) {
    key.push_back(kNothing);
    return true;
  }
  const Kind kind = field.type.kind;
  const bool integer = value.kind == TENON_VALUE_INTEGER;
  if (is_text(kind)) {
    if (value.kind != TENON_VALUE_TEXT) return false;
    key.push_back(kSomething);
    append_terminated(value.escaped != 0 ? unescaped(view(value.text)) : view(value.text), key);
    return true;
  }
  if (kind == Kind::Boolean) {
    if (value.kind != TENON_VALUE_BOOLEAN) return false;
    key.push_back(kSomething);
    key.push_back(value.integer != 0 ? 1 : 0);
    return true;
  }
  if ((kind == Kind::Int && integer) || (kind == Kind::Date && (integer || value.kind == TENON_VALUE_DATE))) {
    key.push_back(kSomething);
    append_ordered(value.integer, key);
    return true;
  }
  if (kind != Kind::Float || (value.kind != TENON_VALUE_FLOAT && !integer)) return false;
  const double number = integer ? static_cast<double>(value.integer) : value.number;
  if (std::isnan(number)) return false;
  key.push_back(kSomething);
  append_ordered(number, key);
  return true;
}

size_t index_value_size(const Field& field, std::string_view entry) {
  if (entry.empty()) return 0;
  if (entry.front() == kNothing) return 1;
  if (entry.front() != kSomething || !can_be_indexed(field.type)) return 0;
  if (is_text(field.type.kind)) return terminated_size(entry, 1);
  const size_t size = field.type.kind == Kind::Boolean ? 2 : 9;
  return entry.size() < size ? 0 : size;
}

bool can_be_indexed(const FieldType& type) {
  return type.kind != Kind::List && type.kind != Kind::Object && type.kind != Kind::Any;
}

std::string behind_prefix(std::string_view prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.remove_suffix(1);
  std::string behind(prefix);
  if (!behind.empty()) behind.back() = static_cast<char>(static_cast<unsigned char>(behind.back()) + 1);
  return behind;
}

}  // namespace tenon::core
