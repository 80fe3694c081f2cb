#ifndef TENON_CORE_OPEN_STORE_H
#define TENON_CORE_OPEN_STORE_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "store.h"

namespace tenon::core {

// Wakes one who waits for something to have happened since it last looked. [any]
class Bell {
 public:
  void ring();
  uint64_t rung() const { return count_.load(std::memory_order_seq_cst); }
  // Until it has been rung more than `seen` times, or `ms` are over.
  void wait(uint64_t seen, uint32_t ms);

 private:
  std::mutex mutex_;
  std::condition_variable rang_;
  std::atomic<uint64_t> count_{0};
  std::atomic<uint32_t> waiting_{0};
};

// Who has a share in an open store, and can be told to let go of it.
class StoreUser {
 public:
  virtual ~StoreUser() = default;
  // Let go as soon as nobody of its own is in the store any more, and `detach` then. [any]
  virtual void dismiss() = 0;
};

// One open store and those who use it: the front's side, and every generation that was given it. It is closed when all
// have let go.
class OpenStore {
 public:
  explicit OpenStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}
  OpenStore(const OpenStore&) = delete;
  OpenStore& operator=(const OpenStore&) = delete;

  // Only for an attached user, or before `close`.
  Store& store() { return *store_; }
  // As the store's, and rings the bell.
  bool write(std::vector<Write>& writes, std::vector<Written>& results, StoreFailure& failure);
  // Rings with every write that goes through here; the store's own (expiry) it does not know.
  Bell& bell() { return bell_; }

  // False when it is being closed.
  bool attach(std::shared_ptr<StoreUser> user);
  void detach(const StoreUser& user);
  // Dismiss all users, wait for them until `until` (monotonic, ns), and close the store. False when one has not let go:
  // the store stays open, and is closed with the last of them.
  bool close(uint64_t until);

 private:
  std::unique_ptr<Store> store_;
  Bell bell_;
  std::mutex mutex_;
  std::condition_variable alone_;
  std::vector<std::shared_ptr<StoreUser>> users_;
  bool closing_ = false;
};

}  // namespace tenon::core

#endif
