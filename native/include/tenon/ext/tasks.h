/*
 * Capability tenon.tasks/1: work and timers on threads of the host's making. The host offers tenon_host_tasks_t; a
 * plugin offers nothing.
 *
 * Tasks belong to the generation that began them, and end with it: they run while it serves and at no other time, they
 * pause while it hands its state over, and once it is being replaced none begins any more; one that runs is waited for
 * as a request is. A task that has begun is never interrupted: a long one asks `cancelled` now and then. [task] is a
 * thread of the generation, made when it is first needed; at most two tasks of a generation run at once. A task that
 * does not return keeps its generation's image mapped, and is named in the reload record.
 */
#ifndef TENON_EXT_TASKS_H
#define TENON_EXT_TASKS_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;

#define TENON_TASKS_ID "tenon.tasks/1"

/* Tasks and timers that a generation may have at once. */
#define TENON_TASKS_LIMIT 10000u
/* Longest delay and period, ms: 30 days. */
#define TENON_TASKS_DELAY_MS 2592000000u

/* The work; `task` is its number. [task] */
typedef void (*tenon_task_fn)(void* context, uint64_t task);
/* `context` is no longer needed: called once for each task, after its last run or in place of it; not when beginning
 * it failed. [task] [control] or within the call that cancels it; must return at once */
typedef void (*tenon_task_end_fn)(void* context);

/* Allowed from tenon_plugin_t.ready on, until shutdown is called: otherwise TENON_ERROR_STATE. */
typedef struct tenon_host_tasks {
  uint32_t size;

  /* Do `work` once, as soon as a thread is free. `end` may be NULL. `*task` gets its number, never 0; `task` may be
   * NULL. TENON_ERROR_TOO_LARGE past TENON_TASKS_LIMIT; TENON_ERROR_MEMORY while the plugin serves and no thread can be
   * started. One that was taken before that waits for a thread, which is tried for again and again. [any] */
  tenon_status (*submit)(const struct tenon_host* host, tenon_task_fn work, tenon_task_end_fn end, void* context,
                         uint64_t* task);
  /* The same in `delay_ms` (monotonic clock; at most TENON_TASKS_DELAY_MS). [any] */
  tenon_status (*once)(const struct tenon_host* host, uint64_t delay_ms, tenon_task_fn work, tenon_task_end_fn end,
                       void* context, uint64_t* task);
  /* Again and again, first in `period_ms` (1 to TENON_TASKS_DELAY_MS). Never twice at once: a turn that is still
   * running when the next is due makes that one skipped. [any] */
  tenon_status (*every)(const struct tenon_host* host, uint64_t period_ms, tenon_task_fn work, tenon_task_end_fn end,
                        void* context, uint64_t* task);
  /* No run of the task begins from now on; one that runs sees `cancelled`. TENON_ERROR_NOT_FOUND for one that is over.
   * [any], also within the task */
  tenon_status (*cancel)(const struct tenon_host* host, uint64_t task);
  /* Whether the task should return soon: it was cancelled or is over, or its generation is to end or to hand over.
   * [any]
   */
  bool (*cancelled)(const struct tenon_host* host, uint64_t task);
} tenon_host_tasks_t;

#ifdef __cplusplus
}
#endif

#endif
