/*
 * Where there is a file `armed.<process id>` in DIRECTORY, its initialize renames that to `begun.<process id>`, and
 * returns when this is gone.
 */
#define INITIALIZE initialize
#include <stdio.h>
#include <unistd.h>
#include "minimal.h"

static tenon_status initialize(tenon_plugin_t* plugin) {
  char armed[512];
  char begun[512];
  (void)plugin;
  snprintf(armed, sizeof armed, DIRECTORY "/armed.%d", (int)getpid());
  snprintf(begun, sizeof begun, DIRECTORY "/begun.%d", (int)getpid());
  if (rename(armed, begun) != 0) return TENON_OK;
  while (access(begun, F_OK) == 0) usleep(1000);
  return TENON_OK;
}
