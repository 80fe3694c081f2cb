#ifndef TENON_CORE_LEASE_H
#define TENON_CORE_LEASE_H

#include <atomic>
#include <cstdint>

namespace tenon::core {

class Generation;

/*
 * The counted right to call into one generation. Its memory outlives the generation and is used again for later ones of
 * the same plugin, so that a caller that comes too late counts up, sees that it is late, and counts down again, without
 * touching anything that is gone.
 */
struct Lease {
  std::atomic<int64_t> count{0};
  std::atomic<bool> watched{false};  // somebody waits for zero
  Generation* generation = nullptr;
};

}  // namespace tenon::core

#endif
