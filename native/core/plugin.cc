#include "plugin.h"

#include <algorithm>
#include <chrono>

#include "front.h"
#include "generation.h"

namespace tenon::core {

void Plugin::open(uint32_t queue_limit) {
  queue_limit_ = queue_limit;
  is_open = true;
}

int32_t Plugin::log_level() const {
  const int32_t own = log_level_.load(std::memory_order_relaxed);
  return own != 0 ? own : front_.log_level();
}

// Count first, then look again: `hold` and `swap` write first, then look at the count. One of the two sides sees the
// other, so nobody is in a generation that was swapped away, or behind a held gate, without being counted.
Plugin::Entry Plugin::enter(Lease*& lease) {
  for (;;) {
    if (held_.load(std::memory_order_seq_cst)) return Entry::Held;
    Lease* const live = live_.load(std::memory_order_seq_cst);
    if (live == nullptr) return Entry::Stopped;
    live->count.fetch_add(1, std::memory_order_seq_cst);
    if (live_.load(std::memory_order_seq_cst) == live && !held_.load(std::memory_order_seq_cst)) {
      lease = live;
      return Entry::Entered;
    }
    leave(*live);
  }
}

void Plugin::leave(Lease& lease) {
  if (lease.count.fetch_sub(1, std::memory_order_seq_cst) == 1 && lease.watched.load(std::memory_order_seq_cst)) {
    front_.notice_idle();
  }
}

bool Plugin::park(Call& call, bool& opened) {
  const std::lock_guard<std::mutex> lock(gate_);
  opened = !held_.load(std::memory_order_seq_cst);
  if (opened || waiting_.size() >= queue_limit_) return false;
  waiting_.push_back(&call);
  return true;
}

bool Plugin::unpark(Call& call) {
  const std::lock_guard<std::mutex> lock(gate_);
  const auto found = std::find(waiting_.begin(), waiting_.end(), &call);
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  return true;
}

void Plugin::swap(Lease* lease) {
  if (lease != nullptr) {
    lease->generation->serve();
    auto challenges = std::make_shared<std::vector<std::string>>();
    for (const Provider& provider : lease->generation->offers().providers) challenges->push_back(provider.challenge);
    const std::lock_guard<std::mutex> lock(chain_mutex_);
    providers_ = std::move(challenges);
  }
  live_.store(lease, std::memory_order_seq_cst);
  front_.index_routes(*this);
}

void Plugin::hold() { held_.store(true, std::memory_order_seq_cst); }

std::deque<Call*> Plugin::release() {
  const std::lock_guard<std::mutex> lock(gate_);
  held_.store(false, std::memory_order_seq_cst);
  released_.notify_all();
  return std::exchange(waiting_, {});
}

void Plugin::wait_for_release() {
  std::unique_lock<std::mutex> lock(gate_);
  released_.wait_for(lock, std::chrono::milliseconds(20), [this] { return !held_.load(std::memory_order_seq_cst); });
}

void Plugin::set_chain(std::shared_ptr<const Chain> chain) {
  has_chain_.store(chain != nullptr, std::memory_order_release);
  const std::lock_guard<std::mutex> lock(chain_mutex_);
  chain_.swap(chain);
}

std::shared_ptr<const Chain> Plugin::chain() const {
  const std::lock_guard<std::mutex> lock(chain_mutex_);
  return chain_;
}

std::shared_ptr<const std::vector<std::string>> Plugin::providers() const {
  const std::lock_guard<std::mutex> lock(chain_mutex_);
  return providers_;
}

uint32_t Plugin::waiting() const {
  const std::lock_guard<std::mutex> lock(gate_);
  return static_cast<uint32_t>(waiting_.size());
}

Lease* Plugin::take_lease(Generation& generation) {
  if (free_leases_.empty()) {
    leases_.push_back(std::make_unique<Lease>());
    free_leases_.push_back(leases_.back().get());
  }
  Lease* const lease = free_leases_.back();
  free_leases_.pop_back();
  lease->generation = &generation;
  return lease;
}

void Plugin::return_lease(Lease* lease) {
  lease->watched.store(false, std::memory_order_seq_cst);
  lease->generation = nullptr;
  free_leases_.push_back(lease);
}

}  // namespace tenon::core
