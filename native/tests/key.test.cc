#include "key.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "byte_buffer.h"
#include "json.h"
#include "tenon/ext/tables.h"

using namespace tenon::core;

namespace {

using Kind = FieldType::Kind;

Field field_of(Kind kind) {
  Field field;
  field.name = "field";
  field.type.kind = kind;
  return field;
}

Definition table_of(Kind kind) {
  Definition definition;
  definition.database = "d";
  definition.name = "Table";
  definition.fields = {field_of(kind)};
  return definition;
}

tenon_value_t text_value(std::string_view text) {
  tenon_value_t value = {};
  value.kind = TENON_VALUE_TEXT;
  value.text = bytes(text);
  return value;
}

tenon_value_t integer_value(int64_t integer, uint32_t kind = TENON_VALUE_INTEGER) {
  tenon_value_t value = {};
  value.kind = kind;
  value.integer = integer;
  return value;
}

tenon_value_t float_value(double number) {
  tenon_value_t value = {};
  value.kind = TENON_VALUE_FLOAT;
  value.number = number;
  return value;
}

tenon_value_t null_value() { return integer_value(0, TENON_VALUE_NULL); }

std::string entry(Kind kind, const tenon_value_t& value) {
  std::string key;
  CHECK(append_index_value(field_of(kind), value, key));
  CHECK(index_value_size(field_of(kind), key + "the primary key") == key.size());
  return key;
}

int sign(int order) { return order < 0 ? -1 : order > 0 ? 1 : 0; }

std::mt19937_64 seeded() {
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  return std::mt19937_64(seed);
}

std::string bytes_of(std::initializer_list<int> list) {
  std::string bytes;
  for (const int byte : list) bytes.push_back(static_cast<char>(byte));
  return bytes;
}

}  // namespace

TEST_CASE("the encodings are fixed, for they are on disks") {
  std::string key;
  TableProblem problem;
  CHECK(append_key(table_of(Kind::Int), integer_value(-2), key, problem));
  CHECK(key == bytes_of({0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}));
  key.clear();
  CHECK(append_key(table_of(Kind::String), text_value("é"), key, problem));
  CHECK(key == "é");
  CHECK(entry(Kind::Boolean, integer_value(1, TENON_VALUE_BOOLEAN)) == bytes_of({1, 1}));
  CHECK(entry(Kind::Int, integer_value(258)) == bytes_of({1, 0x80, 0, 0, 0, 0, 0, 1, 2}));
  CHECK(entry(Kind::Date, integer_value(0, TENON_VALUE_DATE)) == bytes_of({1, 0x80, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(entry(Kind::Float, float_value(1)) == bytes_of({1, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0}));
  CHECK(entry(Kind::Float, float_value(-1)) == bytes_of({1, 0x40, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
  CHECK(entry(Kind::String, text_value(std::string_view("a\0b", 3))) == bytes_of({1, 'a', 0, 0xff, 'b', 0, 0}));
  CHECK(entry(Kind::String, text_value("")) == bytes_of({1, 0, 0}));
  CHECK(entry(Kind::String, null_value()) == bytes_of({0}));
  CHECK(entry(Kind::Int, tenon_value_t{}) == bytes_of({0}));
}

TEST_CASE("texts sort as their bytes do, whatever primary key is behind them") {
  auto random = seeded();
  const std::string letters(
      "\0\x01"
      "ab\x7f\xc3\xff",
      7);
  const auto text = [&] {
    std::string made(random() % 5, ' ');
    for (char& c : made) c = letters[random() % letters.size()];
    return made;
  };
  for (int i = 0; i < 20000; i++) {
    const std::string left = text();
    const std::string right = text();
    const std::string left_entry = entry(Kind::String, text_value(left)) + text();
    const std::string right_entry = entry(Kind::String, text_value(right)) + text();
    if (left != right) REQUIRE(sign(left_entry.compare(right_entry)) == sign(left.compare(right)));
    REQUIRE(entry(Kind::String, null_value()) + left < right_entry);
  }
}

TEST_CASE("numbers sort as they do") {
  auto random = seeded();
  const auto order = [](auto left, auto right) { return left < right ? -1 : right < left ? 1 : 0; };
  for (int i = 0; i < 20000; i++) {
    const auto left = static_cast<int64_t>(random()) >> random() % 64;
    const auto right = static_cast<int64_t>(random()) >> random() % 64;
    REQUIRE(sign(entry(Kind::Int, integer_value(left)).compare(entry(Kind::Int, integer_value(right)))) ==
            order(left, right));
    double x = 0;
    double y = 0;
    const uint64_t bits[] = {random(), random()};
    std::memcpy(&x, &bits[0], sizeof x);
    std::memcpy(&y, &bits[1], sizeof y);
    if (std::isnan(x) || std::isnan(y)) continue;
    REQUIRE(sign(entry(Kind::Float, float_value(x)).compare(entry(Kind::Float, float_value(y)))) == order(x, y));
  }
  const double rising[] = {-std::numeric_limits<double>::infinity(), -1e308, -1, -5e-324, 0, 5e-324, 0.1, 1, 1e308};
  for (size_t i = 1; i < std::size(rising); i++) {
    CHECK(entry(Kind::Float, float_value(rising[i - 1])) < entry(Kind::Float, float_value(rising[i])));
  }
  CHECK(entry(Kind::Float, float_value(-0.0)) == entry(Kind::Float, float_value(0)));
  CHECK(entry(Kind::Float, integer_value(3)) == entry(Kind::Float, float_value(3)));
}

TEST_CASE("primary keys sort as their values do and read back") {
  auto random = seeded();
  const Definition table = table_of(Kind::Int);
  TableProblem problem;
  for (int i = 0; i < 20000; i++) {
    const auto left = static_cast<int64_t>(random()) >> (11 + random() % 53);
    const auto right = static_cast<int64_t>(random()) >> (11 + random() % 53);
    std::string left_key;
    std::string right_key;
    REQUIRE(append_key(table, integer_value(left), left_key, problem));
    REQUIRE(append_key_text(table, std::to_string(right), right_key, problem));
    REQUIRE((left < right) == (left_key < right_key));
    REQUIRE(key_text(table, left_key) == std::to_string(left));
  }
  CHECK(key_text(table_of(Kind::Id), "a/b") == "a/b");
  CHECK(key_text(table, "short").empty());
}

TEST_CASE("only the beginning of a long text is in an index") {
  const std::string begin(kIndexedText, 'x');
  CHECK(entry(Kind::String, text_value(begin + "a")) == entry(Kind::String, text_value(begin)));
  CHECK(entry(Kind::String, text_value(begin)).size() == 1 + kIndexedText + 2);
}

TEST_CASE("a value that has escapes is indexed without them") {
  tenon_value_t value = text_value("a\\n\\u0000");
  value.escaped = 1;
  CHECK(entry(Kind::String, value) == entry(Kind::String, text_value(std::string_view("a\n\0", 3))));
  std::string key;
  TableProblem problem;
  value.text = bytes("a\\n");
  CHECK(append_key(table_of(Kind::Id), value, key, problem));
  CHECK(key == "a\n");
}

TEST_CASE("what is no primary key is refused") {
  const struct {
    Kind kind;
    tenon_value_t value;
    const char* message;
  } cases[] = {
      {Kind::Int, text_value("1"), "field is the primary key and must be an Int"},
      {Kind::Int, float_value(1), "field is the primary key and must be an Int"},
      {Kind::Int, integer_value(kSafeInteger + 1), "field is beyond ±9007199254740991"},
      {Kind::String, integer_value(1), "field is the primary key and must be text"},
      {Kind::String, null_value(), "field is the primary key and must be text"},
      {Kind::Id, tenon_value_t{}, "field is the primary key and must be text"},
      {Kind::Id, text_value(""), "field is the primary key and must not be empty"},
      {Kind::Id, text_value(std::string_view("\0", 1)),
       "field is the primary key and must not have the character U+0000"},
      {Kind::Id, text_value("\xc3"), "field is not UTF-8"},
  };
  for (const auto& one : cases) {
    std::string key = "before";
    TableProblem problem;
    CHECK_FALSE(append_key(table_of(one.kind), one.value, key, problem));
    CHECK(problem.field == "field");
    CHECK(problem.message == one.message);
    CHECK(key == "before");
  }
  for (const char* text : {"", "a", "1.0", "+1", "007", "-0", "1 ", "9007199254740992", "99999999999999999999"}) {
    CAPTURE(text);
    std::string key;
    TableProblem problem;
    CHECK_FALSE(append_key_text(table_of(Kind::Int), text, key, problem));
    CHECK(problem.message == "field is an Int and must be decimal digits within ±9007199254740991");
  }
  std::string key;
  TableProblem problem;
  CHECK(append_key_text(table_of(Kind::Id), std::string(TENON_TABLE_KEY_LIMIT, 'k'), key, problem));
  CHECK_FALSE(append_key_text(table_of(Kind::Id), std::string(TENON_TABLE_KEY_LIMIT + 1, 'k'), key, problem));
  CHECK(problem.message == "field is the primary key and has more than 1024 bytes");
}

TEST_CASE("a value that does not fit the field is not indexed") {
  const auto fits = [](Kind kind, const tenon_value_t& value) {
    std::string key;
    return append_index_value(field_of(kind), value, key);
  };
  CHECK_FALSE(fits(Kind::Int, text_value("1")));
  CHECK_FALSE(fits(Kind::Int, float_value(1)));
  CHECK_FALSE(fits(Kind::Date, text_value("2026-01-31")));
  CHECK_FALSE(fits(Kind::Boolean, integer_value(1)));
  CHECK_FALSE(fits(Kind::String, integer_value(1)));
  CHECK_FALSE(fits(Kind::Float, float_value(std::nan(""))));
  CHECK_FALSE(fits(Kind::Any, text_value("a")));
  for (const Kind kind : {Kind::Any, Kind::List, Kind::Object}) CHECK_FALSE(can_be_indexed(field_of(kind).type));
}

TEST_CASE("an index entry that is cut short is none") {
  CHECK(index_value_size(field_of(Kind::String), "") == 0);
  CHECK(index_value_size(field_of(Kind::String), "\x02") == 0);
  CHECK(index_value_size(field_of(Kind::String),
                         "\x01"
                         "abc") == 0);
  CHECK(index_value_size(field_of(Kind::String), std::string_view("\x01\0\xff\0", 4)) == 0);
  CHECK(index_value_size(field_of(Kind::Int),
                         "\x01"
                         "1234567") == 0);
  CHECK(index_value_size(field_of(Kind::Boolean), "\x01") == 0);
}

TEST_CASE("the first key behind a prefix") {
  CHECK(behind_prefix("ab") == "ac");
  CHECK(behind_prefix("a\xff\xff") == "b");
  CHECK(behind_prefix("\xff").empty());
  CHECK(behind_prefix("").empty());
  CHECK(behind_prefix("\x7f") == "\x80");
}
