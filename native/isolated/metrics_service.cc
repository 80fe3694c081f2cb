#include <vector>

#include "services.h"
#include "session.h"
#include "tenon/ext/metrics.h"

namespace tenon::isolated {

namespace {

bool make(Session& session, wire::Reader& reader, wire::Writer& writer) {
  tenon_metric_t metric = {};
  metric.size = sizeof metric;
  metric.kind = reader.get<uint32_t>();
  metric.name = reader.bytes();
  metric.help = reader.bytes();
  std::vector<tenon_log_field_t> labels(reader.count(16));
  if (labels.size() > TENON_METRICS_LABELS) return false;
  for (tenon_log_field_t& label : labels) {
    label.key = reader.bytes();
    label.value = reader.bytes();
  }
  std::vector<double> buckets(reader.count(sizeof(double)));
  if (buckets.size() > TENON_METRICS_BUCKETS) return false;
  for (double& bound : buckets) bound = reader.get<double>();
  if (!reader.ended()) return false;
  metric.labels = labels.data();
  metric.label_count = labels.size();
  metric.buckets = buckets.empty() ? nullptr : buckets.data();
  metric.bucket_count = buckets.size();
  uint64_t number = 0;
  const auto* const metrics = session.service<tenon_host_metrics_t>(TENON_METRICS_ID);
  writer.put<int32_t>(metrics->series(&session.host(), &metric, &number));
  writer.put(number);
  return true;
}

struct Collected {
  wire::Writer series;
  uint32_t count = 0;
};

void collect_one(void* context, const tenon_metric_value_t* value) {
  Collected& collected = *static_cast<Collected*>(context);
  wire::Writer& series = collected.series;
  const tenon_metric_t& metric = value->metric;
  collected.count++;
  series.put(metric.kind).text(metric.name).text(metric.help).put(static_cast<uint32_t>(metric.label_count));
  for (size_t index = 0; index < metric.label_count; index++) {
    series.text(metric.labels[index].key).text(metric.labels[index].value);
  }
  series.put(static_cast<uint32_t>(metric.bucket_count));
  for (size_t index = 0; index < metric.bucket_count; index++) series.put(metric.buckets[index]);
  series.text(value->plugin).put(value->value).put(value->count);
  for (size_t index = 0; index < metric.bucket_count; index++) series.put(value->bucket_counts[index]);
}

}  // namespace

bool serve_metrics(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  if (code == wire::kUpMetricSeries) return make(session, reader, writer);
  const auto* const metrics = session.service<tenon_host_metrics_t>(TENON_METRICS_ID);
  const tenon_host_t* const host = &session.host();
  if (code == wire::kUpMetricAdd || code == wire::kUpMetricSet) {
    const auto series = reader.get<uint64_t>();
    const auto value = reader.get<double>();
    if (!reader.ended()) return false;
    (code == wire::kUpMetricAdd ? metrics->add : metrics->set)(host, series, value);
    return true;
  }
  if (code != wire::kUpMetricsCollect || !reader.ended()) return false;
  Collected collected;
  writer.put<int32_t>(metrics->collect(host, collect_one, &collected));
  writer.put(collected.count).raw(collected.series.bytes());
  return true;
}

}  // namespace tenon::isolated
