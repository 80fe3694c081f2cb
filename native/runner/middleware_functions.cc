#include "host.h"

namespace tenon::runner {

const void* middleware_functions() { return nullptr; }

}  // namespace tenon::runner
