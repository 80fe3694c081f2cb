#include "sandbox.h"

namespace tenon::runner {

bool enter_sandbox(const wire::RunnerSettings&, std::string&) { return true; }

}  // namespace tenon::runner
