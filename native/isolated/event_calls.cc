#include "plugin_functions.h"

namespace tenon::isolated {

void PluginFunctions::on_event(tenon_plugin_t*, const tenon_event_t*, size_t, uint64_t) {}

}  // namespace tenon::isolated
