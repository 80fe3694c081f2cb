/*
 * Capability tenon.metrics/1: numbers that operators watch. The host offers tenon_host_metrics_t; a plugin offers
 * nothing. Every series carries the label `plugin`, and stays over reloads of its plugin; it is gone once the plugin
 * is.
 */
#ifndef TENON_EXT_METRICS_H
#define TENON_EXT_METRICS_H

#include "../types.h"
#include "log.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;

#define TENON_METRICS_ID "tenon.metrics/1"

/* Series that a plugin may have, buckets of a histogram, and labels of a series. */
#define TENON_METRICS_SERIES 1000u
#define TENON_METRICS_BUCKETS 32u
#define TENON_METRICS_LABELS 8u

enum { TENON_METRIC_COUNTER = 1, TENON_METRIC_GAUGE = 2, TENON_METRIC_HISTOGRAM = 3 };

/* What a series is. Views. */
typedef struct tenon_metric {
  uint32_t size;
  uint32_t kind;      /* TENON_METRIC_… */
  tenon_bytes_t name; /* [a-zA-Z_][a-zA-Z0-9_]*, 1 to 127 bytes; a counter's ends with "_total" by custom; names that
                         begin with "tenon_", "process_" or "nodejs_" are the host's */
  tenon_bytes_t help; /* one sentence, at most 1 KiB; that of the first series of a name counts */
  const tenon_log_field_t* labels; /* keys as names, other than "plugin" and "le"; values of at most 255 bytes */
  size_t label_count;
  const double* buckets; /* upper bounds of a histogram, finite and rising; NULL for others */
  size_t bucket_count;
} tenon_metric_t;

/* One series with its value, as collected. Views that live during the visit. */
typedef struct tenon_metric_value {
  uint32_t size;
  tenon_metric_t metric;
  tenon_bytes_t plugin;          /* whose it is */
  double value;                  /* of a counter or gauge; the sum of a histogram */
  uint64_t count;                /* of a histogram: observations */
  const uint64_t* bucket_counts; /* of a histogram: at most each bound, cumulative; metric.bucket_count of them */
} tenon_metric_value_t;

typedef struct tenon_host_metrics {
  uint32_t size;

  /* The series `metric` of this plugin, made when it is new: `*series` gets its number, which holds as long as the
   * generation. TENON_ERROR_TOO_LARGE past TENON_METRICS_SERIES; TENON_ERROR_EXISTS when the name is of another kind,
   * of any plugin, is a line of another family (of a histogram its name and "_bucket", "_sum", "_count" or "_created",
   * of a counter the name with and without "_total", and with "_created"), or has other buckets in this plugin. From
   * create on. [any] */
  tenon_status (*series)(const struct tenon_host* host, const tenon_metric_t* metric, uint64_t* series);
  /* Add to a counter (0 or more) or a gauge; observe a value in a histogram. What is not finite, and a number that is
   * of no series of this plugin, is let be. Never waits. [any] */
  void (*add)(const struct tenon_host* host, uint64_t series, double value);
  /* Set a gauge to a finite value. [any] */
  void (*set)(const struct tenon_host* host, uint64_t series, double value);

  /* Visit every series of every plugin, as of about now. `visit` must not call this capability. [pool] [control] [task]
   * [event] */
  tenon_status (*collect)(const struct tenon_host* host,
                          void (*visit)(void* context, const tenon_metric_value_t* value), void* context);
} tenon_host_metrics_t;

#ifdef __cplusplus
}
#endif

#endif
