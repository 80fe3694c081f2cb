/* Its initialize never returns. */
#define INITIALIZE initialize
#include <unistd.h>
#include "minimal.h"

static tenon_status initialize(tenon_plugin_t* plugin) {
  while (plugin != NULL) pause();
  return TENON_OK;
}
