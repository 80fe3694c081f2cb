#include "date.h"

#include <algorithm>

#include "json.h"

namespace tenon::core {

namespace {

constexpr int64_t kDay = 86400000;

// Days since 1970-01-01 and back, of the proleptic Gregorian calendar: the algorithms of Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms".
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

struct Civil {
  int64_t year;
  int64_t month;
  int64_t day;
};

Civil civil_from_days(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted = (5 * day_of_year + 2) / 153;
  const int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day_of_year - (153 * shifted + 2) / 5 + 1};
}

int64_t days_in(int64_t year, int64_t month) {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

// Takes what is asked for from the front of the text.
class Digits {
 public:
  explicit Digits(std::string_view text) : text_(text) {}

  bool number(size_t count, int64_t& value) {
    if (text_.size() < count) return false;
    value = 0;
    for (size_t i = 0; i < count; i++) {
      if (!digit(text_[i])) return false;
      value = value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(count);
    return true;
  }

  bool sign(char wanted) {
    if (text_.empty() || text_.front() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }

  bool fraction(int64_t& ms) {
    int64_t scale = 100;
    size_t count = 0;
    for (; count < text_.size() && digit(text_[count]); count++) {
      ms += (text_[count] - '0') * scale;
      scale /= 10;
    }
    text_.remove_prefix(count);
    return count != 0;
  }

  bool offset(int64_t& minutes) {
    if (sign('Z')) return true;
    const bool east = sign('+');
    if (!east && !sign('-')) return false;
    int64_t hour = 0;
    int64_t minute = 0;
    if (!number(2, hour) || !sign(':') || !number(2, minute) || hour > 23 || minute > 59) return false;
    minutes = (hour * 60 + minute) * (east ? 1 : -1);
    return true;
  }

  bool end() const { return text_.empty(); }

 private:
  static bool digit(char c) { return c >= '0' && c <= '9'; }
  std::string_view text_;
};

bool is_date(int64_t ms) { return ms >= kFirstDate && ms <= kLastDate; }

void put_digits(char* at, int count, int64_t value) {
  for (int i = count - 1; i >= 0; i--) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace

bool parse_iso_date(std::string_view text, int64_t& ms) {
  Digits digits(text);
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  if (!digits.number(4, year) || !digits.sign('-') || !digits.number(2, month) || !digits.sign('-')) return false;
  if (!digits.number(2, day) || month < 1 || month > 12 || day < 1 || day > days_in(year, month)) return false;
  int64_t time = days_from_civil(year, month, day) * kDay;
  if (!digits.end()) {
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    int64_t fraction = 0;
    int64_t offset = 0;
    if (!digits.sign('T') || !digits.number(2, hour) || !digits.sign(':') || !digits.number(2, minute)) return false;
    if (digits.sign(':')) {
      if (!digits.number(2, second)) return false;
      if (digits.sign('.') && !digits.fraction(fraction)) return false;
    }
    if (!digits.offset(offset) || !digits.end() || hour > 23 || minute > 59 || second > 59) return false;
    time += ((hour * 60 + minute - offset) * 60 + second) * 1000 + fraction;
  }
  if (!is_date(time)) return false;
  ms = time;
  return true;
}

bool parse_date(std::string_view text, int64_t& ms) {
  const std::string_view digits = text.substr(!text.empty() && text.front() == '-' ? 1 : 0);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return parse_iso_date(text, ms);
  }
  int64_t time = 0;
  if (!integer_of(text, time) || !is_date(time)) return false;
  ms = time;
  return true;
}

void append_date(int64_t ms, std::string& text) {
  ms = std::clamp(ms, kFirstDate, kLastDate);
  int64_t days = ms / kDay;
  int64_t rest = ms % kDay;
  if (rest < 0) {
    rest += kDay;
    days--;
  }
  const Civil date = civil_from_days(days);
  char form[] = "0000-00-00T00:00:00.000Z";
  put_digits(form, 4, date.year);
  put_digits(form + 5, 2, date.month);
  put_digits(form + 8, 2, date.day);
  put_digits(form + 11, 2, rest / 3600000);
  put_digits(form + 14, 2, rest / 60000 % 60);
  put_digits(form + 17, 2, rest / 1000 % 60);
  put_digits(form + 20, 3, rest % 1000);
  text.append(form, sizeof form - 1);
}

}  // namespace tenon::core
