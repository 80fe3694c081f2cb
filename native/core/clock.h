#ifndef TENON_CORE_CLOCK_H
#define TENON_CORE_CLOCK_H

#include <time.h>

#include <cstdint>

namespace tenon::core {

// Nanoseconds of the monotonic clock; never 0.
inline uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(time.tv_nsec);
}

inline uint64_t milliseconds(uint64_t count) { return count * 1'000'000u; }

}  // namespace tenon::core

#endif
