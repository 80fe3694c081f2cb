#ifndef TENON_ISOLATED_HOLDINGS_H
#define TENON_ISOLATED_HOLDINGS_H

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

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
    std::function<void()> wake;
  };

  // `wake` ends a wait of the host with it. [any]
  uint64_t add(Kind kind, std::shared_ptr<void> what, std::function<void()> wake = {}) {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_.emplace(++last_, Holding{kind, std::move(what), std::move(wake)});
    counts_[kind]++;
    return last_;
  }
  // Unless there are `most` of its kind, or more: 0 then. [any]
  uint64_t add_below(size_t most, Kind kind, std::shared_ptr<void> what, std::function<void()> wake = {}) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (counts_[kind] >= most) return 0;
    held_.emplace(++last_, Holding{kind, std::move(what), std::move(wake)});
    counts_[kind]++;
    return last_;
  }
  // The same number again for what is there already, and never given up: of one kind only. [any]
  uint64_t add_once(Kind kind, std::shared_ptr<void> what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    uint64_t& number = once_[what.get()];
    if (number != 0) return number;
    number = ++last_;
    held_.emplace(number, Holding{kind, std::move(what), {}});
    return number;
  }
  // How many of a kind there are. [any]
  size_t count(Kind kind) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = counts_.find(kind);
    return found == counts_.end() ? 0 : found->second;
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
      counts_[kind]--;
    }
    return true;
  }
  // The runner is gone: nobody waits for its sake any more. [keeper]
  void wake_all() {
    std::vector<Holding> waited;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [number, holding] : held_) {
        if (holding.wake) waited.push_back(holding);
      }
    }
    for (const Holding& holding : waited) holding.wake();
  }
  // Everything. [keeper]
  void drop_all() {
    std::unordered_map<uint64_t, Holding> all;
    const std::lock_guard<std::mutex> lock(mutex_);
    all.swap(held_);
    counts_.clear();
    once_.clear();
  }
  size_t size() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return held_.size();
  }

 private:
  std::mutex mutex_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, Holding> held_;
  std::unordered_map<Kind, size_t> counts_;
  std::unordered_map<const void*, uint64_t> once_;
};

}  // namespace tenon::isolated

#endif
