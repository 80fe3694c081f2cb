#include "open_store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "clock.h"

namespace tenon::core {

// Count first, then look who waits; `wait` says so first, then looks at the count: one of the two sees the other.
void Bell::ring() {
  count_.fetch_add(1, std::memory_order_seq_cst);
  if (waiting_.load(std::memory_order_seq_cst) == 0) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  rang_.notify_all();
}

void Bell::wait(uint64_t seen, uint32_t ms) {
  std::unique_lock<std::mutex> lock(mutex_);
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  rang_.wait_for(lock, std::chrono::milliseconds(ms), [this, seen] { return rung() != seen; });
  waiting_.fetch_sub(1, std::memory_order_seq_cst);
}

bool OpenStore::write(std::vector<Write>& writes, std::vector<Written>& results, StoreFailure& failure) {
  const bool done = store_->write(writes, results, failure);
  if (done) bell_.ring();
  return done;
}

bool OpenStore::attach(std::shared_ptr<StoreUser> user) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closing_) return false;
  users_.push_back(std::move(user));
  return true;
}

void OpenStore::detach(const StoreUser& user) {
  std::shared_ptr<StoreUser> kept;  // until the mutex is free: it may be the last of it
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = std::find_if(users_.begin(), users_.end(),
                                  [&user](const std::shared_ptr<StoreUser>& one) { return one.get() == &user; });
  if (found == users_.end()) return;
  kept = std::move(*found);
  users_.erase(found);
  if (users_.empty()) alone_.notify_all();
}

bool OpenStore::close(uint64_t until) {
  std::vector<std::shared_ptr<StoreUser>> present;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
    present = users_;
  }
  for (const std::shared_ptr<StoreUser>& user : present) user->dismiss();
  {
    std::unique_lock<std::mutex> lock(mutex_);
    const uint64_t time = now();
    const bool alone = alone_.wait_for(lock, std::chrono::nanoseconds(until > time ? until - time : 0),
                                       [this] { return users_.empty(); });
    if (!alone) return false;
  }
  store_.reset();
  return true;
}

}  // namespace tenon::core
