#ifndef TENON_ISOLATED_LINE_PACE_H
#define TENON_ISOLATED_LINE_PACE_H

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>

namespace tenon::isolated {

// How fast lines of one process may come into the log of the host, which all that serve there pay for. [any]
class LinePace {
 public:
  static constexpr uint64_t kAtOnce = 10'000;
  static constexpr uint64_t kEachNs = 1'000'000;  // a thousand in a second, for long

  struct Turn {
    bool may = false;
    uint64_t left_out = 0;  // with `may`: how many were not, since the last that was
  };
  // For a line that comes at `time`, ns.
  Turn take(uint64_t time) {
    const std::lock_guard<std::mutex> lock(mutex_);
    constexpr uint64_t kAhead = kAtOnce * kEachNs;
    next_ = std::max(next_, time < kAhead ? 0 : time - kAhead);
    if (next_ + kEachNs > time) {
      left_out_++;
      return {};
    }
    next_ += kEachNs;
    return {true, std::exchange(left_out_, 0)};
  }
  // What has been left out and not been told of.
  uint64_t take_left_out() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(left_out_, 0);
  }

 private:
  std::mutex mutex_;
  uint64_t next_ = 0;  // when there is room for another line
  uint64_t left_out_ = 0;
};

}  // namespace tenon::isolated

#endif
