#include "uuid.h"

#include <sys/random.h>
#include <unistd.h>

namespace tenon::core {

bool append_uuid(int64_t now_ms, std::string& text) {
  static constexpr char kHexadecimal[] = "0123456789abcdef";
  unsigned char bytes[16];
  if (getentropy(bytes, sizeof bytes) != 0) return false;
  for (unsigned i = 0; i < 6; i++) bytes[i] = static_cast<unsigned char>(now_ms >> (40 - 8 * i) & 0xff);
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x70);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  for (unsigned i = 0; i < sizeof bytes; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(kHexadecimal[bytes[i] >> 4]);
    text.push_back(kHexadecimal[bytes[i] & 15]);
  }
  return true;
}

}  // namespace tenon::core
