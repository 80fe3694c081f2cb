/*
 * What a plugin is given: the host, and through get_extension every service of it.
 */
#ifndef TENON_HOST_H
#define TENON_HOST_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The host as one plugin sees it. Owned by the host; valid from `create` until `destroy` has returned. Its members
 * never change, so a plugin may keep the pointer and every pointer it got from get_extension for that long.
 */
typedef struct tenon_host {
  uint32_t size;       /* sizeof(tenon_host_t) as the host was built */
  uint16_t abi_major;  /* TENON_ABI_MAJOR as the host was built */
  uint16_t abi_minor;  /* the newest minor the host speaks */
  const char* version; /* release of the host, NUL-terminated, e.g. "0.1.0" */
  void* data;          /* the host's own; not for the plugin */

  /*
   * The host's side of capability `id` (NUL-terminated, e.g. TENON_LOG_ID): a pointer to `const tenon_host_NAME_t`, or
   * NULL when this host does not offer it, which is no error. [any] From `create` on.
   */
  const void* (*get_extension)(const struct tenon_host* host, const char* id);
} tenon_host_t;

#ifdef __cplusplus
}
#endif

#endif
