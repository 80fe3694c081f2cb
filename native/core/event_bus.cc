#include "event_bus.h"

#include <algorithm>
#include <utility>

#include "byte_buffer.h"
#include "metrics.h"
#include "plugin.h"

namespace tenon::core {

bool is_subject_of(const std::vector<std::string>& patterns, std::string_view topic) {
  return std::any_of(patterns.begin(), patterns.end(), [topic](std::string_view pattern) {
    if (pattern.back() != '*') return pattern == topic;
    pattern.remove_suffix(1);
    return topic.substr(0, pattern.size()) == pattern;
  });
}

// --- the queue of a plugin

Subscriber::~Subscriber() { collect(); }

void Subscriber::push(std::shared_ptr<const Event> event) {
  const size_t size = event->size();
  const bool fits = count_.fetch_add(1, std::memory_order_relaxed) < TENON_EVENTS_QUEUE;
  if (bytes_.fetch_add(size, std::memory_order_relaxed) + size > TENON_EVENTS_QUEUE_BYTES || !fits) {
    count_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(size, std::memory_order_relaxed);
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Node* const node = std::make_unique<Node>(Node{std::move(event), nullptr}).release();
  Node* head = head_.load(std::memory_order_relaxed);
  do {
    node->next = head;
  } while (!head_.compare_exchange_weak(head, node, std::memory_order_seq_cst, std::memory_order_relaxed));
  // Written first, then looked: `sleep` does it the other way round.
  if (!sleeping_.load(std::memory_order_seq_cst) || !sleeping_.exchange(false, std::memory_order_seq_cst)) return;
  const std::lock_guard<std::mutex> lock(mutex);
  changed.notify_all();
}

bool Subscriber::has_some() const {
  return left_.load(std::memory_order_seq_cst) || head_.load(std::memory_order_seq_cst) != nullptr;
}

bool Subscriber::sleep() {
  sleeping_.store(true, std::memory_order_seq_cst);
  if (!has_some()) return true;
  sleeping_.store(false, std::memory_order_seq_cst);
  return false;
}

void Subscriber::collect() {
  const auto before = static_cast<std::ptrdiff_t>(pending_.size());
  std::unique_ptr<Node> node(head_.exchange(nullptr, std::memory_order_seq_cst));
  while (node) {
    pending_.push_back(std::move(node->event));
    node.reset(node->next);
  }
  std::reverse(pending_.begin() + before, pending_.end());
}

void Subscriber::take(const PatternsNow& patterns_now, size_t limit, std::vector<std::shared_ptr<const Event>>& batch,
                      uint64_t& dropped) {
  bool left = false;
  {
    const std::lock_guard<std::mutex> taking(taking_);
    if (pending_.size() < limit) collect();
    // Asked after that: an event comes only once its pattern is shown, so what was collected meets its own.
    const std::shared_ptr<const std::vector<std::string>> patterns = patterns_now();
    uint64_t gone = 0;
    size_t size = 0;
    while (patterns && !pending_.empty() && batch.size() < limit && gone < kLooks) {
      std::shared_ptr<const Event>& event = pending_.front();
      gone++;
      size += event->size();
      if (is_subject_of(*patterns, view(event->view().topic))) batch.push_back(std::move(event));
      pending_.pop_front();
    }
    count_.fetch_sub(gone, std::memory_order_relaxed);
    bytes_.fetch_sub(size, std::memory_order_relaxed);
    if (!batch.empty()) {
      const uint64_t all = dropped_.load(std::memory_order_relaxed);
      dropped = all - std::exchange(told_, all);
    }
    left = !pending_.empty();
    left_.store(left, std::memory_order_seq_cst);
  }
  if (!left) return;
  // Another pump may have taken over meanwhile, and have found nothing.
  const std::lock_guard<std::mutex> lock(mutex);
  changed.notify_all();
}

void Subscriber::clear() {
  const std::lock_guard<std::mutex> taking(taking_);
  collect();
  uint64_t size = 0;
  for (const std::shared_ptr<const Event>& event : pending_) size += event->size();
  count_.fetch_sub(pending_.size(), std::memory_order_relaxed);
  bytes_.fetch_sub(size, std::memory_order_relaxed);
  pending_.clear();
  left_.store(false, std::memory_order_seq_cst);
}

// --- all of them

EventBus::EventBus() : listing_(std::make_shared<const Listing>()) {}

std::shared_ptr<const EventBus::Listing> EventBus::listing() const {
  const std::lock_guard<std::mutex> lock(listing_mutex_);
  return listing_;
}

bool EventBus::wanted(std::string_view topic, const Plugin* source) const {
  const std::shared_ptr<const Listing> now = listing();
  if (now->early) return true;
  return std::any_of(now->subscriptions.begin(), now->subscriptions.end(), [&](const Subscription& one) {
    return one.plugin != source && is_subject_of(one.patterns, topic);
  });
}

void EventBus::publish(std::shared_ptr<const Event> event, const Plugin* source) {
  std::shared_ptr<const Listing> now = listing();
  if (now->early) {
    if (keep(event, source)) return;
    now = listing();
  }
  const std::string_view topic = view(event->view().topic);
  for (const Subscription& one : now->subscriptions) {
    if (one.plugin != source && is_subject_of(one.patterns, topic)) one.subscriber->push(event);
  }
}

// False when somebody has subscribed meanwhile.
bool EventBus::keep(const std::shared_ptr<const Event>& event, const Plugin* source) {
  const std::lock_guard<std::mutex> lock(listing_mutex_);
  if (!listing_->early) return false;
  early_.push_back({event, source});
  early_bytes_ += event->size();
  while (early_.size() > kEarly || early_bytes_ > kEarlyBytes) {
    early_bytes_ -= early_.front().event->size();
    early_dropped_.count(early_.front());
    early_.pop_front();
  }
  return true;
}

void EventBus::EarlyDropped::count(const Early& early) {
  auto key = std::make_pair(early.source, std::string(view(early.event->view().topic)));
  const auto found = known.find(key);
  if (found != known.end()) {
    found->second++;
  } else if (known.size() < kEarlyTopics) {
    known.emplace(std::move(key), 1);
  } else {
    others++;
  }
}

uint64_t EventBus::EarlyDropped::of(const Subscription& subscription) const {
  uint64_t count = others;
  for (const auto& [key, dropped] : known) {
    if (key.first != subscription.plugin && is_subject_of(subscription.patterns, key.second)) count += dropped;
  }
  return count;
}

std::shared_ptr<Subscriber> EventBus::subscriber(const Plugin& plugin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<Subscriber>& subscriber = subscribers_[&plugin];
  if (!subscriber) subscriber = std::make_shared<Subscriber>();
  return subscriber;
}

void EventBus::adopt(const Plugin& plugin, const EventPump& pump, const std::vector<std::string>& patterns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = subscribers_.find(&plugin);
  if (found == subscribers_.end()) return;
  {
    const std::lock_guard<std::mutex> reading(found->second->mutex);
    found->second->reader = &pump;
  }
  subscribe(plugin, patterns);
}

void EventBus::change(const Plugin& plugin, const EventPump& pump, const std::vector<std::string>& patterns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = subscribers_.find(&plugin);
  if (found == subscribers_.end()) return;
  {
    const std::lock_guard<std::mutex> reading(found->second->mutex);
    if (found->second->reader != &pump) return;
  }
  subscribe(plugin, patterns);
}

void EventBus::subscribe(const Plugin& plugin, const std::vector<std::string>& patterns) {
  const std::shared_ptr<const Listing> now = listing();
  Listing changed = *now;
  std::vector<Subscription>& all = changed.subscriptions;
  const auto same = [&plugin](const Subscription& one) { return one.plugin == &plugin; };
  all.erase(std::remove_if(all.begin(), all.end(), same), all.end());
  if (!patterns.empty()) {
    all.push_back({&plugin, subscribers_[&plugin], patterns});
    changed.early = false;
  }
  const bool first = now->early && !changed.early;
  std::shared_ptr<const Listing> next = prepare(std::move(changed));
  if (first) {
    // Publishers go on meanwhile: what they keep is in front of what they push once this is shown.
    constexpr int kRounds = 16;
    const Subscription one = next->subscriptions.back();
    for (int round = 1; !hand_over(next, one, round == kRounds); round++) {
    }
    return;
  }
  const std::lock_guard<std::mutex> lock(listing_mutex_);
  listing_.swap(next);
}

bool EventBus::hand_over(std::shared_ptr<const Listing>& next, const Subscription& first, bool last) {
  constexpr size_t kFew = 16;
  const auto push = [&first](std::deque<Early>& kept) {
    for (Early& one : kept) {
      const std::string_view topic = view(one.event->view().topic);
      if (one.source != first.plugin && is_subject_of(first.patterns, topic)) {
        first.subscriber->push(std::move(one.event));
      }
    }
  };
  std::deque<Early> kept;
  EarlyDropped dropped;
  {
    const std::lock_guard<std::mutex> lock(listing_mutex_);
    kept.swap(early_);
    early_bytes_ = 0;
    dropped = std::exchange(early_dropped_, {});
    first.subscriber->count_dropped(dropped.of(first));
    if (kept.size() <= kFew || last) {
      push(kept);
      listing_.swap(next);
      return true;
    }
  }
  push(kept);
  return false;
}

std::shared_ptr<const EventBus::Listing> EventBus::prepare(Listing next) {
  const auto wants = [&next](std::string_view topic) {
    return std::any_of(next.subscriptions.begin(), next.subscriptions.end(),
                       [topic](const Subscription& one) { return is_subject_of(one.patterns, topic); });
  };
  wants_log_.store(next.early || wants("tenon.log"), std::memory_order_relaxed);
  wants_requests_.store(wants("tenon.request"), std::memory_order_relaxed);
  return std::make_shared<const Listing>(std::move(next));
}

void EventBus::forget(const Plugin& plugin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = subscribers_.find(&plugin);
  if (found == subscribers_.end()) return;
  {
    const std::lock_guard<std::mutex> reading(found->second->mutex);
    found->second->reader = nullptr;
  }
  subscribe(plugin, {});
  // Here, and not on the thread of a publisher that has the subscriptions of before.
  found->second->clear();
  subscribers_.erase(found);
}

std::string EventBus::metrics_text(Exposition exposition) const {
  std::string queued;
  std::string dropped;
  append_family(exposition, "tenon_plugin_events_queued", "gauge", "Events that wait for a plugin.", queued);
  append_family(exposition, "tenon_plugin_events_dropped_total", "counter", "Events that there was no room for.",
                dropped);
  const std::shared_ptr<const Listing> now = listing();
  for (const Subscription& one : now->subscriptions) {
    const std::string& id = one.plugin->id();
    append_sample("tenon_plugin_events_queued", id, {}, {}, static_cast<double>(one.subscriber->queued()), queued);
    append_sample("tenon_plugin_events_dropped_total", id, {}, {}, static_cast<double>(one.subscriber->dropped()),
                  dropped);
  }
  return queued + dropped;
}

void EventBus::end_start() {
  const std::lock_guard<std::mutex> changing(mutex_);
  Listing changed = *listing();
  if (!changed.early) return;
  changed.early = false;
  std::shared_ptr<const Listing> next = prepare(std::move(changed));
  std::deque<Early> kept;
  EarlyDropped dropped;
  const std::lock_guard<std::mutex> lock(listing_mutex_);
  kept.swap(early_);
  dropped = std::exchange(early_dropped_, {});
  listing_.swap(next);
}

}  // namespace tenon::core
