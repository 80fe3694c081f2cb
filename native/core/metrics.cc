#include "metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "byte_buffer.h"
#include "json.h"

namespace tenon::core {

namespace {

// What names of the host's own begin with.
constexpr std::array<std::string_view, 3> kReserved = {"tenon_", "process_", "nodejs_"};
constexpr std::string_view kTotal = "_total";

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

bool is_reserved(std::string_view name) {
  return std::any_of(kReserved.begin(), kReserved.end(),
                     [name](std::string_view begin) { return name.substr(0, begin.size()) == begin; });
}

bool is_letter(char one) { return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || one == '_'; }

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > Metrics::kNameBytes || !is_letter(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char one) { return is_letter(one) || (one >= '0' && one <= '9'); });
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
}

// OpenMetrics calls the family of a counter so; its lines end with `_total`.
std::string_view counted(std::string_view name) {
  return ends_with(name, kTotal) ? name.substr(0, name.size() - kTotal.size()) : name;
}

std::vector<std::string> names_of_lines(std::string_view name, uint32_t kind) {
  std::vector<std::string> names;
  const auto add = [&names](std::string_view begin, std::string_view end) {
    names.push_back(std::string(begin).append(end));
  };
  if (kind == TENON_METRIC_GAUGE) {
    add(name, "");
  } else if (kind == TENON_METRIC_COUNTER) {
    for (const std::string_view end : {"", "_total", "_created"}) add(counted(name), end);
  } else {
    for (const std::string_view end : {"", "_bucket", "_sum", "_count", "_created"}) add(name, end);
  }
  return names;
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

// OpenMetrics writes whole bounds with a fraction.
void append_bound(Exposition exposition, double bound, std::string& to) {
  const size_t begin = to.size();
  append_number(bound, to);
  const bool whole = to.find_first_not_of("-0123456789", begin) == std::string::npos;
  if (exposition == Exposition::OpenMetrics && whole) to.append(".0");
}

void append_series(Exposition exposition, std::string_view plugin, const Series& series, std::string& text) {
  const std::string& name = series.name();
  if (series.kind() == TENON_METRIC_COUNTER && exposition == Exposition::OpenMetrics) {
    const std::string total = std::string(counted(name)).append(kTotal);
    return append_sample(total, plugin, series.labels(), {}, series.value(), text);
  }
  if (series.kind() != TENON_METRIC_HISTOGRAM)
    return append_sample(name, plugin, series.labels(), {}, series.value(), text);
  const std::vector<uint64_t> counts = series.counts();
  const std::string bucket = name + "_bucket";
  for (size_t index = 0; index < counts.size(); index++) {
    std::string bound = "le=\"";
    append_bound(exposition, index < series.buckets().size() ? series.buckets()[index] : HUGE_VAL, bound);
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

void append_family(Exposition exposition, std::string_view name, std::string_view kind, std::string_view help,
                   std::string& text) {
  const bool open = exposition == Exposition::OpenMetrics;
  const std::string_view family = open && kind == "counter" ? counted(name) : name;
  text.append("# HELP ").append(family).append(" ");
  append_escaped(help.empty() ? "Not described by its plugin." : help, open, text);
  text.append("\n# TYPE ").append(family).append(" ").append(kind).append("\n");
  for (const std::string_view unit : {"seconds", "bytes"}) {
    if (!open || !ends_with(family, unit) || family[family.size() - unit.size() - 1] != '_') continue;
    text.append("# UNIT ").append(family).append(" ").append(unit).append("\n");
  }
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
  if (!is_name(name) || is_reserved(name)) return TENON_ERROR_ARGUMENT;
  if (!is_text(metric.help, kHelpBytes)) return TENON_ERROR_ARGUMENT;
  std::optional<Series::Labels> labels = labels_of(metric);
  std::optional<std::vector<double>> buckets = buckets_of(metric);
  if (!labels || !buckets) return TENON_ERROR_ARGUMENT;

  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = plugins_.find(plugin.plugin());
  if (known == plugins_.end() || known->second.get() != &plugin) return TENON_ERROR_STATE;
  const std::vector<std::string> lines = names_of_lines(name, metric.kind);
  const auto known_family = families_.find(name);
  const bool fresh = known_family == families_.end();
  const auto is_taken = [this](const std::string& line) { return taken_.count(line) > 0; };
  if (fresh ? std::any_of(lines.begin(), lines.end(), is_taken) : known_family->second.kind != metric.kind) {
    return TENON_ERROR_EXISTS;
  }
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
    for (const std::string& line : lines) taken_.insert(line);
  }
  plugin.all_[size] = std::make_unique<Series>(metric.kind, std::string(name), std::move(*labels), std::move(*buckets));
  plugin.size_.store(size + 1, std::memory_order_release);
  number = size + 1;
  return TENON_OK;
}

void Metrics::forget(const std::string& plugin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = plugins_.find(plugin);
  if (found == plugins_.end()) return;
  for (size_t index = 0; index < found->second->size(); index++) {
    const auto family = families_.find(found->second->all_[index]->name());
    if (--family->second.count > 0) continue;
    for (const std::string& line : names_of_lines(family->first, family->second.kind)) taken_.erase(line);
    families_.erase(family);
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

std::string Metrics::text(Exposition exposition) const {
  const Snapshot all = snapshot();
  std::map<std::string_view, std::string> lines;
  for (const std::shared_ptr<PluginSeries>& plugin : all.plugins) {
    for (uint64_t number = 1; number <= plugin->size(); number++) {
      const Series& series = *plugin->at(number);
      append_series(exposition, plugin->plugin(), series, lines[series.name()]);
    }
  }
  std::string text;
  for (const auto& [name, family] : all.families) {
    append_family(exposition, name, kind_name(family.kind), family.help, text);
    text.append(lines[name]);
  }
  return text;
}

}  // namespace tenon::core
