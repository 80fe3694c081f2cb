/* Its note is right, its descriptor is of another contract. */
#define tenon_plugin_entry right_entry
#include "minimal.h"
#undef tenon_plugin_entry

TENON_EXPORT const tenon_plugin_descriptor_t* tenon_plugin_entry(void) {
  static tenon_plugin_descriptor_t wrong;
  wrong = *right_entry();
  wrong.abi_major = 7;
  return &wrong;
}
