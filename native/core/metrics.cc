#include "metrics.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "byte_buffer.h"
#include "json.h"

namespace tenon::core {

namespace {

// Names of the host's own.
constexpr std::string_view kReserved = "tenon_";

uint64_t bits_of(double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

double double_of(uint64_t bits) {
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

bool is_letter(char one) { return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || one == '_'; }

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > Metrics::kNameBytes || !is_letter(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char one) { return is_letter(one) || (one >= '0' && one <= '9'); });
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
}

bool is_text(tenon_bytes_t text, size_t limit) {
  return (text.data != nullptr || text.size == 0) && text.size <= limit && is_utf8(view(text));
}

// In the order of their keys; nothing when they are not as the header says.
std::optional<Series::Labels> labels_of(const tenon_metric_t& metric) {
  if (metric.label_count > TENON_METRICS_LABELS || (metric.label_count > 0 && metric.labels == nullptr)) return {};
  Series::Labels labels;
  for (size_t index = 0; index < metric.label_count; index++) {
    const std::string_view key = view(metric.labels[index].key);
    if (!is_name(key) || key == "plugin" || key == "le") return {};
    if (!is_text(metric.labels[index].value, Metrics::kLabelBytes)) return {};
    labels.emplace_back(key, view(metric.labels[index].value));
  }
  std::sort(labels.begin(), labels.end());
  const auto twice = [](const auto& one, const auto& other) { return one.first == other.first; };
  if (std::adjacent_find(labels.begin(), labels.end(), twice) != labels.end()) return {};
  return labels;
}

std::optional<std::vector<double>> buckets_of(const tenon_metric_t& metric) {
  if (metric.kind != TENON_METRIC_HISTOGRAM)
    return metric.bucket_count == 0 ? std::optional<std::vector<double>>(std::in_place) : std::nullopt;
  if (metric.bucket_count == 0 || metric.bucket_count > TENON_METRICS_BUCKETS || metric.buckets == nullptr) return {};
  std::vector<double> buckets(metric.buckets, metric.buckets + metric.bucket_count);
  const bool finite = std::all_of(buckets.begin(), buckets.end(), [](double bound) { return std::isfinite(bound); });
  const auto falls = [](double one, double next) { return one >= next; };
  if (!finite || std::adjacent_find(buckets.begin(), buckets.end(), falls) != buckets.end()) return {};
  return buckets;
}

void append_escaped(std::string_view text, bool quotes, std::string& to) {
  for (const char one : text) {
    if (one == '\\') {
      to.append("\\\\");
    } else if (one == '\n') {
      to.append("\\n");
    } else if (one == '"' && quotes) {
      to.append("\\\"");
    } else {
      to.push_back(one);
    }
  }
}

void append_number(double value, std::string& to) {
  if (std::isnan(value)) {
    to.append("NaN");
  } else if (std::isinf(value)) {
    to.append(value > 0 ? "+Inf" : "-Inf");
  } else {
    append_float(value, to);
  }
}

const char* kind_name(uint32_t kind) {
  return kind == TENON_METRIC_COUNTER ? "counter" : kind == TENON_METRIC_GAUGE ? "gauge" : "histogram";
}

void append_series(std::string_view plugin, const Series& series, std::string& text) {
  const std::string& name = series.name();
  if (series.kind() != TENON_METRIC_HISTOGRAM)
    return append_sample(name, plugin, series.labels(), {}, series.value(), text);
  const std::vector<uint64_t> counts = series.counts();
  const std::string bucket = name + "_bucket";
  for (size_t index = 0; index < counts.size(); index++) {
    std::string bound = "le=\"";
    append_number(index < series.buckets().size() ? series.buckets()[index] : HUGE_VAL, bound);
    bound.push_back('"');
    append_sample(bucket, plugin, series.labels(), bound, static_cast<double>(counts[index]), text);
  }
  append_sample(name + "_sum", plugin, series.labels(), {}, series.value(), text);
  append_sample(name + "_count", plugin, series.labels(), {}, static_cast<double>(counts.back()), text);
}

}  // namespace

void append_sample(std::string_view name, std::string_view plugin, const Series::Labels& labels, std::string_view more,
                   double value, std::string& text) {
  text.append(name).append("{plugin=\"");
  append_escaped(plugin, true, text);
  text.push_back('"');
  for (const auto& [key, given] : labels) {
    text.append(",").append(key).append("=\"");
    append_escaped(given, true, text);
    text.push_back('"');
  }
  if (!more.empty()) text.append(",").append(more);
  text.append("} ");
  append_number(value, text);
  text.push_back('\n');
}

void append_family(std::string_view name, std::string_view kind, std::string_view help, std::string& text) {
  if (!help.empty()) {
    text.append("# HELP ").append(name).append(" ");
    append_escaped(help, false, text);
    text.push_back('\n');
  }
  text.append("# TYPE ").append(name).append(" ").append(kind).append("\n");
}

// --- one series

Series::Series(uint32_t kind, std::string name, Labels labels, std::vector<double> buckets)
    : kind_(kind),
      name_(std::move(name)),
      labels_(std::move(labels)),
      buckets_(std::move(buckets)),
      bits_(bits_of(0)),
      counts_(kind == TENON_METRIC_HISTOGRAM ? std::make_unique<std::atomic<uint64_t>[]>(buckets_.size() + 1)
                                             : nullptr) {
  for (size_t index = 0; counts_ != nullptr && index <= buckets_.size(); index++) counts_[index].store(0);
}

void Series::add(double value) {
  if (!std::isfinite(value) || (kind_ == TENON_METRIC_COUNTER && value < 0)) return;
  if (counts_ != nullptr) {
    const auto bucket = std::lower_bound(buckets_.begin(), buckets_.end(), value) - buckets_.begin();
    counts_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t bits = bits_.load(std::memory_order_relaxed);
  while (!bits_.compare_exchange_weak(bits, bits_of(double_of(bits) + value), std::memory_order_relaxed)) {
  }
}

void Series::set(double value) {
  if (kind_ == TENON_METRIC_GAUGE && std::isfinite(value)) bits_.store(bits_of(value), std::memory_order_relaxed);
}

double Series::value() const { return double_of(bits_.load(std::memory_order_relaxed)); }

std::vector<uint64_t> Series::counts() const {
  std::vector<uint64_t> counts;
  if (counts_ == nullptr) return counts;
  uint64_t all = 0;
  for (size_t index = 0; index <= buckets_.size(); index++) {
    all += counts_[index].load(std::memory_order_relaxed);
    counts.push_back(all);
  }
  return counts;
}

// --- all of them

std::shared_ptr<PluginSeries> Metrics::of(const std::string& plugin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<PluginSeries>& series = plugins_[plugin];
  if (!series) series = std::make_shared<PluginSeries>(plugin);
  return series;
}

tenon_status Metrics::series(PluginSeries& plugin, const tenon_metric_t& metric, uint64_t& number) {
  if (metric.kind < TENON_METRIC_COUNTER || metric.kind > TENON_METRIC_HISTOGRAM) return TENON_ERROR_ARGUMENT;
  const std::string_view name = view(metric.name);
  if (!is_name(name) || name.substr(0, kReserved.size()) == kReserved) return TENON_ERROR_ARGUMENT;
  if (!is_text(metric.help, kHelpBytes)) return TENON_ERROR_ARGUMENT;
  std::optional<Series::Labels> labels = labels_of(metric);
  std::optional<std::vector<double>> buckets = buckets_of(metric);
  if (!labels || !buckets) return TENON_ERROR_ARGUMENT;

  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = plugins_.find(plugin.plugin());
  if (known == plugins_.end() || known->second.get() != &plugin) return TENON_ERROR_STATE;
  if (collides(name, metric.kind)) return TENON_ERROR_EXISTS;
  const size_t size = plugin.size();
  for (size_t index = 0; index < size; index++) {
    const Series& one = *plugin.all_[index];
    if (one.name() != name) continue;
    if (one.buckets() != *buckets) return TENON_ERROR_EXISTS;
    if (one.labels() == *labels) return number = index + 1, TENON_OK;
  }
  if (size == plugin.all_.size()) return TENON_ERROR_TOO_LARGE;
  Family& family = families_[std::string(name)];
  if (family.count++ == 0) {
    family.kind = metric.kind;
    family.help = view(metric.help);
  }
  plugin.all_[size] = std::make_unique<Series>(metric.kind, std::string(name), std::move(*labels), std::move(*buckets));
  plugin.size_.store(size + 1, std::memory_order_release);
  number = size + 1;
  return TENON_OK;
}

// Whether `name` is of another kind, or the lines of a histogram would have the name of another family.
bool Metrics::collides(std::string_view name, uint32_t kind) const {
  const auto found = families_.find(name);
  if (found != families_.end()) return found->second.kind != kind;
  for (const std::string_view end : {"_bucket", "_sum", "_count"}) {
    if (kind == TENON_METRIC_HISTOGRAM && families_.find(std::string(name).append(end)) != families_.end()) return true;
    if (!ends_with(name, end)) continue;
    const auto base = families_.find(name.substr(0, name.size() - end.size()));
    if (base != families_.end() && base->second.kind == TENON_METRIC_HISTOGRAM) return true;
  }
  return false;
}

void Metrics::forget(const std::string& plugin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = plugins_.find(plugin);
  if (found == plugins_.end()) return;
  for (size_t index = 0; index < found->second->size(); index++) {
    const auto family = families_.find(found->second->all_[index]->name());
    if (--family->second.count == 0) families_.erase(family);
  }
  plugins_.erase(found);
}

Metrics::Snapshot Metrics::snapshot() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Snapshot snapshot;
  snapshot.families = families_;
  for (const auto& [id, plugin] : plugins_) snapshot.plugins.push_back(plugin);
  return snapshot;
}

void Metrics::collect(void (*visit)(void* context, const tenon_metric_value_t* value), void* context) const {
  const Snapshot all = snapshot();
  std::vector<tenon_log_field_t> labels;
  for (const std::shared_ptr<PluginSeries>& plugin : all.plugins) {
    for (uint64_t number = 1; number <= plugin->size(); number++) {
      const Series& series = *plugin->at(number);
      const auto family = all.families.find(series.name());
      labels.clear();
      for (const auto& [key, given] : series.labels()) labels.push_back({bytes(key), bytes(given)});
      const std::vector<uint64_t> counts = series.counts();
      const std::vector<double>& buckets = series.buckets();
      const tenon_metric_value_t value = {
          sizeof(tenon_metric_value_t),
          {sizeof(tenon_metric_t), series.kind(), bytes(series.name()),
           family == all.families.end() ? tenon_bytes_t{nullptr, 0} : bytes(family->second.help), labels.data(),
           labels.size(), buckets.empty() ? nullptr : buckets.data(), buckets.size()},
          bytes(plugin->plugin()),
          series.value(),
          counts.empty() ? 0 : counts.back(),
          counts.empty() ? nullptr : counts.data()};
      visit(context, &value);
    }
  }
}

std::string Metrics::text() const {
  const Snapshot all = snapshot();
  std::map<std::string_view, std::string> lines;
  for (const std::shared_ptr<PluginSeries>& plugin : all.plugins) {
    for (uint64_t number = 1; number <= plugin->size(); number++) {
      const Series& series = *plugin->at(number);
      append_series(plugin->plugin(), series, lines[series.name()]);
    }
  }
  std::string text;
  for (const auto& [name, family] : all.families) {
    append_family(name, kind_name(family.kind), family.help, text);
    text.append(lines[name]);
  }
  return text;
}

}  // namespace tenon::core
