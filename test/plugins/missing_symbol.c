/* Calls a function that no library has. */
#define INITIALIZE initialize
#include "minimal.h"

extern void tenon_test_nobody_has_this(void);
static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  tenon_test_nobody_has_this();
  return TENON_OK;
}
