#ifndef TENON_CORE_TASKS_FACE_H
#define TENON_CORE_TASKS_FACE_H

#include "tenon/ext/tasks.h"

namespace tenon::core {

// tenon.tasks/1 as plugins call it.
const tenon_host_tasks_t& tasks_functions();

}  // namespace tenon::core

#endif
