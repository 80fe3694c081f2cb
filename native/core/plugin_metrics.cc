#include "plugin_metrics.h"

#include "generation.h"
#include "permissions.h"
#include "plugin.h"

namespace tenon::core {

namespace {

// One family as it grows.
class Lines {
 public:
  Lines(Exposition exposition, std::string_view name, std::string_view kind, std::string_view help) : name_(name) {
    append_family(exposition, name, kind, help, text_);
  }

  void add(const std::string& plugin, double value, const Series::Labels& labels = {}) {
    append_sample(name_, plugin, labels, {}, value, text_);
  }
  const std::string& text() const { return text_; }

 private:
  const std::string_view name_;
  std::string text_;
};

double number(uint64_t count) { return static_cast<double>(count); }

}  // namespace

std::string plugin_metrics_text(Exposition exposition, const std::map<std::string, std::unique_ptr<Plugin>>& plugins) {
  Lines calls(exposition, "tenon_plugin_calls_total", "counter", "Requests of a plugin that have ended.");
  Lines faults(exposition, "tenon_plugin_faults_total", "counter",
               "Those that the plugin failed, missed or answered with 5xx.");
  Lines misses(exposition, "tenon_plugin_deadline_misses_total", "counter",
               "Those that the plugin did not answer within their deadline.");
  Lines queued(exposition, "tenon_plugin_queue_length", "gauge",
               "Calls that wait for a thread, or for the plugin to be replaced.");
  Lines limits(exposition, "tenon_plugin_queue_limit", "gauge", "Calls that may wait so.");
  Lines steps(exposition, "tenon_extension_steps_total", "counter",
              "Steps and hooks of other plugins' requests that ran in an extension.");
  Lines step_faults(exposition, "tenon_extension_faults_total", "counter",
                    "Those that failed, or in which a deadline passed.");
  Lines step_times(exposition, "tenon_extension_seconds_total", "counter", "Time that they took.");
  Lines denied(exposition, "tenon_permission_denied_total", "counter",
               "What plugins were refused for want of a permission.");
  for (const auto& [id, plugin] : plugins) {
    if (!plugin->is_open) continue;
    calls.add(id, number(plugin->calls));
    faults.add(id, number(plugin->faults));
    misses.add(id, number(plugin->deadline_misses));
    const Lease* const live = plugin->live();
    queued.add(id, number(plugin->waiting() + (live == nullptr ? 0u : live->generation->pool().queued())));
    limits.add(id, number(plugin->queue_limit()));
    for (size_t index = 0; index < kPermits; index++) {
      const uint64_t count = plugin->denied[index].load(std::memory_order_relaxed);
      if (count == 0) continue;
      denied.add(id, number(count), {{"permission", std::string(permission_name(static_cast<Permit>(index)))}});
    }
    const StepCounters& did = plugin->steps;
    if (did.runs == 0 && did.faults == 0) continue;
    steps.add(id, number(did.runs.load()));
    step_faults.add(id, number(did.faults.load()));
    step_times.add(id, number(did.nanoseconds.load()) / 1e9);
  }
  std::string text;
  for (const Lines* const family :
       {&calls, &faults, &misses, &queued, &limits, &steps, &step_faults, &step_times, &denied}) {
    text += family->text();
  }
  return text;
}

}  // namespace tenon::core
