/* Needs 2 MiB of stack in initialize, twice what a control thread has. */
#define INITIALIZE initialize
#include "minimal.h"

static tenon_status initialize(tenon_plugin_t* plugin) {
  volatile char deep[2 << 20];
  (void)plugin;
  for (size_t at = 0; at < sizeof deep; at += 1024) deep[sizeof deep - 1 - at] = 1;
  return TENON_OK;
}
