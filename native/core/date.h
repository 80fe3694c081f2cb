#ifndef TENON_CORE_DATE_H
#define TENON_CORE_DATE_H

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon::core {

// The first and the last millisecond of the years 0000 to 9999: what a date may be.
constexpr int64_t kFirstDate = -62167219200000;
constexpr int64_t kLastDate = 253402300799999;

// "2026-01-31" (midnight UTC), "2026-01-31T12:00Z", with seconds, fractions (cut to milliseconds) and offsets. A time
// without an offset is refused: whose time it is, nobody knows.
bool parse_iso_date(std::string_view text, int64_t& ms);
// The same, or plain milliseconds in digits.
bool parse_date(std::string_view text, int64_t& ms);
// Append "2026-01-31T12:00:00.000Z"; beyond the dates above the nearest one.
void append_date(int64_t ms, std::string& text);

}  // namespace tenon::core

#endif
