#ifndef TENON_CORE_CALL_COUNTERS_H
#define TENON_CORE_CALL_COUNTERS_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tenon::core {

// How the calls of one generation ended, and how long they took. Counted and read by the front's thread alone.
class CallCounters {
 public:
  // An inline call is too short to pay for two looks at the clock: one of so many is timed.
  static constexpr uint64_t kInlinePerSample = 64;

  bool is_sample_due() const { return calls_ % kInlinePerSample == 0; }
  void count(bool fault) {
    calls_++;
    if (fault) faults_++;
  }
  void add_sample(uint64_t nanoseconds);

  uint64_t calls() const { return calls_; }
  uint64_t faults() const { return faults_; }
  uint64_t samples() const { return samples_; }
  // The time that `share` (0 to 1) of the samples did not exceed, in ns, to 1/16 of it; 0 without samples.
  double quantile(double share) const;

 private:
  // Eight buckets for every doubling; the first eight are those of 0 to 7 ns.
  static constexpr unsigned kBitsPerDoubling = 3;
  static constexpr size_t kBuckets = (64 - kBitsPerDoubling + 1) << kBitsPerDoubling;

  uint64_t calls_ = 0;
  uint64_t faults_ = 0;
  uint64_t samples_ = 0;
  std::array<uint32_t, kBuckets> buckets_ = {};
};

// Requests of other plugins that one generation had a part in as an extension, and those of them that it failed. [any]
struct VisitCounters {
  std::atomic<uint64_t> calls{0};
  std::atomic<uint64_t> faults{0};
};

}  // namespace tenon::core

#endif
