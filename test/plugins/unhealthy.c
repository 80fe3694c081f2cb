/* Starts, and then says that it cannot serve. */
#define HEALTH health
#include "minimal.h"

static tenon_status health(tenon_plugin_t* plugin) {
  log_text(plugin->data, TENON_LOG_WARN, TEXT("no connection to the moon"));
  return TENON_ERROR;
}
