/* Refuses to start, and says why. */
#define INITIALIZE initialize
#include "minimal.h"

static tenon_status initialize(tenon_plugin_t* plugin) {
  log_text(plugin->data, TENON_LOG_ERROR, TEXT("the licence file is missing"));
  return TENON_ERROR_NOT_FOUND;
}
