/* Dies by SIGSEGV in initialize. */
#define INITIALIZE initialize
#include "minimal.h"

static int* volatile nowhere;
static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  *nowhere = 1;
  return TENON_OK;
}
