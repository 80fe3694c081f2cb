#ifndef TENON_CORE_JSON_H
#define TENON_CORE_JSON_H

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon::core {

// Reads JSON text (RFC 8259, UTF-8 checked, nothing else taken) from front to back, without building a tree. Every
// function that returns bool is false when the text is not what was asked for; `error()` says why and where then.
class JsonReader {
 public:
  static constexpr size_t kDepth = 64;
  enum class Kind : uint8_t { Null, True, False, Number, Text, List, Object, Wrong };

  explicit JsonReader(std::string_view text) : text_(text) {}

  // What comes next, white space skipped.
  Kind peek();
  bool null();
  bool boolean(bool& value);
  // The digits as they stand.
  bool number(std::string_view& literal);
  // What stands between the quotes, and whether there are escapes in it.
  bool text(std::string_view& raw, bool& escaped);
  // `{`; then `member` until it is false without an error; each value must be read or skipped.
  bool begin_object();
  bool member(std::string_view& raw_name, bool& escaped);
  // `[`; then `item` until it is false without an error.
  bool begin_list();
  bool item();
  // Any value; `raw` is its text, with its inner white space.
  bool skip(std::string_view& raw);
  // Nothing but white space is left.
  bool end();

  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }
  size_t offset() const { return at_; }

 private:
  bool fail(const char* what);
  void blank();
  std::string_view text_;
  size_t at_ = 0;
  size_t depth_ = 0;
  bool first_ = false;
  std::string error_;
};

// The greatest Int: what JavaScript still reads exactly.
constexpr int64_t kSafeInteger = 9007199254740991;

// Numbers of literals as JsonReader::number gives them. integer_of is false for a fraction, an exponent, or beyond
// ±kSafeInteger; float_of for what overflows.
bool integer_of(std::string_view literal, int64_t& value);
bool float_of(std::string_view literal, double& value);
// Append a finite number as JavaScript writes it (RFC 8785): as few digits as read back, -0 as 0.
void append_float(double value, std::string& json);
void append_integer(int64_t value, std::string& json);

// Append `text` (UTF-8) in quotes, with the escapes JSON needs and no others.
void append_quoted(std::string_view text, std::string& json);
// Append `raw`, JSON that is known to be right, without white space between its tokens.
void append_compact(std::string_view raw, std::string& json);
// A JSON text without its escapes (`text` is what stands between the quotes); a wrong escape stays as it is.
std::string unescaped(std::string_view text);
bool is_utf8(std::string_view text);

}  // namespace tenon::core

#endif
