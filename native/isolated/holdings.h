#ifndef TENON_ISOLATED_HOLDINGS_H
#define TENON_ISOLATED_HOLDINGS_H

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace tenon::isolated {

/*
 * What a runner holds of the host: cursors, batches, feeds, tables, records, timers, subscriptions, requests to others.
 * It knows them by numbers of this table and never by an address. Each comes with what gives it back, which is run
 * once: when the runner gives it up, or after its end.
 */
class Holdings {
 public:
  using Kind = uint32_t;
  struct Holding {
    Kind kind;
    std::shared_ptr<void> what;
  };

  // [any]
  uint64_t add(Kind kind, std::shared_ptr<void> what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_.emplace(++last_, Holding{kind, std::move(what)});
    return last_;
  }
  // Null unless `number` is one of `kind`. Whoever has the result may use it, also when it is given up meanwhile. [any]
  template <typename What>
  std::shared_ptr<What> find(Kind kind, uint64_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = held_.find(number);
    if (found == held_.end() || found->second.kind != kind) return nullptr;
    return std::static_pointer_cast<What>(found->second.what);
  }
  // False unless it is one of `kind`. What gives it back runs in its destructor, outside of the mutex. [any]
  bool drop(Kind kind, uint64_t number) {
    std::shared_ptr<void> what;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = held_.find(number);
      if (found == held_.end() || found->second.kind != kind) return false;
      what = std::move(found->second.what);
      held_.erase(found);
    }
    return true;
  }
  // Everything. [keeper]
  void drop_all() {
    std::unordered_map<uint64_t, Holding> all;
    const std::lock_guard<std::mutex> lock(mutex_);
    all.swap(held_);
  }
  size_t size() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return held_.size();
  }

 private:
  std::mutex mutex_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, Holding> held_;
};

}  // namespace tenon::isolated

#endif
