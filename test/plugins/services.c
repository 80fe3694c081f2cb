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
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/events.h>
#include <tenon/ext/http.h>
#include <tenon/ext/metrics.h>
#include <tenon/ext/tasks.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_tasks_t* tasks;
static const tenon_host_events_t* events;
static const tenon_host_metrics_t* metrics;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char seen[1 << 16];
static size_t seen_size;
static uint64_t counter;
static atomic_bool over;

/* Nothing of this library may run once shutdown has returned: whoever tries ends the test's process. */
static void require_alive(void) {
  if (atomic_load(&over)) abort();
}

static void note(const char* text, size_t size) {
  pthread_mutex_lock(&mutex);
  if (seen_size + size + 1 <= sizeof seen) {
    memcpy(seen + seen_size, text, size);
    seen[seen_size + size] = '\n';
    seen_size += size + 1;
  }
  pthread_mutex_unlock(&mutex);
}

static void quick(void* context, uint64_t task) {
  (void)context;
  require_alive();
  char text[32];
  note(text, (size_t)snprintf(text, sizeof text, "task %d", (int)task));
}

static void hang(void* context, uint64_t task) {
  (void)context;
  (void)task;
  note("hangs", 5);
  while (access(HANG_WHILE, F_OK) == 0) usleep(1000);
}

/* Until it is told to end. */
static void patient(void* context, uint64_t task) {
  (void)context;
  while (!tasks->cancelled(host, task)) usleep(100);
  note("told", 4);
}

static void end(void* context) {
  (void)context;
  require_alive();
  note("end", 3);
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
    char text[256];
    const tenon_event_t* event = &given[i];
    note(text,
         (size_t)snprintf(text, sizeof text, "%.*s %.*s %.*s", (int)event->topic.size, event->topic.data,
                          (int)event->source.size, event->source.data, (int)event->message.size, event->message.data));
  }
}

static const tenon_plugin_events_t events_side = {sizeof events_side, on_event};

static const tenon_route_t routes[] = {
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/do", 3}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/seen", 5}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE},
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return 2;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static bool asked(tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
  return http->query_value(request, name, value);
}

static tenon_status act(tenon_request_t* request) {
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

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  if (index == 0) return act(request);
  pthread_mutex_lock(&mutex);
  tenon_status status = http->set_body(response, (tenon_bytes_t){seen, seen_size});
  pthread_mutex_unlock(&mutex);
  return status;
}

static const tenon_plugin_http_t http_side = {sizeof http_side, 0, route_count, route, handle};

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &http_side;
  if (strcmp(id, TENON_EVENTS_ID) == 0) return &events_side;
  return NULL;
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
  host = given;
  http = host->get_extension(host, TENON_HTTP_ID);
  tasks = host->get_extension(host, TENON_TASKS_ID);
  events = host->get_extension(host, TENON_EVENTS_ID);
  metrics = host->get_extension(host, TENON_METRICS_ID);
  plugin = (tenon_plugin_t){
      .size = sizeof plugin, .ready = ready, .shutdown = shut_down, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Services", "1.0.0", "Uses the services of the host. " BUILD, NULL, TENON_TRIAL_OPEN, create)
