/*
 * Reads JSON: config, settings, bodies of requests.
 *
 *     const auto json = tenon::JsonView::parse(request.body());
 *     if (!json) return tenon::text("no JSON\n").status(400);
 *     const auto title = (*json)["title"].text();
 *     const int64_t limit = (*json)["limits"]["items"].integer().value_or(10);
 *
 * parse() checks all of the text once, strictly (RFC 8259, UTF-8, at most 64 levels); after that nothing is copied and
 * nothing is built: a view is a part of the text, and looking a member up reads the object up to its end. A view of
 * what is not there is absent, and so is what is looked up in it.
 */
#ifndef TENON_JSON_VIEW_HPP
#define TENON_JSON_VIEW_HPP

#include <clocale>

#include "tenon.hpp"

namespace tenon {

class JsonView {
 public:
  static constexpr int deepest = 64;

  /* Absent. */
  JsonView() = default;
  /* The value that `text` is, or nothing when it is no JSON. A view of `text`, which has to outlive it. */
  static std::optional<JsonView> parse(std::string_view text) {
    size_t at = skip(text, 0);
    const size_t begin = at;
    if (!check(text, at, 0)) return std::nullopt;
    const size_t end = at;
    if (skip(text, at) != text.size()) return std::nullopt;
    return JsonView(text.substr(begin, end - begin));
  }

  /* Whether there is a value at all. */
  explicit operator bool() const noexcept { return !raw_.empty(); }
  bool is_null() const noexcept { return first() == 'n'; }
  bool is_object() const noexcept { return first() == '{'; }
  bool is_array() const noexcept { return first() == '['; }
  bool is_text() const noexcept { return first() == '"'; }
  bool is_number() const noexcept { return first() == '-' || (first() >= '0' && first() <= '9'); }
  bool is_boolean() const noexcept { return first() == 't' || first() == 'f'; }
  /* The value as it stands in the text; empty when absent. */
  std::string_view json() const noexcept { return raw_; }

  /* The value, if it is one of that kind. Text is without its escapes; a lone surrogate in it becomes U+FFFD. */
  std::optional<std::string> text() const {
    if (!is_text()) return std::nullopt;
    return unquote(raw_);
  }
  std::optional<bool> boolean() const noexcept {
    if (!is_boolean()) return std::nullopt;
    return first() == 't';
  }
  /* A number without fraction and exponent that fits. */
  std::optional<int64_t> integer() const noexcept {
    if (!is_number()) return std::nullopt;
    const bool negative = first() == '-';
    uint64_t size = 0;
    const uint64_t limit = negative ? uint64_t{1} << 63 : (uint64_t{1} << 63) - 1;
    for (const char digit : raw_.substr(negative ? 1 : 0)) {
      if (digit < '0' || digit > '9') return std::nullopt;
      const auto value = static_cast<uint64_t>(digit - '0');
      if (size > (limit - value) / 10) return std::nullopt;
      size = size * 10 + value;
    }
    return negative ? static_cast<int64_t>(0 - size) : static_cast<int64_t>(size);
  }
  /* Any number; one too large is infinite. */
  std::optional<double> number() const {
    if (!is_number()) return std::nullopt;
    std::string digits(raw_);
    const char* const point = std::localeconv()->decimal_point; /* what strtod reads */
    const size_t dot = digits.find('.');
    if (dot != std::string::npos) digits.replace(dot, 1, point);
    return std::strtod(digits.c_str(), nullptr);
  }

  /* Member `name` of an object; of several of one name the last, as everywhere. */
  JsonView operator[](std::string_view name) const {
    JsonView found;
    members([&](std::string_view key, JsonView value) {
      const bool plain = key.find('\\') == std::string_view::npos;
      if (plain ? key.substr(1, key.size() - 2) == name : unquote(key) == name) found = value;
    });
    return found;
  }
  /* Element `index` of an array. */
  JsonView at(size_t index) const {
    JsonView found;
    elements([&](JsonView value) {
      if (index-- == 0) found = value;
    });
    return found;
  }
  /* Members of an object, elements of an array; 0 of anything else. */
  size_t size() const {
    size_t count = 0;
    members([&count](std::string_view, JsonView) { ++count; });
    elements([&count](JsonView) { ++count; });
    return count;
  }
  /* Calls `visit(JsonView)` for each element of an array. */
  template <typename Visit>
  void each(Visit&& visit) const {
    elements(visit);
  }
  /* Calls `visit(std::string_view name, JsonView value)` for each member of an object; `name` is there for the call. */
  template <typename Visit>
  void each_member(Visit&& visit) const {
    members([&visit](std::string_view key, JsonView value) {
      const std::string name = unquote(key);
      visit(std::string_view(name), value);
    });
  }

 private:
  explicit JsonView(std::string_view raw) noexcept : raw_(raw) {}

  char first() const noexcept { return raw_.empty() ? '\0' : raw_.front(); }

  static size_t skip(std::string_view text, size_t at) noexcept {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r')) ++at;
    return at;
  }
  static bool take(std::string_view text, size_t& at, char wanted) noexcept {
    if (at >= text.size() || text[at] != wanted) return false;
    ++at;
    return true;
  }

  /* One value at `at`, which is moved behind it. False: there is none. */
  static bool check(std::string_view text, size_t& at, int depth) noexcept {
    if (at >= text.size()) return false;
    switch (text[at]) {
      case '{':
      case '[':
        return check_container(text, at, depth);
      case '"':
        return check_text(text, at);
      case 't':
        return check_word(text, at, "true");
      case 'f':
        return check_word(text, at, "false");
      case 'n':
        return check_word(text, at, "null");
      default:
        return check_number(text, at);
    }
  }

  static bool check_container(std::string_view text, size_t& at, int depth) noexcept {
    if (depth >= deepest) return false;
    const bool object = text[at] == '{';
    const char close = object ? '}' : ']';
    at = skip(text, at + 1);
    if (take(text, at, close)) return true;
    for (;;) {
      if (object) {
        if (!check_text(text, at)) return false;
        at = skip(text, at);
        if (!take(text, at, ':')) return false;
        at = skip(text, at);
      }
      if (!check(text, at, depth + 1)) return false;
      at = skip(text, at);
      if (take(text, at, close)) return true;
      if (!take(text, at, ',')) return false;
      at = skip(text, at);
    }
  }

  static bool check_word(std::string_view text, size_t& at, std::string_view word) noexcept {
    if (text.substr(at, word.size()) != word) return false;
    at += word.size();
    return true;
  }

  static bool digits(std::string_view text, size_t& at) noexcept {
    const size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at > begin;
  }

  static bool check_number(std::string_view text, size_t& at) noexcept {
    take(text, at, '-');
    if (!take(text, at, '0') && !digits(text, at)) return false;
    if (take(text, at, '.') && !digits(text, at)) return false;
    if (!take(text, at, 'e') && !take(text, at, 'E')) return true;
    if (!take(text, at, '+')) take(text, at, '-');
    return digits(text, at);
  }

  static bool check_text(std::string_view text, size_t& at) noexcept {
    if (!take(text, at, '"')) return false;
    while (at < text.size()) {
      const auto byte = static_cast<unsigned char>(text[at]);
      if (byte == '"') return ++at, true;
      if (byte < 0x20) return false;
      if (byte == '\\') {
        if (!check_escape(text, at)) return false;
      } else {
        const size_t length = byte < 0x80 ? 1 : Json::sequence(text.substr(at));
        if (length == 0) return false;
        at += length;
      }
    }
    return false;
  }

  static bool check_escape(std::string_view text, size_t& at) noexcept {
    if (at + 1 >= text.size()) return false;
    const char kind = text[at + 1];
    at += 2;
    if (kind != 'u') return std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
    for (int count = 0; count < 4; ++count, ++at) {
      if (at >= text.size()) return false;
      const char digit = text[at];
      const char low = static_cast<char>(digit | 0x20);
      if (!(digit >= '0' && digit <= '9') && !(low >= 'a' && low <= 'f')) return false;
    }
    return true;
  }

  static unsigned unit(std::string_view text, size_t at) noexcept {
    unsigned code = 0;
    for (const char digit : text.substr(at, 4))
      code = code << 4 | static_cast<unsigned>(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    return code;
  }

  /* Text with its quotes, already checked, without them and without escapes. */
  static std::string unquote(std::string_view quoted) {
    const std::string_view inner = quoted.substr(1, quoted.size() - 2);
    if (inner.find('\\') == std::string_view::npos) return std::string(inner);
    std::string clean;
    for (size_t at = 0; at < inner.size();) {
      if (inner[at] != '\\' || inner[at + 1] != 'u') {
        const size_t length = inner[at] == '\\' ? 2 : 1;
        clean.append(inner, at, length);
        at += length;
        continue;
      }
      const unsigned code = unit(inner, at + 2);
      const bool high = code >= 0xD800 && code < 0xDC00;
      const bool low = code >= 0xDC00 && code < 0xE000;
      const bool pair = high && at + 11 < inner.size() && inner[at + 6] == '\\' && inner[at + 7] == 'u' &&
                        unit(inner, at + 8) >= 0xDC00 && unit(inner, at + 8) < 0xE000;
      if ((high && !pair) || low) {
        clean.append("\xEF\xBF\xBD");
      } else {
        clean.append(inner, at, pair ? 12 : 6);
      }
      at += pair ? 12 : 6;
    }
    return detail::unescape(clean);
  }

  template <typename Visit>
  void members(Visit&& visit) const {
    if (!is_object()) return;
    size_t at = skip(raw_, 1);
    while (raw_[at] == '"') {
      const size_t name = at;
      check_text(raw_, at);
      const std::string_view key = raw_.substr(name, at - name);
      at = skip(raw_, skip(raw_, at) + 1);
      const size_t value = at;
      check(raw_, at, 0);
      visit(key, JsonView(raw_.substr(value, at - value)));
      at = skip(raw_, skip(raw_, at) + 1);
      if (at >= raw_.size()) return;
    }
  }

  template <typename Visit>
  void elements(Visit&& visit) const {
    if (!is_array()) return;
    size_t at = skip(raw_, 1);
    while (at < raw_.size() && raw_[at] != ']') {
      const size_t value = at;
      check(raw_, at, 0);
      visit(JsonView(raw_.substr(value, at - value)));
      at = skip(raw_, at);
      if (raw_[at] == ']') return;
      at = skip(raw_, at + 1);
    }
  }

  std::string_view raw_;
};

}  // namespace tenon

#endif
