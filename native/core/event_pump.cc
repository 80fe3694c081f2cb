#include "event_pump.h"

#include <algorithm>
#include <chrono>

#include "clock.h"
#include "front.h"
#include "generation.h"
#include "log_origin.h"
#include "permissions.h"
#include "plugin.h"
#include "thread_priority.h"

namespace tenon::core {

namespace {
// After a batch, what comes next is waited for without asking to be woken: a publisher does not pay for waking a thread
// with every event, and batches are larger.
constexpr std::chrono::milliseconds kGathering(1);
}  // namespace

EventPump::EventPump(Plugin& plugin, uint64_t generation)
    : plugin_(plugin),
      crew_(plugin, generation, ThreadKind::Event, "events", 1, &EventPump::loop, &EventPump::wake, this) {}

void EventPump::attach(tenon_plugin* instance, const tenon_plugin_events_t* events) {
  instance_ = instance;
  events_ = TENON_HAS(events, on_event) ? events : nullptr;
  if (events_ != nullptr) subscriber_ = plugin_.front().events().subscriber(plugin_);
}

void EventPump::open(Lease& lease) {
  lease_ = &lease;
  State early = State::Early;
  state_.compare_exchange_strong(early, State::Open, std::memory_order_acq_rel);
}

bool EventPump::is_open() const {
  const State state = state_.load(std::memory_order_acquire);
  return state == State::Open || state == State::Retired;
}

bool EventPump::is_serving() const {
  const std::lock_guard<std::mutex> changing(changing_);
  return serving_;
}

void EventPump::serve() {
  const std::lock_guard<std::mutex> changing(changing_);
  if (state_.load(std::memory_order_acquire) != State::Open) return;
  // Also without a function of its own: what an earlier generation subscribed to ends.
  plugin_.front().events().adopt(plugin_, *this, *patterns_);
  set_serving(true);
  if (!patterns_->empty()) crew_.add();
}

void EventPump::drain() {
  const std::lock_guard<std::mutex> changing(changing_);
  set_serving(false);
}

void EventPump::retire() {
  const std::lock_guard<std::mutex> changing(changing_);
  set_serving(false);
  State open = State::Open;
  state_.compare_exchange_strong(open, State::Retired, std::memory_order_acq_rel);
}

void EventPump::close() {
  const std::lock_guard<std::mutex> changing(changing_);
  set_serving(false);
  state_.store(State::Closed, std::memory_order_release);
}

// Under `changing_`.
void EventPump::set_serving(bool serving) {
  if (!subscriber_) return;
  const std::lock_guard<std::mutex> lock(subscriber_->mutex);
  serving_ = serving;
  subscriber_->changed.notify_all();
}

void EventPump::set_patterns(std::vector<std::string> patterns) {
  auto next = std::make_shared<const std::vector<std::string>>(std::move(patterns));
  {
    const std::lock_guard<std::mutex> lock(subscriber_->mutex);
    patterns_.swap(next);
  }
  if (!serving_) return;
  plugin_.front().events().change(plugin_, *this, *patterns_);
  if (!patterns_->empty()) crew_.add();
}

tenon_status EventPump::subscribe(std::string_view pattern) {
  const std::lock_guard<std::mutex> changing(changing_);
  if (!is_open()) return TENON_ERROR_STATE;
  if (!subscriber_) return TENON_ERROR_UNSUPPORTED;
  std::vector<std::string> patterns = *patterns_;
  if (std::find(patterns.begin(), patterns.end(), pattern) != patterns.end()) return TENON_OK;
  if (patterns.size() + resting_.size() >= kPatterns) return TENON_ERROR_TOO_LARGE;
  patterns.emplace_back(pattern);
  set_patterns(std::move(patterns));
  return TENON_OK;
}

tenon_status EventPump::unsubscribe(std::string_view pattern) {
  const std::lock_guard<std::mutex> changing(changing_);
  if (!is_open()) return TENON_ERROR_STATE;
  if (const auto resting = std::find(resting_.begin(), resting_.end(), pattern); resting != resting_.end()) {
    resting_.erase(resting);
    return TENON_OK;
  }
  std::vector<std::string> patterns = *patterns_;
  const auto found = std::find(patterns.begin(), patterns.end(), pattern);
  if (found == patterns.end()) return TENON_ERROR_NOT_FOUND;
  patterns.erase(found);
  set_patterns(std::move(patterns));
  return TENON_OK;
}

void EventPump::review(Permissions& permissions) {
  std::vector<std::string> lost;
  {
    const std::lock_guard<std::mutex> changing(changing_);
    if (!is_open() || !subscriber_) return;
    std::vector<std::string> all = *patterns_;
    all.insert(all.end(), resting_.begin(), resting_.end());
    const auto rests = std::stable_partition(all.begin(), all.end(), [&](const std::string& pattern) {
      return permissions.covers(Permit::EventsSubscribe, pattern);
    });
    for (auto pattern = rests; pattern != all.end(); pattern++) {
      if (std::find(resting_.begin(), resting_.end(), *pattern) == resting_.end()) lost.push_back(*pattern);
    }
    resting_.assign(rests, all.end());
    all.erase(rests, all.end());
    if (all != *patterns_) set_patterns(std::move(all));
  }
  for (const std::string& pattern : lost) permissions.deny(Permit::EventsSubscribe, pattern);
}

std::vector<std::string> EventPump::patterns() const {
  const std::lock_guard<std::mutex> changing(changing_);
  return *patterns_;
}

uint32_t EventPump::stop(uint64_t until) {
  if (state_.load(std::memory_order_acquire) != State::Early && subscriber_) {
    const std::lock_guard<std::mutex> lock(subscriber_->mutex);
    stopping_ = true;
    subscriber_->changed.notify_all();
  }
  return crew_.stop(until);
}

void EventPump::loop(void* pump, ThreadGuard& guard, const ThreadVisits& visits) {
  static_cast<EventPump*>(pump)->run(guard, visits);
}

void EventPump::wake(void* pump) {
  EventPump& self = *static_cast<EventPump*>(pump);
  const std::lock_guard<std::mutex> lock(self.subscriber_->mutex);
  self.subscriber_->changed.notify_all();
  if (self.serving_ && !self.stopping_) self.crew_.add();
}

void EventPump::run(ThreadGuard& guard, const ThreadVisits& visits) {
  std::vector<std::shared_ptr<const Event>> batch;
  bool worked = false;
  const Subscriber::PatternsNow patterns_now = [this]() -> std::shared_ptr<const std::vector<std::string>> {
    const std::lock_guard<std::mutex> lock(subscriber_->mutex);
    return subscriber_->reader == this ? patterns_ : nullptr;
  };
  std::unique_lock<std::mutex> lock(subscriber_->mutex);
  while (!stopping_ && !visits.must_end() && !ThreadEffort::is_current_lowered()) {
    if (!serving_ || subscriber_->reader != this) {
      subscriber_->changed.wait(lock);
      continue;
    }
    if (subscriber_->has_some()) {
      lease_->count.fetch_add(1, std::memory_order_seq_cst);
      lock.unlock();
      uint64_t dropped = 0;
      subscriber_->take(patterns_now, TENON_EVENTS_BATCH, batch, dropped);
      if (!batch.empty()) {
        deliver(guard, batch, dropped);
        batch.clear();
        worked = true;
      }
      plugin_.leave(*lease_);
      lock.lock();
    } else if (worked) {
      subscriber_->changed.wait_for(lock, kGathering);
      worked = false;
    } else if (subscriber_->sleep()) {
      subscriber_->changed.wait(lock);
    }
  }
}

void EventPump::deliver(ThreadGuard& guard, const std::vector<std::shared_ptr<const Event>>& batch, uint64_t dropped) {
  views_.clear();
  for (const std::shared_ptr<const Event>& event : batch) views_.push_back(event->view());
  {
    const WorkOfThread work(plugin_, lease_->generation->number(), "on_event");
    const Inside inside(lease_->generation->image(), Work::Event, 0, kNoSlot, now());
    const FloatingPointGuard floating_point;
    const AtWork at_work;
    plugin_.front().watch();
    delivering_.store(true, std::memory_order_release);
    events_->on_event(instance_, views_.data(), views_.size(), dropped);
    delivering_.store(false, std::memory_order_release);
  }
  guard.restore_signals();
}

}  // namespace tenon::core
