#ifndef TENON_CORE_METRICS_H
#define TENON_CORE_METRICS_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/ext/metrics.h"

namespace tenon::core {

// The text format of Prometheus, 0.0.4, or that of OpenMetrics 1.0 (without its end).
enum class Exposition { Prometheus, OpenMetrics };

// One series: a number, or the buckets of a histogram. Adding takes no lock.
class Series {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  Series(uint32_t kind, std::string name, Labels labels, std::vector<double> buckets);
  Series(const Series&) = delete;
  Series& operator=(const Series&) = delete;

  void add(double value);  // [any]
  void set(double value);  // [any]

  uint32_t kind() const { return kind_; }
  const std::string& name() const { return name_; }
  const Labels& labels() const { return labels_; }
  const std::vector<double>& buckets() const { return buckets_; }
  // Of a counter or gauge; the sum of a histogram.
  double value() const;
  // Observations at most each bound, cumulative, and at the end all.
  std::vector<uint64_t> counts() const;

 private:
  const uint32_t kind_;
  const std::string name_;
  const Labels labels_;
  const std::vector<double> buckets_;
  std::atomic<uint64_t> bits_;  // of a double
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
};

// The series of one plugin, by number. Stays for those who still have it when the plugin is gone.
class PluginSeries {
 public:
  explicit PluginSeries(std::string plugin) : plugin_(std::move(plugin)) {}

  const std::string& plugin() const { return plugin_; }
  size_t size() const { return size_.load(std::memory_order_acquire); }
  // Null for a number that is of none. [any]
  Series* at(uint64_t number) const {
    return number - 1 < size() ? all_[static_cast<size_t>(number - 1)].get() : nullptr;
  }

 private:
  friend class Metrics;
  const std::string plugin_;
  std::array<std::unique_ptr<Series>, TENON_METRICS_SERIES> all_;
  std::atomic<size_t> size_{0};
};

// All series of all plugins. They stay over the generations of a plugin.
class Metrics {
 public:
  static constexpr size_t kNameBytes = 127;
  static constexpr size_t kLabelBytes = 255;
  static constexpr size_t kHelpBytes = 1024;

  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Those of `plugin`, made when it is new. [any]
  std::shared_ptr<PluginSeries> of(const std::string& plugin);
  // The number of the series that `metric` describes, made when it is new. [any]
  tenon_status series(PluginSeries& plugin, const tenon_metric_t& metric, uint64_t& number);
  // The plugin is gone, and its series with it. [any]
  void forget(const std::string& plugin);
  // Every series of every plugin. [any]
  void collect(void (*visit)(void* context, const tenon_metric_value_t* value), void* context) const;
  // The same as text. [any]
  std::string text(Exposition exposition) const;

 private:
  struct Family {
    uint32_t kind = 0;
    std::string help;
    size_t count = 0;
  };
  struct Snapshot {
    std::vector<std::shared_ptr<PluginSeries>> plugins;
    std::map<std::string, Family, std::less<>> families;
  };

  Snapshot snapshot() const;

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<PluginSeries>> plugins_;
  std::map<std::string, Family, std::less<>> families_;
  // What the lines of the families may be called, in either format.
  std::set<std::string> taken_;
};

// One line of the text: `name{plugin="…",…} value`. `more` is a label that follows the others, or empty.
void append_sample(std::string_view name, std::string_view plugin, const Series::Labels& labels, std::string_view more,
                   double value, std::string& text);
// What a family is, before its lines.
void append_family(Exposition exposition, std::string_view name, std::string_view kind, std::string_view help,
                   std::string& text);

}  // namespace tenon::core

#endif
