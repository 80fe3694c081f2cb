#include "tenon/ext/metrics.h"

#include <cmath>
#include <vector>

#include "host.h"

namespace tenon::runner {

namespace {

bool is_sound(tenon_bytes_t text) { return text.data != nullptr || text.size == 0; }

// Longer than any that is taken: one that is cut is refused all the same.
constexpr size_t kTextBytes = 4096;

std::string_view cut(tenon_bytes_t text) { return {text.data, text.size < kTextBytes ? text.size : kTextBytes}; }

bool is_within_bounds(const tenon_metric_t& metric) {
  if (!is_sound(metric.name) || !is_sound(metric.help)) return false;
  if (metric.label_count > TENON_METRICS_LABELS || (metric.label_count > 0 && metric.labels == nullptr)) return false;
  for (size_t index = 0; index < metric.label_count; index++) {
    if (!is_sound(metric.labels[index].key) || !is_sound(metric.labels[index].value)) return false;
  }
  return metric.bucket_count <= TENON_METRICS_BUCKETS && (metric.bucket_count == 0 || metric.buckets != nullptr);
}

tenon_status series(const tenon_host_t* host, const tenon_metric_t* metric, uint64_t* number) {
  if (metric == nullptr || metric->size < sizeof(tenon_metric_t) || number == nullptr) return TENON_ERROR_ARGUMENT;
  if (!is_within_bounds(*metric)) return TENON_ERROR_ARGUMENT;
  wire::Writer writer;
  writer.put(metric->kind).text(cut(metric->name)).text(cut(metric->help));
  writer.put(static_cast<uint32_t>(metric->label_count));
  for (size_t index = 0; index < metric->label_count; index++) {
    writer.text(cut(metric->labels[index].key)).text(cut(metric->labels[index].value));
  }
  writer.put(static_cast<uint32_t>(metric->bucket_count));
  for (size_t index = 0; index < metric->bucket_count; index++) writer.put(metric->buckets[index]);
  const std::string answer = Host::of(host).ask(wire::kUpMetricSeries, {writer.bytes()});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  if (status == TENON_OK) *number = reader.get<uint64_t>();
  return status;
}

void tell(const tenon_host_t* host, uint16_t code, uint64_t number, double value) {
  if (number - 1 >= TENON_METRICS_SERIES || !std::isfinite(value)) return;
  wire::Writer writer;
  writer.put(number).put(value);
  Host::of(host).tell(code, {writer.bytes()});
}

void add(const tenon_host_t* host, uint64_t number, double value) { tell(host, wire::kUpMetricAdd, number, value); }
void set(const tenon_host_t* host, uint64_t number, double value) { tell(host, wire::kUpMetricSet, number, value); }

tenon_status collect(const tenon_host_t* host, void (*visit)(void* context, const tenon_metric_value_t* value),
                     void* context) {
  if (visit == nullptr) return TENON_ERROR_ARGUMENT;
  const std::string answer = Host::of(host).ask(wire::kUpMetricsCollect, {});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  const auto count = reader.get<uint32_t>();
  std::vector<tenon_log_field_t> labels;
  std::vector<double> buckets;
  std::vector<uint64_t> counts;
  for (uint32_t index = 0; index < count; index++) {
    tenon_metric_value_t value = {};
    value.size = sizeof value;
    tenon_metric_t& metric = value.metric;
    metric.size = sizeof metric;
    metric.kind = reader.get<uint32_t>();
    metric.name = reader.bytes();
    metric.help = reader.bytes();
    labels.resize(reader.count(16));
    for (tenon_log_field_t& label : labels) {
      label.key = reader.bytes();
      label.value = reader.bytes();
    }
    buckets.resize(reader.count(sizeof(double)));
    for (double& bound : buckets) bound = reader.get<double>();
    value.plugin = reader.bytes();
    value.value = reader.get<double>();
    value.count = reader.get<uint64_t>();
    counts.resize(buckets.size());
    for (uint64_t& observed : counts) observed = reader.get<uint64_t>();
    metric.labels = labels.data();
    metric.label_count = labels.size();
    metric.buckets = buckets.empty() ? nullptr : buckets.data();
    metric.bucket_count = buckets.size();
    value.bucket_counts = metric.kind == TENON_METRIC_HISTOGRAM ? counts.data() : nullptr;
    visit(context, &value);
  }
  return status;
}

constexpr tenon_host_metrics_t kMetrics = {sizeof(tenon_host_metrics_t), series, add, set, collect};

}  // namespace

const void* metrics_functions() { return &kMetrics; }

}  // namespace tenon::runner
