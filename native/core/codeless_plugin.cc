#include "codeless_plugin.h"

namespace tenon::core {

namespace {

void destroy(tenon_plugin_t*) {}

const void* get_extension(tenon_plugin_t*, const char*) { return nullptr; }

// Nobody writes to it, so all share one.
tenon_status create(const tenon_host_t*, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {
      sizeof(tenon_plugin_t), nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, destroy, get_extension};
  *out = &plugin;
  return TENON_OK;
}

}  // namespace

const tenon_plugin_descriptor_t& codeless_plugin() {
  static const tenon_plugin_descriptor_t descriptor = {sizeof(tenon_plugin_descriptor_t),
                                                       TENON_ABI_MAJOR,
                                                       TENON_ABI_MINOR,
                                                       "codeless",
                                                       "codeless",
                                                       "0.0.0",
                                                       "",
                                                       "",
                                                       TENON_TRIAL_FULL,
                                                       create};
  return descriptor;
}

}  // namespace tenon::core
