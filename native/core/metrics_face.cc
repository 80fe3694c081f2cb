#include "metrics_face.h"

#include "front.h"
#include "host_face.h"

namespace tenon::core {

namespace {

tenon_status series(const tenon_host_t* host, const tenon_metric_t* metric, uint64_t* number) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return TENON_ERROR_STATE;
  if (metric == nullptr || metric->size < sizeof(tenon_metric_t) || number == nullptr) return TENON_ERROR_ARGUMENT;
  return face.plugin().front().metrics().series(face.services().own_series(), *metric, *number);
}

Series* series_of(const tenon_host_t* host, uint64_t number) {
  const HostFace& face = HostFace::of(host);
  if (!face.open()) return nullptr;
  const PluginSeries* const own = face.services().series();
  return own == nullptr ? nullptr : own->at(number);
}

void add(const tenon_host_t* host, uint64_t number, double value) {
  if (Series* const found = series_of(host, number); found != nullptr) found->add(value);
}

void set(const tenon_host_t* host, uint64_t number, double value) {
  if (Series* const found = series_of(host, number); found != nullptr) found->set(value);
}

tenon_status collect(const tenon_host_t* host, void (*visit)(void* context, const tenon_metric_value_t* value),
                     void* context) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return TENON_ERROR_STATE;
  if (visit == nullptr) return TENON_ERROR_ARGUMENT;
  face.plugin().front().metrics().collect(visit, context);
  return TENON_OK;
}

constexpr tenon_host_metrics_t kMetrics = {sizeof(tenon_host_metrics_t), series, add, set, collect};

}  // namespace

const tenon_host_metrics_t& metrics_functions() { return kMetrics; }

}  // namespace tenon::core
