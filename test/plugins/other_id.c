/* Its note says PLUGIN_ID, its descriptor another. */
#define tenon_plugin_entry right_entry
#include "minimal.h"
#undef tenon_plugin_entry

TENON_EXPORT const tenon_plugin_descriptor_t* tenon_plugin_entry(void) {
  static tenon_plugin_descriptor_t wrong;
  wrong = *right_entry();
  wrong.id = "somebody-else";
  return &wrong;
}
