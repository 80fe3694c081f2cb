/* Its initialize would fail anywhere but in the host, and it says so: the trial ends after the entry. */
#define PLUGIN_TRIAL TENON_TRIAL_OPEN
#define INITIALIZE initialize
#include <stdlib.h>
#include "minimal.h"

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  abort();
}
