#ifndef TENON_CORE_EVENT_BUS_H
#define TENON_CORE_EVENT_BUS_H

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event.h"
#include "metrics.h"

namespace tenon::core {

class EventPump;
class Plugin;

// Whether `topic` is one of `patterns`: names, or beginnings with a "*" at the end.
bool is_subject_of(const std::vector<std::string>& patterns, std::string_view topic);

/*
 * The queue of events of one plugin. It stays over its generations: the pump of the one that serves takes from it.
 * Publishers add without a lock, as to the log ring; a full queue drops the new event and counts it.
 */
class Subscriber {
 public:
  Subscriber() = default;
  ~Subscriber();
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  void push(std::shared_ptr<const Event> event);  // [any]
  uint64_t queued() const { return count_.load(std::memory_order_relaxed); }
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  // So many were dropped for it before it was there. [any]
  void count_dropped(uint64_t count) { dropped_.fetch_add(count, std::memory_order_relaxed); }

  // For pumps. `mutex` guards what follows, and nobody has it for more than a moment: publishers take it to wake a pump
  // that sleeps.
  std::mutex mutex;
  std::condition_variable changed;
  const EventPump* reader = nullptr;
  // Whether `take` has something to look at. Under the mutex.
  bool has_some() const;
  // Say that who waits for `changed` needs to be told of an event; false when there is one. Under the mutex.
  bool sleep();

  // What a pump asks for now; null when it is not the reader any more.
  using PatternsNow = std::function<std::shared_ptr<const std::vector<std::string>>()>;
  // At most `limit` events that the patterns ask for, and how many were dropped since; perhaps none although some are
  // left. Takes as long as it takes, hence not under the mutex: only pumps wait for each other. [event]
  void take(const PatternsNow& patterns_now, size_t limit, std::vector<std::shared_ptr<const Event>>& batch,
            uint64_t& dropped);
  // Throw away what waits.
  void clear();

 private:
  struct Node {
    std::shared_ptr<const Event> event;
    Node* next;
  };
  // Events that one `take` looks at.
  static constexpr size_t kLooks = 8192;
  void collect();

  std::atomic<Node*> head_{nullptr};
  std::atomic<uint64_t> count_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> dropped_{0};
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> left_{false};  // there is something in `pending_`
  std::mutex taking_;              // guards what follows
  std::deque<std::shared_ptr<const Event>> pending_;
  uint64_t told_ = 0;
};

/*
 * Brings events of all sources to all who subscribe. Publishing reads a snapshot of the subscriptions; it waits for no
 * subscriber, and for a change of the subscriptions only while one pointer replaces another.
 */
class EventBus {
 public:
  // What is kept before anybody subscribes.
  static constexpr size_t kEarly = 4096;
  static constexpr size_t kEarlyBytes = TENON_EVENTS_QUEUE_BYTES;
  // Sources and topics that are told apart when early events are dropped.
  static constexpr size_t kEarlyTopics = 256;

  EventBus();
  EventBus(const EventBus&) = delete;
  EventBus& operator=(const EventBus&) = delete;

  // Whether somebody other than `source` wants `topic`. [any]
  bool wanted(std::string_view topic, const Plugin* source) const;
  // Whether somebody wants records of the log, requests: cheap. [any]
  bool wants_log() const { return wants_log_.load(std::memory_order_relaxed); }
  bool wants_requests() const { return wants_requests_.load(std::memory_order_relaxed); }
  // `source` is not given it. [any]
  void publish(std::shared_ptr<const Event> event, const Plugin* source);

  // The queue of `plugin`, made when it is new. [any]
  std::shared_ptr<Subscriber> subscriber(const Plugin& plugin);
  // `pump` takes from the queue from here on, and is given what is in `patterns`. [front]
  void adopt(const Plugin& plugin, const EventPump& pump, const std::vector<std::string>& patterns);
  // The same, unless another pump has taken over. [any]
  void change(const Plugin& plugin, const EventPump& pump, const std::vector<std::string>& patterns);
  // Nobody of `plugin` takes events any more; its queue is dropped. [front]
  void forget(const Plugin& plugin);
  // How much waits and was dropped, by plugin, in the text format of Prometheus. [any]
  std::string metrics_text(Exposition exposition) const;
  // The host has started: what was kept for the first who subscribes is dropped. [front]
  void end_start();

 private:
  struct Subscription {
    const Plugin* plugin;
    std::shared_ptr<Subscriber> subscriber;
    std::vector<std::string> patterns;
  };
  struct Listing {
    bool early = true;  // nobody has subscribed yet
    std::vector<Subscription> subscriptions;
  };
  struct Early {
    std::shared_ptr<const Event> event;
    const Plugin* source;
  };
  // How many early events were dropped, by source and topic.
  struct EarlyDropped {
    std::map<std::pair<const Plugin*, std::string>, uint64_t> known;
    uint64_t others = 0;
    void count(const Early& early);
    uint64_t of(const Subscription& subscription) const;
  };

  std::shared_ptr<const Listing> listing() const;
  bool keep(const std::shared_ptr<const Event>& event, const Plugin* source);
  void subscribe(const Plugin& plugin, const std::vector<std::string>& patterns);
  std::shared_ptr<const Listing> prepare(Listing listing);
  // Whether few were kept, or this is the `last` time: then `next` is shown.
  bool hand_over(std::shared_ptr<const Listing>& next, const Subscription& first, bool last);

  std::mutex mutex_;  // one change of the subscriptions at a time; before that of a queue
  std::map<const Plugin*, std::shared_ptr<Subscriber>> subscribers_;
  mutable std::mutex listing_mutex_;  // for moments: publishers take it; guards what follows
  std::shared_ptr<const Listing> listing_;
  std::deque<Early> early_;
  size_t early_bytes_ = 0;
  EarlyDropped early_dropped_;
  std::atomic<bool> wants_log_{true};
  std::atomic<bool> wants_requests_{false};
};

}  // namespace tenon::core

#endif
