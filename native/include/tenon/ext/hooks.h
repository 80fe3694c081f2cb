/*
 * Capability tenon.hooks/1: how one plugin extends another. A plugin runs a chain by name and version; each extension
 * that its application lists and that offers a hook of that name and version is called with bytes and gives bytes,
 * which are the input of the next. What the bytes mean is agreed on between the two: a change of it is a new version.
 */
#ifndef TENON_EXT_HOOKS_H
#define TENON_EXT_HOOKS_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;
struct tenon_plugin;

#define TENON_HOOKS_ID "tenon.hooks/1"

/* Hooks of one plugin, and bytes that go in or come out. */
#define TENON_HOOKS_LIMIT 64u
#define TENON_HOOK_BYTES (16u * 1024u * 1024u)

/* One hook. Owned by the plugin, unchanged until destroy. */
typedef struct tenon_hook {
  uint32_t size;
  uint32_t version;   /* from 1 upwards; only a chain of the very same version calls it */
  tenon_bytes_t name; /* [a-z0-9_.-], 1 to 127 bytes, such as "blog.render" */
  int32_t order;      /* smaller first; those of the same order as the application lists them */
} tenon_hook_t;

/* Takes bytes; copies them. Valid during the call it came with. TENON_ERROR_TOO_LARGE past TENON_HOOK_BYTES in all. */
typedef struct tenon_hook_output {
  uint32_t size;
  void* data; /* its owner's */
  tenon_status (*write)(const struct tenon_hook_output* output, tenon_bytes_t bytes);
  /* Why it failed, in one sentence. */
  void (*fail)(const struct tenon_hook_output* output, tenon_bytes_t message);
} tenon_hook_output_t;

/* The plugin's side. */
typedef struct tenon_plugin_hooks {
  uint32_t size;
  /* Fixed after initialize; at most TENON_HOOKS_LIMIT. [control] after initialize */
  uint32_t (*hook_count)(struct tenon_plugin* plugin);
  const tenon_hook_t* (*hook)(struct tenon_plugin* plugin, uint32_t index);
  /* Give what becomes of `input` (empty is fine). TENON_ERROR_NOT_FOUND leaves it as it is; anything else but TENON_OK
   * ends the chain: TENON_ERROR refuses, with the message of `fail` for whoever runs the chain, any other status says
   * that the hook failed, and the message is for the log. On the thread of whoever runs the chain, under a lease. [any]
   */
  tenon_status (*call)(struct tenon_plugin* plugin, uint32_t index, tenon_bytes_t input,
                       const tenon_hook_output_t* output);
} tenon_plugin_hooks_t;

/* The host's side. */
typedef struct tenon_host_hooks {
  uint32_t size;
  /*
   * Run the chain `name` of `version`; `output` (the caller's) is given what comes out, in one write: the input itself
   * when nobody has a hook. Its `fail` is given the message, with the extension's id, when one fails: then the status
   * is TENON_ERROR. TENON_ERROR_AGAIN when an extension that is required does not run, or one is being replaced and
   * this is [main], or it takes longer than 30 s. Chains within chains may be eight deep: TENON_ERROR_TOO_LARGE.
   * TENON_ERROR_STATE on any other thread. TENON_ERROR_DENIED without the permission hooks:call:NAME. [handler] [task]
   * [event]
   */
  tenon_status (*run)(const struct tenon_host* host, tenon_bytes_t name, uint32_t version, tenon_bytes_t input,
                      const tenon_hook_output_t* output);
} tenon_host_hooks_t;

#ifdef __cplusplus
}
#endif

#endif
