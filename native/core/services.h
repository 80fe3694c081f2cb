#ifndef TENON_CORE_SERVICES_H
#define TENON_CORE_SERVICES_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "event_pump.h"
#include "metrics.h"
#include "tasks.h"

struct tenon_plugin;

namespace tenon::core {

class Plugin;

// What a generation has open with the services of the host.
struct Ledger {
  size_t timers = 0;
  size_t tasks = 0;
  size_t requests = 0;  // to other servers
  std::vector<std::string> subscriptions;
  size_t series = 0;
  std::vector<std::string>
      running;  // what runs on the threads of its services: "task 12", "on_event", "done of request 7"
};

// The services of the host that work for one generation on threads of their own, or count for it.
class Services {
 public:
  Services(Plugin& plugin, uint64_t generation)
      : tasks(plugin, generation), events(plugin, generation), plugin_(plugin) {}
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  Tasks tasks;
  EventPump events;
  // The series of its plugin: null before the first is made; and made.
  const PluginSeries* series() const { return series_.load(std::memory_order_acquire); }
  PluginSeries& own_series();

  void attach(tenon_plugin* instance);  // it has been initialized [control]
  void open(Lease& lease);              // `ready` begins
  void serve();
  void drain();
  void retire();
  void shut();   // `shutdown` is about to be called [control]
  void close();  // it has returned, or `destroy` is about to be called [control]

  uint32_t alive() const { return tasks.alive() + events.alive(); }
  uint32_t stop(uint64_t until) { return tasks.stop(until) + events.stop(until); }
  Ledger ledger() const;  // [any]

 private:
  Plugin& plugin_;
  std::mutex mutex_;
  std::shared_ptr<PluginSeries> own_series_;
  std::atomic<PluginSeries*> series_{nullptr};
};

}  // namespace tenon::core

#endif
