#include "json.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>

using namespace tenon::core;

namespace {

bool is_json(std::string_view text) {
  JsonReader reader(text);
  std::string_view raw;
  return reader.skip(raw) && reader.end();
}

std::string error_of(std::string_view text) {
  JsonReader reader(text);
  std::string_view raw;
  if (reader.skip(raw)) reader.end();
  return reader.error();
}

std::string quoted(std::string_view text) {
  std::string json;
  append_quoted(text, json);
  return json;
}

std::string compact(std::string_view raw) {
  std::string json;
  append_compact(raw, json);
  return json;
}

}  // namespace

TEST_CASE("what is JSON and what is not") {
  for (const char* text :
       {"null", " true ", "\t\r\nfalse", "0", "-0", "-0.0e-0", "1E+9", "12.5e10", "\"\"", "\"\\u00e9\\ud83d\\ude00\"",
        "[]", "[ ]", "[1,[2,[ ]],{}]", "{}", R"({"a":{"b":[]},"":0})", "\"é😀\x7f\"", R"("\/\b\f\n\r\t\"\\")"}) {
    CAPTURE(text);
    CHECK(is_json(text));
  }
  for (const char* text : {"",
                           " ",
                           "nul",
                           "nulll",
                           "True",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "1e",
                           "1e+",
                           "-",
                           "--1",
                           "0x1",
                           "NaN",
                           "'a'",
                           "\"",
                           "\"a",
                           "\"\\\"",
                           "\"\\x\"",
                           "[",
                           "]",
                           "[1",
                           "[1,",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{",
                           "}",
                           "{a:1}",
                           "{\"a\"",
                           "{\"a\":",
                           "{\"a\":1",
                           "{\"a\":1,",
                           "{\"a\":1,}",
                           "{,}",
                           "{1:2}",
                           "{\"a\" 1}",
                           "[1}",
                           "{\"a\":1]",
                           "1 2",
                           "[]]",
                           "\xef\xbb\xbf{}",
                           "/**/1",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\ud800x\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\udc00\"",
                           "\"\\ud83d\\ud83d\"",
                           "\"\t\"",
                           "\"\xc0\x80\"",
                           "\"\xe0\x80\x80\"",
                           "\"\xf5\x80\x80\x80\"",
                           "\"\xf4\x90\x80\x80\"",
                           "\"\xed\xbf\xbf\"",
                           "\"\xe2\x82\"",
                           "\"\x80\""}) {
    CAPTURE(text);
    CHECK_FALSE(is_json(text));
    CHECK(error_of(text).find(" at byte ") != std::string::npos);
  }
  CHECK_FALSE(is_json(std::string_view("\"\0\"", 3)));
  CHECK_FALSE(is_json(std::string_view("1\0", 2)));
}

TEST_CASE("every byte of a text is looked at, wherever it stands") {
  for (size_t size = 1; size < 40; size++) {
    for (size_t at = 0; at < size; at++) {
      for (const char wrong : {'\x1f', '\0', '\x80', '\xff', '\xc3', '\\'}) {
        std::string text(size, 'x');
        text[at] = wrong;
        REQUIRE_FALSE(is_json("\"" + text + "\""));
      }
      std::string text(size, 'x');
      text[at] = '"';
      REQUIRE(quoted(text).size() == size + 3);
      REQUIRE(is_json(quoted(text)));
    }
  }
}

TEST_CASE("nesting ends at 64") {
  const size_t depth = JsonReader::kDepth;
  CHECK(is_json(std::string(depth, '[') + std::string(depth, ']')));
  CHECK(error_of(std::string(100000, '[')) == "it is nested deeper than 64 at byte 64");
  std::string objects;
  for (size_t i = 0; i <= depth; i++) objects += "{\"a\":";
  CHECK(error_of(objects) == "it is nested deeper than 64 at byte 320");
  CHECK(is_json("[" + std::string("[],") + "[[]],{}]"));
}

TEST_CASE("a reader that has failed stays so") {
  JsonReader reader("[1 2]");
  std::string_view literal;
  CHECK(reader.begin_list());
  CHECK(reader.item());
  CHECK(reader.number(literal));
  CHECK_FALSE(reader.item());
  CHECK(reader.error() == "expected , or ] at byte 3");
  CHECK_FALSE(reader.item());
  CHECK_FALSE(reader.number(literal));
  CHECK_FALSE(reader.end());
  CHECK(reader.error() == "expected , or ] at byte 3");
}

TEST_CASE("texts go in quotes and come back") {
  CHECK(quoted("a\"b\\c/é\x7f") == "\"a\\\"b\\\\c/é\x7f\"");
  CHECK(quoted(std::string_view("\0\b\t\n\f\r\x1f", 7)) == R"("\u0000\b\t\n\f\r\u001f")");
  CHECK(unescaped(R"(\u0041\u00e9\u20ac\ud83d\ude00\/\b)") == "Aé€😀/\b");
  CHECK(unescaped(R"(a\x\u12\ud800)") == R"(a\x\u12\ud800)");
  CHECK(unescaped("a\\") == "a\\");
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5000; i++) {
    std::string text(random() % 40, ' ');
    for (char& c : text) c = static_cast<char>(random() % 128);
    const std::string json = quoted(text);
    REQUIRE(is_json(json));
    REQUIRE(unescaped(std::string_view(json).substr(1, json.size() - 2)) == text);
  }
}

TEST_CASE("white space between tokens goes, within texts it stays") {
  CHECK(compact(" { \"a b\" : [ 1 ,\n\t\" \\\" \" ] , \"\\\\\" : null } ") == R"({"a b":[1," \" "],"\\":null})");
  CHECK(compact("\"a\\").size() == 3);
}

TEST_CASE("numbers are read as they are and written as short as they can be") {
  int64_t integer = 0;
  CHECK(integer_of("-9007199254740991", integer));
  CHECK(integer == -kSafeInteger);
  for (const char* wrong : {"9007199254740992", "-9007199254740992", "1.0", "1e2", "", "-", "99999999999999999999"}) {
    CHECK_FALSE(integer_of(wrong, integer));
  }
  double number = 1;
  for (const char* great : {"1e309", "-1e309", "1e99999999999999999999", "17976931348623159e293", "2e308"}) {
    CAPTURE(great);
    CHECK_FALSE(float_of(great, number));
  }
  for (const char* small : {"1e-400", "1e-99999999999999999999", "0.0000001e-320", "0e999", "0.000e99999999999"}) {
    CAPTURE(small);
    CHECK(float_of(small, number));
    CHECK(number == 0);
  }
  const struct {
    double value;
    const char* json;
  } as_in_javascript[] = {
      {0, "0"},
      {-0.0, "0"},
      {1, "1"},
      {-1.5, "-1.5"},
      {100000, "100000"},
      {123456789012345680000.0, "123456789012345680000"},
      {999999999999999900000.0, "999999999999999900000"},
      {1e21, "1e+21"},
      {1.5e300, "1.5e+300"},
      {0.000001, "0.000001"},
      {0.00000123, "0.00000123"},
      {1e-7, "1e-7"},
      {-1.25e-9, "-1.25e-9"},
      {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {0.1 + 0.2, "0.30000000000000004"},
      {1e20 / 3, "33333333333333330000"},
  };
  for (const auto& one : as_in_javascript) {
    std::string json;
    append_float(one.value, json);
    CHECK(json == one.json);
  }
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20000; i++) {
    const uint64_t bits = random();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (value - value != 0 || value == 0) continue;
    std::string json;
    append_float(value, json);
    REQUIRE(is_json(json));
    REQUIRE(float_of(json, number));
    REQUIRE(std::memcmp(&number, &value, sizeof value) == 0);
  }
}

TEST_CASE("what is UTF-8") {
  for (const char* text : {"", "a", "é", "€", "😀", "abcdefgh€ijklmnop😀", "\xed\x9f\xbf", "\xee\x80\x80"}) {
    CHECK(is_utf8(text));
  }
  CHECK(is_utf8(std::string_view("\0\n\"\\", 4)));
  for (const char* text :
       {"\x80", "\xc1\xbf", "\xc3", "abcdefgh\xe2\x82", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xff"}) {
    CHECK_FALSE(is_utf8(text));
  }
}
