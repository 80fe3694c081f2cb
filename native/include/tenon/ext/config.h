/*
 * Capability tenon.config/1: what the operator has set. A plugin's own config is what is set for it in the registry,
 * else `custom` of its config.yaml; it is as the `configSchema` there says, and secrets stand in it in clear. An
 * extension has, beside it, the settings that each application gives it under `extensions:`. Both are JSON; the host
 * has checked that they are objects, and what else is in them is the plugin's to check.
 */
#ifndef TENON_EXT_CONFIG_H
#define TENON_EXT_CONFIG_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;
struct tenon_plugin;

#define TENON_CONFIG_ID "tenon.config/1"

/* The plugin's side. */
typedef struct tenon_plugin_config {
  uint32_t size;
  /*
   * Something was changed while the generation serves: its own config (`application` empty), or the settings of one of
   * its consumers; `json` empty: that consumer is gone. TENON_OK: taken. TENON_ERROR_UNSUPPORTED: "reload me", and the
   * host does, also for a plugin without this function that has ever looked at its config. Anything else refuses the
   * change: what was holds, and the operator is told the message last logged. What a consumer has set since before this
   * generation began is told, too, when that comes up: here "reload me" is as good as taken.
   * [control] after ready
   */
  tenon_status (*changed)(struct tenon_plugin* plugin, tenon_bytes_t application, tenon_bytes_t json);
} tenon_plugin_config_t;

/* The host's side. What is visited lives during the visit. From create on. [any] */
typedef struct tenon_host_config {
  uint32_t size;
  /* The plugin's own config: an object, "{}" when nothing is set. */
  void (*own)(const struct tenon_host* host, void (*visit)(void* context, tenon_bytes_t json), void* context);
  /* The applications that list this extension, by id, with the settings each gives it. */
  void (*consumers)(const struct tenon_host* host,
                    void (*visit)(void* context, tenon_bytes_t application, tenon_bytes_t settings), void* context);
} tenon_host_config_t;

#ifdef __cplusplus
}
#endif

#endif
