/* Is well when it is asked first, as in its trial, and never again. */
#define HEALTH health
#include "minimal.h"

static tenon_status health(tenon_plugin_t* plugin) {
  static int asked;
  if (asked++ == 0) return TENON_OK;
  log_text(plugin->data, TENON_LOG_WARN, TEXT("the moon has set"));
  return TENON_ERROR;
}
