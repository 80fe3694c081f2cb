#ifndef TENON_ISOLATED_STEP_PATIENCE_H
#define TENON_ISOLATED_STEP_PATIENCE_H

#include <cstdint>

#include "clock.h"
#include "wire/lane.h"

namespace tenon::isolated {

// For so long from now.
class StepPatience final : public wire::Patience {
 public:
  explicit StepPatience(uint32_t ms) : end_(core::now() + core::milliseconds(ms)) {}
  int wait_ms() override {
    const uint64_t time = core::now();
    return time >= end_ ? 0 : static_cast<int>((end_ - time) / 1'000'000 + 1);
  }

 private:
  const uint64_t end_;
};

}  // namespace tenon::isolated

#endif
