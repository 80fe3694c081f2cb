#include "uuid.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace tenon::core {

namespace {

constexpr unsigned kCounterBits = 12;

// 48 bits of time and 12 of a counter, above all that were given before: a clock that stands still or goes back, and a
// counter that runs over, borrow from the milliseconds to come (RFC 9562, 6.2, method 1).
uint64_t next_stamp(int64_t now_ms, unsigned random) {
  static std::atomic<uint64_t> last{0};
  // The upper half is room to count.
  const uint64_t fresh = static_cast<uint64_t>(now_ms) << kCounterBits | (random & 0x7ff);
  uint64_t before = last.load(std::memory_order_relaxed);
  uint64_t stamp = 0;
  do {
    stamp = std::max(fresh, before + 1);
  } while (!last.compare_exchange_weak(before, stamp, std::memory_order_relaxed));
  return stamp;
}

}  // namespace

bool append_uuid(int64_t now_ms, std::string& text) {
  static constexpr char kHexadecimal[] = "0123456789abcdef";
  unsigned char bytes[16];
  if (getentropy(bytes, sizeof bytes) != 0) return false;
  const uint64_t stamp = next_stamp(now_ms, static_cast<unsigned>(bytes[6]) << 8 | bytes[7]);
  for (unsigned i = 0; i < 6; i++) bytes[i] = static_cast<unsigned char>(stamp >> (52 - 8 * i) & 0xff);
  bytes[6] = static_cast<unsigned char>((stamp >> 8 & 0x0f) | 0x70);
  bytes[7] = static_cast<unsigned char>(stamp & 0xff);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  for (unsigned i = 0; i < sizeof bytes; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(kHexadecimal[bytes[i] >> 4]);
    text.push_back(kHexadecimal[bytes[i] & 15]);
  }
  return true;
}

}  // namespace tenon::core
