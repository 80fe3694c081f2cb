/*
 * Capability tenon.state/1: what must outlive a generation.
 *
 * Two ways, which may be used together:
 *   hand-over   the plugin offers tenon_plugin_state_t; at a reload the old generation saves, the new one loads. New
 *               requests wait meanwhile, requests in flight have ended: the two never run at once. A plugin that is
 *               stopped saves too, for its next start, which may be in another host.
 *   key-value   the host offers tenon_host_state_t; values are kept per plugin, across its generations, and across
 *               restarts of its host, however that has ended.
 */
#ifndef TENON_EXT_STATE_H
#define TENON_EXT_STATE_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;
struct tenon_plugin;

#define TENON_STATE_ID "tenon.state/1"

/* Upper bound of one saved state, and of all keys and values of one plugin together, in bytes. */
#define TENON_STATE_LIMIT (64u * 1024u * 1024u)

/* Where `save` writes. Owned by the host; valid during save. */
typedef struct tenon_state_writer {
  uint32_t size;
  void* data; /* the host's own */
  /* Append bytes (copied). TENON_ERROR_TOO_LARGE past TENON_STATE_LIMIT; save should then fail. [control] */
  tenon_status (*write)(const struct tenon_state_writer* writer, tenon_bytes_t bytes);
  /* Say why save fails, in one sentence; shown in the reload record. [control] */
  void (*fail)(const struct tenon_state_writer* writer, tenon_bytes_t message);
} tenon_state_writer_t;

/* What `load` reads. Owned by the host; valid during load. */
typedef struct tenon_state_reader {
  uint32_t size;
  bool dry_run;        /* true: check that the state can be taken, change nothing */
  uint32_t version;    /* the version the bytes were saved with */
  tenon_bytes_t bytes; /* everything that was saved, in order; checked against damage by the host */
  void* data;          /* the host's own */
  /* Say why load fails, in one sentence; shown in the reload record. [control] */
  void (*fail)(const struct tenon_state_reader* reader, tenon_bytes_t message);
} tenon_state_reader_t;

/* The plugin's side. */
typedef struct tenon_plugin_state {
  uint32_t size;
  uint32_t version; /* of the format that save writes; raise it when the format changes */

  /* Write the whole state. The instance must stay able to serve: the reload may yet fail, and then this generation goes
   * on. [control] no request is in flight; after quiesce */
  tenon_status (*save)(struct tenon_plugin* plugin, const tenon_state_writer_t* writer);

  /* Take a state over. Called at most twice, first with `dry_run`; TENON_ERROR_VERSION refuses the version. A refusal
   * ends the reload and the old generation goes on; without an old one a new instance begins empty. [control] after
   * initialize, before ready */
  tenon_status (*load)(struct tenon_plugin* plugin, const tenon_state_reader_t* reader);
} tenon_plugin_state_t;

/* The host's side: key-value state of the plugin, kept across generations and restarts of the host. A change is kept
 * when its call answers TENON_OK, also if the process crashes or is killed then; where the host keeps no state, it is
 * in memory alone. */
typedef struct tenon_host_state {
  uint32_t size;

  /* Store a copy of `value` under `key` (1 to 255 bytes). TENON_ERROR_TOO_LARGE past TENON_STATE_LIMIT,
   * TENON_ERROR_STORAGE when the disk does not take it: what was there stays. [any] */
  tenon_status (*put)(const struct tenon_host* host, tenon_bytes_t key, tenon_bytes_t value);

  /* Copy the value of `key` into `buffer`. `*value_size` gets its full size, also when `capacity` is too small: then
   * nothing is copied and the answer is TENON_ERROR_TOO_LARGE. TENON_ERROR_NOT_FOUND when there is none. [any] */
  tenon_status (*get)(const struct tenon_host* host, tenon_bytes_t key, void* buffer, size_t capacity,
                      size_t* value_size);

  /* Forget `key`; TENON_ERROR_NOT_FOUND when there is none, TENON_ERROR_STORAGE as `put`. [any] */
  tenon_status (*remove)(const struct tenon_host* host, tenon_bytes_t key);
} tenon_host_state_t;

#ifdef __cplusplus
}
#endif

#endif
