/*
 * What a plugin gives: one object with its life and its capabilities.
 *
 * Order of life: create -> initialize -> (routes registered) -> load state -> ready -> requests ...
 *                -> quiesce -> save state -> shutdown -> destroy
 * A failure up to initialize goes straight to destroy, a later one through shutdown. Each step has a deadline (the
 * host's setting, 10 s by default); a step that misses it is reported by name and the generation is given up; its
 * library stays mapped until the step returns, and for good when that is initialize: whether shutdown may follow is not
 * known then.
 */
#ifndef TENON_PLUGIN_H
#define TENON_PLUGIN_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The world of an application once it exists: handed to `ready`. Owned by the host; valid until `destroy` has returned.
 */
typedef struct tenon_context {
  uint32_t size;
  tenon_bytes_t app_id;         /* the application this plugin is, e.g. "hello" */
  tenon_bytes_t root_directory; /* absolute path of the application's folder; empty for a plugin without one */
  uint64_t generation;          /* number of this life of the plugin, from 1 upwards */
} tenon_context_t;

/*
 * A plugin instance. Made and owned by the plugin: `create` hands the pointer out, `destroy` ends it. The struct must
 * not move or change in between. A member that is optional may be NULL.
 */
typedef struct tenon_plugin {
  uint32_t size; /* sizeof(tenon_plugin_t) as the plugin was built */
  void* data;    /* the plugin's own; the host never looks at it */

  /* Light set-up: log, config and state may be used, nothing else exists yet. Optional. [control] after create */
  tenon_status (*initialize)(struct tenon_plugin* plugin);

  /* Tables, routes and services exist; the first request comes after this returns. Optional. [control] after initialize
   */
  tenon_status (*ready)(struct tenon_plugin* plugin, const tenon_context_t* context);

  /* TENON_OK when the plugin can serve. Asked by the trial after initialize (a throw-away process without context) and
   * by the host at any time while it serves; should answer within 1 s: a later answer counts as unhealthy. Optional:
   * absent means healthy. [control] */
  tenon_status (*health)(struct tenon_plugin* plugin);

  /* Let go of what a successor needs for itself (ports, locks, files). Requests in flight have ended and none come.
   * Optional. [control] */
  tenon_status (*quiesce)(struct tenon_plugin* plugin);

  /* The successor failed: take up again what quiesce let go of; requests come again. Optional. [control] after quiesce
   */
  tenon_status (*resume)(struct tenon_plugin* plugin);

  /* End own threads and work. Every deferred response must have been completed when this returns. Optional. [control]
   * no request is in flight */
  void (*shutdown)(struct tenon_plugin* plugin);

  /* Free the instance. No call follows. Required. [control] */
  void (*destroy)(struct tenon_plugin* plugin);

  /*
   * The plugin's side of capability `id` (NUL-terminated, e.g. TENON_HTTP_ID): a pointer to `const tenon_plugin_NAME_t`
   * that stays valid until destroy, or NULL when the plugin does not offer it. Required. [any] after create
   */
  const void* (*get_extension)(struct tenon_plugin* plugin, const char* id);
} tenon_plugin_t;

#ifdef __cplusplus
}
#endif

#endif
