#include "base64.h"

#include <cstdint>

namespace tenon::core {

namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

char digit(uint32_t value, Base64 alphabet) {
  if (value < kDigits.size()) return kDigits[value];
  if (alphabet == Base64::Url) return value == 62 ? '-' : '_';
  return value == 62 ? '+' : '/';
}

// 64 for a character that is none.
uint32_t value_of(char character, Base64 alphabet) {
  const size_t found = kDigits.find(character);
  if (found != std::string_view::npos) return static_cast<uint32_t>(found);
  if (character == digit(62, alphabet)) return 62;
  return character == digit(63, alphabet) ? 63 : 64;
}

}  // namespace

void append_base64(std::string_view bytes, Base64 alphabet, std::string& text) {
  uint32_t held = 0;
  unsigned bits = 0;
  for (const char byte : bytes) {
    held = held << 8 | static_cast<unsigned char>(byte);
    bits += 8;
    for (; bits >= 6; bits -= 6) text.push_back(digit(held >> (bits - 6) & 63, alphabet));
  }
  if (bits > 0) text.push_back(digit(held << (6 - bits) & 63, alphabet));
}

bool read_base64(std::string_view text, Base64 alphabet, std::string& bytes) {
  bytes.clear();
  uint32_t held = 0;
  unsigned bits = 0;
  for (const char character : text) {
    const uint32_t value = value_of(character, alphabet);
    if (value == 64) return false;
    held = held << 6 | value;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<char>(held >> bits & 0xff));
  }
  return bits < 6 && (held & ((1u << bits) - 1)) == 0;
}

}  // namespace tenon::core
