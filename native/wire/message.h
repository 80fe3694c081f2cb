#ifndef TENON_WIRE_MESSAGE_H
#define TENON_WIRE_MESSAGE_H

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tenon/types.h"

namespace tenon::wire {

// What a message carries, one value after the other in the byte order of the machine: numbers as they are, texts with
// their size (uint64) before them.
class Writer {
 public:
  Writer() = default;
  // Into the memory of `kept`, whose bytes are forgotten.
  explicit Writer(std::string&& kept) : bytes_(std::move(kept)) { clear(); }

  template <typename Number>
  Writer& put(Number number) {
    static_assert(std::is_arithmetic_v<Number>, "numbers only");
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
    return *this;
  }
  Writer& put(bool flag) { return put<uint8_t>(flag ? 1 : 0); }
  Writer& text(std::string_view text) {
    put<uint64_t>(text.size());
    bytes_.append(text);
    return *this;
  }
  Writer& text(tenon_bytes_t text) {
    return this->text(std::string_view(text.data, text.data == nullptr ? 0 : text.size));
  }

  // Bytes of another message as they are.
  Writer& raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }

  std::string_view bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }
  bool empty() const { return bytes_.empty(); }
  // Keeps memory for the next message, but not what one large one has taken.
  void clear() {
    if (bytes_.capacity() > kKeptBytes) bytes_ = std::string();
    bytes_.clear();
  }

 private:
  static constexpr size_t kKeptBytes = 64 * 1024;
  std::string bytes_;
};

// Reads what a Writer has written. What is not there reads as zero, and `whole` is false from then on: whoever reads
// what may be hostile looks at `ended` once, at the end, and before he acts.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename Number>
  Number get() {
    static_assert(std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>, "numbers only; flag() for a bool");
    Number number = 0;
    if (rest_.size() < sizeof number) return spoil(), number;
    std::memcpy(&number, rest_.data(), sizeof number);
    rest_.remove_prefix(sizeof number);
    return number;
  }
  bool flag() {
    const auto value = get<uint8_t>();
    if (value > 1) spoil();
    return value == 1;
  }
  // A view of what is read.
  std::string_view text() {
    const auto size = get<uint64_t>();
    if (size > rest_.size()) return spoil(), std::string_view();
    const std::string_view taken = rest_.substr(0, static_cast<size_t>(size));
    rest_.remove_prefix(static_cast<size_t>(size));
    return taken;
  }
  tenon_bytes_t bytes() {
    const std::string_view taken = text();
    return {taken.data(), taken.size()};
  }
  // How many entries follow, of at least `entry_bytes` each: never more than there are bytes for.
  uint32_t count(size_t entry_bytes) {
    const auto number = get<uint32_t>();
    if (number > rest_.size() / (entry_bytes == 0 ? 1 : entry_bytes)) return spoil(), 0;
    return number;
  }

  bool whole() const { return whole_; }
  // Whether all of it has been read and nothing was missing.
  bool ended() const { return whole_ && rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  void spoil() {
    whole_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool whole_ = true;
};

}  // namespace tenon::wire

#endif
