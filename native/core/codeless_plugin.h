#ifndef TENON_CORE_CODELESS_PLUGIN_H
#define TENON_CORE_CODELESS_PLUGIN_H

#include "tenon/entry.h"

namespace tenon::core {

// Of a plugin that does nothing: its generations are there for the gates of one that is answered for elsewhere, which
// need a live generation and its threads. For ever; any number of generations may be made of it, under any id. [any]
const tenon_plugin_descriptor_t& codeless_plugin();

}  // namespace tenon::core

#endif
