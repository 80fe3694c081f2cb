#include "call_counters.h"

#include <cmath>

namespace tenon::core {

void CallCounters::add_sample(uint64_t nanoseconds) {
  constexpr uint64_t kFirst = 1u << kBitsPerDoubling;
  size_t bucket = static_cast<size_t>(nanoseconds);
  if (nanoseconds >= kFirst) {
    const unsigned shift = 63u - static_cast<unsigned>(__builtin_clzll(nanoseconds)) - kBitsPerDoubling;
    bucket = (static_cast<size_t>(shift) << kBitsPerDoubling) + static_cast<size_t>(nanoseconds >> shift);
  }
  buckets_[bucket]++;
  samples_++;
}

double CallCounters::quantile(double share) const {
  if (samples_ == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(samples_)));
  size_t bucket = 0;
  for (uint64_t seen = buckets_[0]; seen < wanted; seen += buckets_[bucket]) bucket++;
  constexpr size_t kFirst = size_t{1} << kBitsPerDoubling;
  if (bucket < kFirst) return static_cast<double>(bucket);
  // The middle of its bucket.
  const auto shift = static_cast<int>((bucket >> kBitsPerDoubling) - 1);
  return std::ldexp(static_cast<double>(bucket - (static_cast<size_t>(shift) << kBitsPerDoubling)) + 0.5, shift);
}

}  // namespace tenon::core
