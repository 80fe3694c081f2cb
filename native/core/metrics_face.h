#ifndef TENON_CORE_METRICS_FACE_H
#define TENON_CORE_METRICS_FACE_H

#include "tenon/ext/metrics.h"

namespace tenon::core {

// tenon.metrics/1 as plugins call it.
const tenon_host_metrics_t& metrics_functions();

}  // namespace tenon::core

#endif
