#include "tasks_face.h"

#include "host_face.h"

namespace tenon::core {

namespace {

tenon_status add(const tenon_host_t* host, const Tasks::Work& work, uint64_t delay_ms, uint64_t period_ms,
                 uint64_t* number) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return TENON_ERROR_STATE;
  if (work.run == nullptr || delay_ms > TENON_TASKS_DELAY_MS) return TENON_ERROR_ARGUMENT;
  return face.services().tasks.add(work, delay_ms, period_ms, number);
}

tenon_status submit(const tenon_host_t* host, tenon_task_fn work, tenon_task_end_fn end, void* context,
                    uint64_t* task) {
  return add(host, {work, end, context}, 0, 0, task);
}

tenon_status once(const tenon_host_t* host, uint64_t delay_ms, tenon_task_fn work, tenon_task_end_fn end, void* context,
                  uint64_t* task) {
  return add(host, {work, end, context}, delay_ms, 0, task);
}

tenon_status every(const tenon_host_t* host, uint64_t period_ms, tenon_task_fn work, tenon_task_end_fn end,
                   void* context, uint64_t* task) {
  if (period_ms == 0) return TENON_ERROR_ARGUMENT;
  return add(host, {work, end, context}, period_ms, period_ms, task);
}

tenon_status cancel(const tenon_host_t* host, uint64_t task) {
  HostFace& face = HostFace::of(host);
  return face.open() ? face.services().tasks.cancel(task) : TENON_ERROR_STATE;
}

bool cancelled(const tenon_host_t* host, uint64_t task) {
  HostFace& face = HostFace::of(host);
  return !face.open() || face.services().tasks.is_cancelled(task);
}

constexpr tenon_host_tasks_t kTasks = {sizeof(tenon_host_tasks_t), submit, once, every, cancel, cancelled};

}  // namespace

const tenon_host_tasks_t& tasks_functions() { return kTasks; }

}  // namespace tenon::core
