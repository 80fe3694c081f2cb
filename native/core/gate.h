#ifndef TENON_CORE_GATE_H
#define TENON_CORE_GATE_H

#include <pthread.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace tenon::core {

// Lets any number through until it is shut, at the price of one addition for each way: who is inside is counted in
// several places, so that threads do not share a cache line.
class Gate {
 public:
  // Waits while it is shut.
  void enter() {
    while (!try_enter()) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return !shut_.load(); });
    }
  }
  bool try_enter() {
    std::atomic<uint32_t>& inside = place().inside;
    inside.fetch_add(1);
    if (!shut_.load()) return true;
    inside.fetch_sub(1);
    wake();
    return false;
  }
  void leave() {
    // By whichever thread: places are added up.
    place().inside.fetch_sub(1);
    if (shut_.load()) wake();
  }

  // Keep everybody out. False when somebody was still inside after `patience_ms`; it is open again then.
  bool shut(uint32_t patience_ms) {
    std::unique_lock<std::mutex> lock(mutex_);
    shut_.store(true);
    const bool empty = changed_.wait_for(lock, std::chrono::milliseconds(patience_ms), [this] { return count() == 0; });
    if (!empty) shut_.store(false);
    if (!empty) changed_.notify_all();
    return empty;
  }
  void open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    shut_.store(false);
    changed_.notify_all();
  }

 private:
  static constexpr size_t kPlaces = 16;
  struct alignas(64) Place {
    std::atomic<uint32_t> inside{0};
  };

  Place& place() {
    const uint64_t thread = (uint64_t)(uintptr_t)pthread_self();
    return places_[(thread * UINT64_C(0x9e3779b97f4a7c15)) >> 60];
  }
  // Modulo 2^32: one that left by another place than it came in counts there as -1.
  uint32_t count() const {
    uint32_t sum = 0;
    for (const Place& one : places_) sum += one.inside.load();
    return sum;
  }
  void wake() {
    const std::lock_guard<std::mutex> lock(mutex_);
    changed_.notify_all();
  }

  std::array<Place, kPlaces> places_;
  std::atomic<bool> shut_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
};

class Passage {
 public:
  explicit Passage(Gate& gate) : gate_(gate) { gate_.enter(); }
  ~Passage() { gate_.leave(); }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

 private:
  Gate& gate_;
};

}  // namespace tenon::core

#endif
