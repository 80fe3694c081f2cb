/*
 * Uses tasks, events and metrics. GET /do?… asks for one of them; GET /seen gives what has happened, a line each.
 *   PLUGIN_ID, BUILD    what it says of itself
 *   SUBSCRIBE           a pattern to subscribe to in ready
 *   TICK                a timer of 1 ms from ready on, which publishes "tick.<BUILD>"
 *   HANG_WHILE          a file: ?hang does not return while it is there
 *   BUSY                every millisecond a task begins another, for as long as it may
 */
#ifndef PLUGIN_ID
#define PLUGIN_ID "services"
#endif
#ifndef BUILD
#define BUILD "one"
#endif
#ifndef HANG_WHILE
#define HANG_WHILE "/"
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define EXECUTION TENON_EXECUTION_INLINE
#include "services.h"

static uint64_t counter;
static atomic_bool over;

/* Nothing of this library may run once shutdown has returned: whoever tries ends the test's process. */
static void require_alive(void) {
  if (atomic_load(&over)) abort();
}

static void quick(void* context, uint64_t task) {
  (void)context;
  require_alive();
  note("task %d", (int)task);
}

static void hang(void* context, uint64_t task) {
  (void)context;
  (void)task;
  note("hangs");
  while (access(HANG_WHILE, F_OK) == 0) usleep(1000);
}

/* Until it is told to end. */
static void patient(void* context, uint64_t task) {
  (void)context;
  while (!tasks->cancelled(host, task)) usleep(100);
  note("told");
}

static void end(void* context) {
  (void)context;
  require_alive();
  note("end");
}

#ifdef TICK
static void tick(void* context, uint64_t task) {
  (void)context;
  (void)task;
  require_alive();
  static char payload[32];
  static int number;
  tenon_bytes_t text = {payload, (size_t)snprintf(payload, sizeof payload, "%d", number++)};
  events->publish(host, TEXT("tick." BUILD), text);
}
#endif

#ifdef BUSY
static void busy(void* context, uint64_t task) {
  (void)context;
  (void)task;
  require_alive();
  for (int i = 0; i < 4; i++) tasks->once(host, (uint64_t)i, tick, end, NULL, NULL);
}
#endif

static void on_event(tenon_plugin_t* plugin, const tenon_event_t* given, size_t count, uint64_t dropped) {
  (void)plugin;
  (void)dropped;
  require_alive();
  for (size_t i = 0; i < count; i++) {
    const tenon_event_t* event = &given[i];
    note("%.*s %.*s %.*s", (int)event->topic.size, event->topic.data, (int)event->source.size, event->source.data,
         (int)event->message.size, event->message.data);
  }
}

static tenon_status act(tenon_request_t* request, tenon_response_t* response) {
  (void)response;
  tenon_bytes_t value;
  uint64_t number;
  if (asked(request, TEXT("publish"), &value)) return events->publish(host, value, TEXT("hello"));
  if (asked(request, TEXT("count"), &value)) return metrics->add(host, counter, 1), TENON_OK;
  if (asked(request, TEXT("quick"), &value)) return tasks->submit(host, quick, end, NULL, &number);
  if (asked(request, TEXT("hang"), &value)) return tasks->submit(host, hang, end, NULL, &number);
  if (asked(request, TEXT("patient"), &value)) return tasks->submit(host, patient, end, NULL, &number);
  if (asked(request, TEXT("later"), &value)) return tasks->once(host, 3600000, quick, end, NULL, &number);
  return TENON_ERROR;
}

static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  (void)context;
  tenon_metric_t metric = {
      sizeof metric, TENON_METRIC_COUNTER, TEXT("things_total"), TEXT("Things done."), NULL, 0, NULL, 0};
  if (metrics->series(host, &metric, &counter) != TENON_OK) return TENON_ERROR;
#ifdef SUBSCRIBE
  if (events->subscribe(host, TEXT(SUBSCRIBE)) != TENON_OK) return TENON_ERROR;
#endif
#ifdef TICK
  if (tasks->every(host, 1, tick, end, NULL, NULL) != TENON_OK) return TENON_ERROR;
#endif
#ifdef BUSY
  if (tasks->every(host, 1, busy, end, NULL, NULL) != TENON_OK) return TENON_ERROR;
#endif
  return TENON_OK;
}

static void shut_down(tenon_plugin_t* plugin) {
  (void)plugin;
  atomic_store(&over, true);
}

static void destroy(tenon_plugin_t* plugin) {
  (void)plugin;
  uint64_t number;
  if (tasks->submit(host, quick, end, NULL, &number) != TENON_ERROR_STATE) abort();
}

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  take_services(given);
  plugin = (tenon_plugin_t){
      .size = sizeof plugin, .ready = ready, .shutdown = shut_down, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Services", "1.0.0", "Uses the services of the host. " BUILD, NULL, TENON_TRIAL_OPEN, create)
