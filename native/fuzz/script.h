#ifndef TENON_FUZZ_SCRIPT_H
#define TENON_FUZZ_SCRIPT_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "wire/message.h"

namespace tenon::fuzz {

// The bytes of one run of a fuzzer, taken one after the other; zeros once there are none.
class Script {
 public:
  Script(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  bool done() const { return at_ == end_; }
  template <typename Number>
  Number number() {
    Number number = 0;
    for (size_t index = 0; index < sizeof number; index++) {
      number = static_cast<Number>(number | static_cast<Number>(static_cast<uint64_t>(byte()) << (8 * index)));
    }
    return number;
  }
  uint8_t byte() { return done() ? 0 : *at_++; }
  std::string_view bytes(size_t most) {
    const auto left = static_cast<size_t>(end_ - at_);
    const size_t size = most < left ? most : left;
    const std::string_view taken(reinterpret_cast<const char*>(at_), size);
    at_ += size;
    return taken;
  }

  // A message made of values as a Writer puts them: what only random bytes would seldom be.
  std::string message() {
    wire::Writer writer;
    for (int count = 0; count < 48 && !done(); count++) {
      switch (byte() % 10) {
        case 0:
          return writer.take();
        case 1:
          writer.put<uint8_t>(byte());
          break;
        case 2:
          writer.put((byte() & 1) != 0);
          break;
        case 3:
          writer.put<uint32_t>(byte());
          break;
        case 4:
          writer.put<uint32_t>(number<uint32_t>());
          break;
        case 5:
          writer.put<uint64_t>(byte());
          break;
        case 6:
          // As the tokens of requests are.
          writer.put<uint64_t>(static_cast<uint64_t>(byte() % 4) << 40 | byte());
          break;
        case 7:
          writer.text(bytes(byte()));
          break;
        case 8:
          writer.put<uint64_t>(number<uint64_t>());
          break;
        default:
          writer.raw(bytes(byte()));
          break;
      }
    }
    return writer.take();
  }

 private:
  const uint8_t* at_;
  const uint8_t* const end_;
};

}  // namespace tenon::fuzz

#endif
