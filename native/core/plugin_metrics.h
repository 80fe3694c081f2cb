#ifndef TENON_CORE_PLUGIN_METRICS_H
#define TENON_CORE_PLUGIN_METRICS_H

#include <map>
#include <memory>
#include <string>

#include "metrics.h"

namespace tenon::core {

class Plugin;

// What the host counts of each of `plugins` that is open. [front]
std::string plugin_metrics_text(Exposition exposition, const std::map<std::string, std::unique_ptr<Plugin>>& plugins);

}  // namespace tenon::core

#endif
