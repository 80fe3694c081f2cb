/* Exports the entry, carries no note. */
#define OWN_ENTRY
#include "minimal.h"

TENON_EXPORT const tenon_plugin_descriptor_t* tenon_plugin_entry(void) {
  static const tenon_plugin_descriptor_t descriptor = {.size = sizeof descriptor,
                                                       .abi_major = TENON_ABI_MAJOR,
                                                       .abi_minor = TENON_ABI_MINOR,
                                                       .id = PLUGIN_ID,
                                                       .name = "",
                                                       .version = PLUGIN_VERSION,
                                                       .create = minimal_create};
  return &descriptor;
}
