#include "services.h"

#include "front.h"
#include "plugin.h"
#include "tenon/plugin.h"

namespace tenon::core {

PluginSeries& Services::own_series() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!own_series_) own_series_ = plugin_.front().metrics().of(plugin_.id());
  series_.store(own_series_.get(), std::memory_order_release);
  return *own_series_;
}

void Services::attach(tenon_plugin* instance) {
  const void* const side = instance->get_extension(instance, TENON_EVENTS_ID);
  events.attach(instance, static_cast<const tenon_plugin_events_t*>(side));
}

void Services::open(Lease& lease) {
  tasks.open(lease);
  events.open(lease);
}

void Services::serve() {
  tasks.serve();
  events.serve();
}

void Services::drain() {
  tasks.drain();
  events.drain();
}

void Services::retire() {
  tasks.retire();
  events.retire();
}

void Services::shut() {
  retire();
  tasks.close();
}

void Services::close() {
  tasks.close();
  events.close();
}

Ledger Services::ledger() const {
  Ledger ledger;
  const Tasks::Counts counts = tasks.counts();
  ledger.timers = counts.timers;
  ledger.tasks = counts.tasks;
  ledger.subscriptions = events.patterns();
  const PluginSeries* const known = series();
  ledger.series = known == nullptr ? 0 : known->size();
  for (const uint64_t number : counts.running) ledger.running.push_back("task " + std::to_string(number));
  if (events.delivering()) ledger.running.emplace_back("on_event");
  return ledger;
}

}  // namespace tenon::core
