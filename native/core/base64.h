#ifndef TENON_CORE_BASE64_H
#define TENON_CORE_BASE64_H

#include <string>
#include <string_view>

namespace tenon::core {

// The last two characters of the alphabet: "+/" or "-_" (RFC 4648).
enum class Base64 { Standard, Url };

// Append `bytes` as base64 without padding.
void append_base64(std::string_view bytes, Base64 alphabet, std::string& text);

// The bytes of such a text; false for any other than `append_base64` writes, padding and left-over bits included.
bool read_base64(std::string_view text, Base64 alphabet, std::string& bytes);

}  // namespace tenon::core

#endif
