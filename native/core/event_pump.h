#ifndef TENON_CORE_EVENT_PUMP_H
#define TENON_CORE_EVENT_PUMP_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "crew.h"
#include "event_bus.h"
#include "lease.h"
#include "tenon/ext/events.h"

struct tenon_plugin;

namespace tenon::core {

class Permissions;
class Plugin;

/*
 * Brings one generation the events of its plugin's queue, on a thread that is started when it has subscribed.
 *
 * A batch begins under the queue's mutex, and only while the generation serves and the queue is its own; its lease
 * lasts until on_event has returned. `drain` and `retire` take the mutex too, and the leases are counted after that.
 */
class EventPump {
 public:
  EventPump(Plugin& plugin, uint64_t generation);
  EventPump(const EventPump&) = delete;
  EventPump& operator=(const EventPump&) = delete;

  // What `plugin` offers, null for none. After initialize. [control]
  void attach(tenon_plugin* instance, const tenon_plugin_events_t* events);
  void open(Lease& lease);  // `ready` begins: it may subscribe
  void serve();             // the queue is its own
  void drain();             // no batch begins until it serves again
  void retire();            // none begins any more
  void close();             // shutdown has returned
  // From `open` until `close`. [any]
  bool is_open() const;
  // Whether batches begin now. [any]
  bool is_serving() const;

  tenon_status subscribe(std::string_view pattern);    // [any]
  tenon_status unsubscribe(std::string_view pattern);  // [any]
  std::vector<std::string> patterns() const;           // [any]
  // What it subscribed to and may not any more rests until it may again. [front]
  void review(Permissions& permissions);
  // Whether on_event runs. [any]
  bool delivering() const { return delivering_.load(std::memory_order_acquire); }

  uint32_t alive() const { return crew_.alive(); }
  uint32_t stop(uint64_t until);  // [closer]

 private:
  static constexpr size_t kPatterns = 64;
  enum class State { Early, Open, Retired, Closed };

  static void loop(void* pump, ThreadGuard& guard, const ThreadVisits& visits);
  static void wake(void* pump);
  void run(ThreadGuard& guard, const ThreadVisits& visits);
  void deliver(ThreadGuard& guard, const std::vector<std::shared_ptr<const Event>>& batch, uint64_t dropped);
  void set_serving(bool serving);
  void set_patterns(std::vector<std::string> patterns);

  Plugin& plugin_;
  tenon_plugin* instance_ = nullptr;
  const tenon_plugin_events_t* events_ = nullptr;
  std::shared_ptr<Subscriber> subscriber_;  // while it offers on_event
  std::atomic<State> state_{State::Early};
  mutable std::mutex changing_;  // one change of patterns or of `serving_` at a time; before the bus's and the queue's
  // Written under both mutexes, read under either of them and that of the queue.
  std::shared_ptr<const std::vector<std::string>> patterns_ = std::make_shared<const std::vector<std::string>>();
  std::vector<std::string> resting_;  // under `changing_`
  bool serving_ = false;
  bool stopping_ = false;
  std::atomic<bool> delivering_{false};
  Lease* lease_ = nullptr;
  std::vector<tenon_event_t> views_;  // the thread's own
  Crew crew_;
};

}  // namespace tenon::core

#endif
