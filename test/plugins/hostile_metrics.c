/* Counts under names and labels that a careless writer of text would break at. */
#define INITIALIZE initialize
#define PLUGIN_TRIAL TENON_TRIAL_OPEN
#include <tenon/ext/metrics.h>
#include "minimal.h"

static tenon_status initialize(tenon_plugin_t* plugin) {
  const tenon_host_t* host = plugin->data;
  const tenon_host_metrics_t* metrics = host->get_extension(host, TENON_METRICS_ID);
  if (metrics == NULL) return TENON_OK;
  static const double bounds[] = {-1, 0.5, 2, 1e30};
  const tenon_log_field_t labels[] = {{TEXT("what"), TEXT("a \"b\" \\ c\nd {e=\"f\"} 1 # EOF")},
                                      {TEXT("where"), TEXT("K\xc3\xb6ln \xf0\x9f\x98\x80\r\x7f\x01")}};
  const tenon_bytes_t helps[] = {TEXT("Says \"so\" \\ and\nso."), TEXT("")};
  const tenon_bytes_t names[] = {TEXT("odd"), TEXT("odd_seconds"), TEXT("odd_bytes_total")};
  for (size_t index = 0; index < 3; index++) {
    const bool histogram = index == 1;
    tenon_metric_t metric = {sizeof metric,
                             histogram ? TENON_METRIC_HISTOGRAM : TENON_METRIC_COUNTER,
                             names[index],
                             helps[index % 2],
                             labels,
                             2,
                             histogram ? bounds : NULL,
                             histogram ? 4 : 0};
    uint64_t series = 0;
    if (metrics->series(host, &metric, &series) != TENON_OK) return TENON_ERROR;
    metrics->add(host, series, 1.5);
  }
  tenon_metric_t taken = {sizeof taken, TENON_METRIC_GAUGE, TEXT("odd_total"), TEXT("Not free."), NULL, 0, NULL, 0};
  uint64_t series = 0;
  if (metrics->series(host, &taken, &series) != TENON_ERROR_EXISTS) return TENON_ERROR;
  taken.name = TEXT("process_open_fds");
  return metrics->series(host, &taken, &series) == TENON_ERROR_ARGUMENT ? TENON_OK : TENON_ERROR;
}
