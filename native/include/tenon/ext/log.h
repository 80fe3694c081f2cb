/*
 * Capability tenon.log/1: records that land in the host's own log, tagged with plugin and generation.
 * The host offers tenon_host_log_t; a plugin offers nothing.
 */
#ifndef TENON_EXT_LOG_H
#define TENON_EXT_LOG_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;

#define TENON_LOG_ID "tenon.log/1"

/* Severities; the numbers are pino's. */
enum {
  TENON_LOG_TRACE = 10,
  TENON_LOG_DEBUG = 20,
  TENON_LOG_INFO = 30,
  TENON_LOG_WARN = 40,
  TENON_LOG_ERROR = 50,
  TENON_LOG_FATAL = 60
};

/* One field of a record: a key of 1 to 63 bytes and a value as text. */
typedef struct tenon_log_field {
  tenon_bytes_t key;
  tenon_bytes_t value;
} tenon_log_field_t;

typedef struct tenon_host_log {
  uint32_t size;

  /*
   * Write a record. Copies everything before it returns; never blocks: a record that finds the ring full, or that is
   * longer than 8 KiB with its fields, is dropped or cut and counted, and the count is logged when there is room again.
   * Bytes that are not UTF-8 are replaced on the way out. `fields` may be NULL when `field_count` is 0. [any]
   */
  void (*write)(const struct tenon_host* host, int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields,
                size_t field_count);

  /* True when a record of `level` would be kept: ask before building an expensive message. [any] */
  bool (*enabled)(const struct tenon_host* host, int32_t level);
} tenon_host_log_t;

#ifdef __cplusplus
}
#endif

#endif
