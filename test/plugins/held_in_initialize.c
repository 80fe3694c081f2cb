/* While there is a file `hold` in DIRECTORY, its initialize writes a file `begun` there and does not return. */
#define PLUGIN_TRIAL TENON_TRIAL_OPEN
#define INITIALIZE initialize
#include <fcntl.h>
#include <unistd.h>
#include "minimal.h"

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  if (access(DIRECTORY "/hold", F_OK) == 0) close(open(DIRECTORY "/begun", O_CREAT | O_WRONLY, 0600));
  while (access(DIRECTORY "/hold", F_OK) == 0) usleep(1000);
  return TENON_OK;
}
