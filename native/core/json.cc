#include "json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#if defined(__APPLE__)
#include <xlocale.h>

#include <cstdio>
#endif

namespace tenon::core {

namespace {

constexpr uint64_t kOnes = 0x0101010101010101u;

bool digit(char c) { return c >= '0' && c <= '9'; }

// Neither a quote, a backslash, a control character nor a part of a longer UTF-8 sequence.
bool plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

// Where the first character from `at` on is that is not plain; eight at a time, as "Determine if a word has a byte less
// than n" and "… equal to n" in Bit Twiddling Hacks.
size_t plain_end(std::string_view text, size_t at) {
  while (text.size() - at >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    const uint64_t control = word - kOnes * 0x20;
    const uint64_t quote = (word ^ kOnes * 0x22) - kOnes;
    const uint64_t backslash = (word ^ kOnes * 0x5c) - kOnes;
    const uint64_t hits = (control | quote | backslash | word) & kOnes * 0x80;
    if (hits != 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
      return at + static_cast<size_t>(__builtin_ctzll(hits)) / 8;  // a borrow makes false hits behind a true one only
#else
      break;
#endif
    }
    at += 8;
  }
  while (at < text.size() && plain(text[at])) at++;
  return at;
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Bytes of the UTF-8 sequence at `at`, 0 when it is none: too long a form, a surrogate, beyond U+10FFFF.
size_t sequence_size(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const size_t left = text.size() - at;
  if (first < 0x80) return 1;
  if (first < 0xc2 || left < 2 || !continues(text[at + 1])) return 0;
  if (first < 0xe0) return 2;
  const auto second = static_cast<unsigned char>(text[at + 1]);
  if (first < 0xf0) {
    if (left < 3 || !continues(text[at + 2])) return 0;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0)) return 0;
    return 3;
  }
  if (first > 0xf4 || left < 4 || !continues(text[at + 2]) || !continues(text[at + 3])) return 0;
  if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90)) return 0;
  return 4;
}

bool hexadecimal(std::string_view text, size_t at, uint32_t& value) {
  if (text.size() < at + 4) return false;
  value = 0;
  for (const char c : text.substr(at, 4)) {
    uint32_t nibble = 0;
    if (digit(c)) {
      nibble = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      nibble = static_cast<uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      nibble = static_cast<uint32_t>(c - 'A' + 10);
    } else {
      return false;
    }
    value = value << 4 | nibble;
  }
  return true;
}

char short_escape(char c) {
  switch (c) {
    case '"':
    case '\\':
    case '/':
      return c;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return '\0';
  }
}

// The character of the escape at `at` and how many bytes it has; 0 when it is wrong, half of a pair too.
size_t escape_size(std::string_view text, size_t at, uint32_t& character) {
  if (text.size() < at + 2) return 0;
  if (text[at + 1] != 'u') {
    character = static_cast<unsigned char>(short_escape(text[at + 1]));
    return character == 0 ? 0 : 2;
  }
  if (!hexadecimal(text, at + 2, character)) return 0;
  if (character < 0xd800 || character > 0xdfff) return 6;
  uint32_t low = 0;
  if (character > 0xdbff || text.substr(at + 6, 2) != "\\u" || !hexadecimal(text, at + 8, low)) return 0;
  if (low < 0xdc00 || low > 0xdfff) return 0;
  character = 0x10000 + ((character - 0xd800) << 10) + (low - 0xdc00);
  return 12;
}

void append_character(uint32_t character, std::string& text) {
  const auto push = [&text](uint32_t byte) { text.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  if (character < 0x80) {
    push(character);
  } else if (character < 0x800) {
    push(0xc0 | character >> 6);
    push(0x80 | (character & 0x3f));
  } else if (character < 0x10000) {
    push(0xe0 | character >> 12);
    push(0x80 | (character >> 6 & 0x3f));
    push(0x80 | (character & 0x3f));
  } else {
    push(0xf0 | character >> 18);
    push(0x80 | (character >> 12 & 0x3f));
    push(0x80 | (character >> 6 & 0x3f));
    push(0x80 | (character & 0x3f));
  }
}

void append_escape(char c, std::string& json) {
  static constexpr char kHexadecimal[] = "0123456789abcdef";
  json.push_back('\\');
  switch (c) {
    case '"':
    case '\\':
      json.push_back(c);
      return;
    case '\b':
      json.push_back('b');
      return;
    case '\f':
      json.push_back('f');
      return;
    case '\n':
      json.push_back('n');
      return;
    case '\r':
      json.push_back('r');
      return;
    case '\t':
      json.push_back('t');
      return;
    default:
      json.append("u00");
      json.push_back(kHexadecimal[static_cast<unsigned char>(c) >> 4]);
      json.push_back(kHexadecimal[static_cast<unsigned char>(c) & 15]);
  }
}

// Whether a number that no double holds is too great for one, and not too small. `literal` is right.
[[maybe_unused]] bool overflows(std::string_view literal) {
  const size_t e = literal.find_first_of("eE");
  int64_t exponent = 0;
  if (e != std::string_view::npos) {
    const bool negative = literal[e + 1] == '-';
    for (const char c : literal.substr(e + 1)) {
      if (digit(c) && exponent < INT64_C(1) << 40) exponent = exponent * 10 + (c - '0');
    }
    if (negative) exponent = -exponent;
  }
  const std::string_view digits = literal.substr(0, e);
  const size_t first = digits.find_first_of("123456789");
  if (first == std::string_view::npos) return false;
  const size_t point = digits.find('.') == std::string_view::npos ? digits.size() : digits.find('.');
  return static_cast<int64_t>(point) - static_cast<int64_t>(first) + exponent > 0;
}

// 0.DIGITS times ten to the power of `point`.
struct Decimal {
  char digits[20];
  size_t count;
  int point;
};

// Of a finite number above 0, as few digits as read back.
Decimal decimal_of(double value) {
  char text[32];
  size_t size = 0;
#if defined(__APPLE__)
  for (int precision = 0; precision <= 16; precision++) {
    size = static_cast<size_t>(snprintf_l(text, sizeof text, nullptr, "%.*e", precision, value));
    if (strtod_l(text, nullptr, nullptr) == value) break;
  }
#else
  size = static_cast<size_t>(std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr - text);
#endif
  Decimal decimal = {};
  const std::string_view written(text, size);
  const size_t e = written.find('e');
  for (const char c : written.substr(0, e)) {
    if (digit(c)) decimal.digits[decimal.count++] = c;
  }
  for (const char c : written.substr(e + 2)) decimal.point = decimal.point * 10 + (c - '0');
  if (written[e + 1] == '-') decimal.point = -decimal.point;
  decimal.point++;
  return decimal;
}

}  // namespace

bool JsonReader::fail(const char* what) {
  if (error_.empty()) {
    error_ = at_ >= text_.size() ? "it ends where there should be more" : what;
    error_.append(" at byte ").append(std::to_string(at_));
  }
  at_ = text_.size();
  return false;
}

void JsonReader::blank() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    at_++;
  }
}

JsonReader::Kind JsonReader::peek() {
  blank();
  if (at_ >= text_.size()) return Kind::Wrong;
  switch (text_[at_]) {
    case 'n':
      return Kind::Null;
    case 't':
      return Kind::True;
    case 'f':
      return Kind::False;
    case '"':
      return Kind::Text;
    case '[':
      return Kind::List;
    case '{':
      return Kind::Object;
    default:
      return text_[at_] == '-' || digit(text_[at_]) ? Kind::Number : Kind::Wrong;
  }
}

bool JsonReader::null() {
  blank();
  if (text_.substr(at_, 4) != "null") return fail("expected null");
  at_ += 4;
  return true;
}

bool JsonReader::boolean(bool& value) {
  blank();
  value = text_.substr(at_, 4) == "true";
  if (!value && text_.substr(at_, 5) != "false") return fail("expected true or false");
  at_ += value ? 4 : 5;
  return true;
}

bool JsonReader::number(std::string_view& literal) {
  blank();
  const size_t begin = at_;
  const auto digits = [this] {
    const size_t first = at_;
    while (at_ < text_.size() && digit(text_[at_])) at_++;
    return at_ != first;
  };
  if (at_ < text_.size() && text_[at_] == '-') at_++;
  if (at_ < text_.size() && text_[at_] == '0') {
    at_++;
  } else if (!digits()) {
    return fail("expected a number");
  }
  if (at_ < text_.size() && text_[at_] == '.') {
    at_++;
    if (!digits()) return fail("expected a digit");
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    at_++;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) at_++;
    if (!digits()) return fail("expected a digit");
  }
  literal = text_.substr(begin, at_ - begin);
  return true;
}

bool JsonReader::text(std::string_view& raw, bool& escaped) {
  blank();
  if (at_ >= text_.size() || text_[at_] != '"') return fail("expected a string");
  const size_t begin = ++at_;
  escaped = false;
  for (;;) {
    at_ = plain_end(text_, at_);
    if (at_ >= text_.size()) return fail("");
    const char c = text_[at_];
    if (c == '"') {
      raw = text_.substr(begin, at_ - begin);
      at_++;
      return true;
    }
    size_t size = 0;
    if (c == '\\') {
      uint32_t character = 0;
      escaped = true;
      size = escape_size(text_, at_, character);
      if (size == 0) return fail("a string has a wrong escape");
    } else {
      if (static_cast<unsigned char>(c) < 0x20) return fail("a string has a control character");
      size = sequence_size(text_, at_);
      if (size == 0) return fail("a string is not UTF-8");
    }
    at_ += size;
  }
}

bool JsonReader::begin_object() {
  blank();
  if (at_ >= text_.size() || text_[at_] != '{') return fail("expected an object");
  if (++depth_ > kDepth) return fail("it is nested deeper than 64");
  at_++;
  first_ = true;
  return true;
}

bool JsonReader::member(std::string_view& raw_name, bool& escaped) {
  if (failed()) return false;
  blank();
  if (at_ < text_.size() && text_[at_] == '}') {
    at_++;
    depth_--;
    first_ = false;
    return false;
  }
  if (!first_) {
    if (at_ >= text_.size() || text_[at_] != ',') return fail("expected , or }");
    at_++;
  }
  first_ = false;
  if (!text(raw_name, escaped)) return false;
  blank();
  if (at_ >= text_.size() || text_[at_] != ':') return fail("expected :");
  at_++;
  return true;
}

bool JsonReader::begin_list() {
  blank();
  if (at_ >= text_.size() || text_[at_] != '[') return fail("expected a list");
  if (++depth_ > kDepth) return fail("it is nested deeper than 64");
  at_++;
  first_ = true;
  return true;
}

bool JsonReader::item() {
  if (failed()) return false;
  blank();
  if (at_ < text_.size() && text_[at_] == ']') {
    at_++;
    depth_--;
    first_ = false;
    return false;
  }
  if (!first_) {
    if (at_ >= text_.size() || text_[at_] != ',') return fail("expected , or ]");
    at_++;
  }
  first_ = false;
  return true;
}

bool JsonReader::skip(std::string_view& raw) {
  const Kind kind = peek();
  const size_t begin = at_;
  std::string_view part;
  bool flag = false;
  bool good = false;
  switch (kind) {
    case Kind::Null:
      good = null();
      break;
    case Kind::True:
    case Kind::False:
      good = boolean(flag);
      break;
    case Kind::Number:
      good = number(part);
      break;
    case Kind::Text:
      good = text(part, flag);
      break;
    case Kind::List:
      if (begin_list()) {
        while (item() && skip(part)) {
        }
      }
      good = !failed();
      break;
    case Kind::Object:
      if (begin_object()) {
        while (member(part, flag) && skip(part)) {
        }
      }
      good = !failed();
      break;
    case Kind::Wrong:
      return fail("expected a value");
  }
  if (good) raw = text_.substr(begin, at_ - begin);
  return good;
}

bool JsonReader::end() {
  blank();
  return !failed() && (at_ == text_.size() || fail("there is more behind its end"));
}

bool integer_of(std::string_view literal, int64_t& value) {
  int64_t read = 0;
  const char* const end = literal.data() + literal.size();
  const auto result = std::from_chars(literal.data(), end, read);
  if (result.ec != std::errc() || result.ptr != end || read > kSafeInteger || read < -kSafeInteger) return false;
  value = read;
  return true;
}

bool float_of(std::string_view literal, double& value) {
  double read = 0;
#if defined(__APPLE__)
  const std::string copy(literal);  // libc++ reads no double by from_chars; without a locale it is that of C
  char* end = nullptr;
  read = strtod_l(copy.c_str(), &end, nullptr);
  if (copy.empty() || end != copy.c_str() + copy.size() || !std::isfinite(read)) return false;
#else
  const char* const end = literal.data() + literal.size();
  const auto result = std::from_chars(literal.data(), end, read);
  if (result.ec == std::errc::result_out_of_range) {
    if (overflows(literal)) return false;
    read = literal.front() == '-' ? -0.0 : 0.0;
  } else if (result.ec != std::errc() || result.ptr != end || !std::isfinite(read)) {
    return false;
  }
#endif
  value = read;
  return true;
}

void append_float(double value, std::string& json) {
  if (value < 0) json.push_back('-');
  if (value == 0) {
    json.push_back('0');
    return;
  }
  const Decimal decimal = decimal_of(std::fabs(value));
  const std::string_view digits(decimal.digits, decimal.count);
  const auto count = static_cast<int>(decimal.count);
  if (decimal.point > 21 || decimal.point <= -6) {
    json.push_back(digits.front());
    if (count > 1) json.append(".").append(digits.substr(1));
    json.append(decimal.point > 0 ? "e+" : "e-");
    append_integer(std::abs(decimal.point - 1), json);
  } else if (decimal.point <= 0) {
    json.append("0.").append(static_cast<size_t>(-decimal.point), '0').append(digits);
  } else if (decimal.point >= count) {
    json.append(digits).append(static_cast<size_t>(decimal.point - count), '0');
  } else {
    const auto point = static_cast<size_t>(decimal.point);
    json.append(digits.substr(0, point)).append(".").append(digits.substr(point));
  }
}

void append_integer(int64_t value, std::string& json) {
  char digits[24];
  const auto result = std::to_chars(digits, digits + sizeof digits, value);
  json.append(digits, static_cast<size_t>(result.ptr - digits));
}

void append_quoted(std::string_view text, std::string& json) {
  json.push_back('"');
  for (size_t at = 0; at < text.size();) {
    size_t end = plain_end(text, at);
    while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80) end = plain_end(text, end + 1);
    json.append(text, at, end - at);
    if (end < text.size()) append_escape(text[end++], json);
    at = end;
  }
  json.push_back('"');
}

void append_compact(std::string_view raw, std::string& json) {
  bool quoted = false;
  size_t begin = 0;
  for (size_t at = 0; at < raw.size(); at++) {
    const char c = raw[at];
    if (quoted) {
      if (c == '\\') at++;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
      json.append(raw, begin, at - begin);
      begin = at + 1;
    }
  }
  json.append(raw, begin, raw.size() - begin);
}

std::string unescaped(std::string_view text) {
  std::string plain_text;
  plain_text.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t backslash = std::min(text.find('\\', at), text.size());
    plain_text.append(text, at, backslash - at);
    at = backslash;
    if (at == text.size()) break;
    uint32_t character = 0;
    const size_t size = escape_size(text, at, character);
    if (size == 0) {
      plain_text.push_back(text[at++]);
    } else {
      append_character(character, plain_text);
      at += size;
    }
  }
  return plain_text;
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    at = plain_end(text, at);
    if (at == text.size()) break;
    const size_t size = sequence_size(text, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

}  // namespace tenon::core
