/*
 * Asks the services of the host for what can be told from their answers. GET /do?… asks for one thing and answers with
 * what it was told, parts apart by spaces; GET /seen gives what has happened in this process, a line each.
 *   PLUGIN_ID           what it says it is
 *   SUBSCRIBE           a pattern to subscribe to in ready
 */
#ifndef PLUGIN_ID
#define PLUGIN_ID "calls"
#endif
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <tenon/ext/http_client.h>

#define EXECUTION TENON_EXECUTION_POOL
#include "services.h"

static const tenon_host_http_client_t* client;
static int early[3];

static void count(void* context) { atomic_fetch_add((atomic_int*)context, 1); }

static void nothing(void* context, uint64_t task) {
  (void)context;
  (void)task;
}

/* Cancels itself, and tells what it sees then. */
static void gives_up(void* context, uint64_t task) {
  (void)context;
  const bool before = tasks->cancelled(host, task);
  const tenon_status status = tasks->cancel(host, task);
  note("%s %d", before ? "was" : "was not", status);
  note("cancelled %d", tasks->cancelled(host, task));
}

static void tell_end(void* context) {
  (void)context;
  note("end 0");
}

static void crash(void* context, uint64_t task) {
  (void)context;
  (void)task;
  abort();
}

static void turn(void* context, uint64_t task) {
  (void)task;
  atomic_fetch_add((atomic_int*)context, 1);
}

static void patient(void* context, uint64_t task) {
  atomic_store((atomic_int*)context, 1);
  while (!tasks->cancelled(host, task)) usleep(100);
  note("told 0");
}

static void hang(void* context, uint64_t task) {
  (void)context;
  (void)task;
  note("hangs 0");
  for (;;) pause();
}

static void visit(void* context, const tenon_metric_value_t* value) {
  (void)context;
  char text[256];
  size_t size =
      (size_t)snprintf(text, sizeof text, "%.*s %.*s kind %d labels %d value %g count %d", (int)value->plugin.size,
                       value->plugin.data, (int)value->metric.name.size, value->metric.name.data,
                       (int)value->metric.kind, (int)value->metric.label_count, value->value, (int)value->count);
  for (size_t i = 0; i < value->metric.bucket_count; i++) {
    size += (size_t)snprintf(text + size, sizeof text - size, " %g:%d", value->metric.buckets[i],
                             (int)value->bucket_counts[i]);
  }
  note("%.*s 0", (int)size, text);
}

/* Of a text that may be long. */
static int shown(tenon_bytes_t text) { return text.size < 40 ? (int)text.size : 40; }

static void done(void* context, const tenon_http_client_response_t* response) {
  (void)context;
  note("%.*s %d", shown(response->body), response->body.data,
       response->outcome == TENON_OK ? (int)response->status : -(int)response->outcome);
}

static void on_event(tenon_plugin_t* plugin, const tenon_event_t* given, size_t size, uint64_t dropped) {
  (void)plugin;
  if (dropped > 0) note("dropped %lld", (long long)dropped);
  for (size_t i = 0; i < size; i++) {
    const tenon_event_t* event = &given[i];
    if (event->message.size == 6 && memcmp(event->message.data, "poison", 6) == 0) abort();
    note("%.*s %zu", shown(event->message), event->message.data, event->message.size);
  }
}

static tenon_status try_series(const char* name, uint32_t kind, uint64_t* number) {
  static const double buckets[] = {1, 10};
  static const tenon_log_field_t label = {{"shelf", 5}, {"top", 3}};
  const bool histogram = kind == TENON_METRIC_HISTOGRAM;
  const tenon_metric_t metric = {sizeof metric, kind, {name, strlen(name)},       TEXT("Of a test."),
                                 &label,        1,    histogram ? buckets : NULL, histogram ? 2 : 0};
  return metrics->series(host, &metric, number);
}

static int cancel_one(char* text, size_t size) {
  static atomic_int ends;
  uint64_t task = 0;
  atomic_store(&ends, 0);
  const int begun = tasks->once(host, 3600000, nothing, count, &ends, &task);
  const int waiting = tasks->cancelled(host, task);
  const int status = tasks->cancel(host, task);
  const int within = atomic_load(&ends);
  const int again = tasks->cancel(host, task);
  const int after = tasks->cancelled(host, task);
  return snprintf(text, size, "%d %d %d %d %d %d", begun, waiting, status, within, again, after);
}

static int cancel_running(char* text, size_t size) {
  static atomic_int runs;
  uint64_t task = 0;
  atomic_store(&runs, 0);
  tasks->submit(host, patient, tell_end, &runs, &task);
  while (atomic_load(&runs) == 0) usleep(100);
  return snprintf(text, size, "%d", tasks->cancel(host, task));
}

static int repeat(char* text, size_t size) {
  static atomic_int turns;
  uint64_t task = 0;
  atomic_store(&turns, 0);
  tasks->every(host, 1, turn, tell_end, &turns, &task);
  while (atomic_load(&turns) < 5) usleep(100);
  return snprintf(text, size, "%d", tasks->cancel(host, task));
}

static int refuse_tasks(char* text, size_t size) {
  return snprintf(text, size, "%d %d %d %d", tasks->submit(host, NULL, NULL, NULL, NULL),
                  tasks->every(host, 0, nothing, NULL, NULL, NULL),
                  tasks->once(host, (uint64_t)TENON_TASKS_DELAY_MS + 1, nothing, NULL, NULL, NULL),
                  tasks->cancel(host, 4711));
}

static int refuse_events(char* text, size_t size) {
  static char much[TENON_EVENT_LIMIT + 2];
  const tenon_span_t nameless = {.size = sizeof nameless};
  const tenon_span_t span = {.size = sizeof span, .name = TEXT("work"), .begin_us = 1, .duration_us = 2};
  return snprintf(text, size, "%d %d %d %d %d %d %d %d %d", events->publish(host, TEXT("tenon.log"), TEXT("x")),
                  events->publish(host, TEXT("No Topic"), (tenon_bytes_t){much, sizeof much}),
                  events->publish(host, TEXT("much"), (tenon_bytes_t){much, sizeof much}),
                  events->publish(host, TEXT("wrong"), (tenon_bytes_t){NULL, 1}), events->span(host, &nameless),
                  events->span(host, &span), events->subscribe(host, TEXT("Wrong*")),
                  events->unsubscribe(host, TEXT("never")), events->wanted(host, TEXT("nobody.wants.it")));
}

static int measure(char* text, size_t size) {
  uint64_t counter = 0;
  uint64_t gauge = 0;
  uint64_t histogram = 0;
  uint64_t none = 0;
  const int made = try_series(PLUGIN_ID "_sold_total", TENON_METRIC_COUNTER, &counter);
  try_series(PLUGIN_ID "_depth", TENON_METRIC_GAUGE, &gauge);
  try_series(PLUGIN_ID "_size", TENON_METRIC_HISTOGRAM, &histogram);
  for (int i = 0; i < 1000; i++) metrics->add(host, counter, 0.5);
  metrics->add(host, counter, (double)NAN);
  metrics->set(host, gauge, 7);
  metrics->add(host, histogram, 5);
  metrics->add(host, 0, 1);
  metrics->add(host, 999, 1);
  return snprintf(text, size, "%d %d %d", made, try_series(PLUGIN_ID "_depth", TENON_METRIC_COUNTER, &none),
                  try_series("tenon_mine", TENON_METRIC_GAUGE, &none));
}

static int publish(tenon_bytes_t size, char* text, size_t capacity) {
  static char payload[TENON_EVENT_LIMIT];
  const long bytes = strtol(size.data, NULL, 10);
  int failed = 0;
  for (int i = 0; i < 100; i++) {
    memset(payload, '.', sizeof payload);
    snprintf(payload, sizeof payload, "%05d", i);
    payload[5] = '.';
    if (events->publish(host, TEXT("shop.sold"), (tenon_bytes_t){payload, (size_t)bytes}) != TENON_OK) failed++;
  }
  return snprintf(text, capacity, "%d", failed);
}

static int ask(tenon_request_t* request, char* text, size_t size) {
  tenon_bytes_t value;
  if (asked(request, TEXT("early"), &value)) return snprintf(text, size, "%d %d %d", early[0], early[1], early[2]);
  if (asked(request, TEXT("pid"), &value)) return snprintf(text, size, "%d", (int)getpid());
  if (asked(request, TEXT("cancel"), &value)) return cancel_one(text, size);
  if (asked(request, TEXT("running"), &value)) return cancel_running(text, size);
  if (asked(request, TEXT("repeat"), &value)) return repeat(text, size);
  if (asked(request, TEXT("self"), &value)) {
    return snprintf(text, size, "%d", tasks->every(host, 1, gives_up, tell_end, NULL, NULL));
  }
  if (asked(request, TEXT("later"), &value)) {
    return snprintf(text, size, "%d", tasks->every(host, 3600000, nothing, tell_end, NULL, NULL));
  }
  if (asked(request, TEXT("crash"), &value))
    return snprintf(text, size, "%d", tasks->submit(host, crash, NULL, NULL, NULL));
  if (asked(request, TEXT("hang"), &value))
    return snprintf(text, size, "%d", tasks->submit(host, hang, NULL, NULL, NULL));
  if (asked(request, TEXT("tasks"), &value)) return refuse_tasks(text, size);
  if (asked(request, TEXT("events"), &value)) return refuse_events(text, size);
  if (asked(request, TEXT("publish"), &value)) return publish(value, text, size);
  if (asked(request, TEXT("poison"), &value)) {
    return snprintf(text, size, "%d", events->publish(host, TEXT("shop.sold"), TEXT("poison")));
  }
  if (asked(request, TEXT("subscribe"), &value)) return snprintf(text, size, "%d", events->subscribe(host, value));
  if (asked(request, TEXT("measure"), &value)) return measure(text, size);
  if (asked(request, TEXT("collect"), &value)) return snprintf(text, size, "%d", metrics->collect(host, visit, NULL));
  if (asked(request, TEXT("fetch"), &value)) {
    const tenon_http_client_request_t order = {.size = sizeof order, .method = TEXT("GET"), .url = value};
    return snprintf(text, size, "%d", client->send(host, &order, done, NULL, NULL));
  }
  if (asked(request, TEXT("give-up"), &value)) {
    const tenon_http_client_request_t order = {.size = sizeof order, .method = TEXT("GET"), .url = value};
    uint64_t number = 0;
    client->send(host, &order, done, NULL, &number);
    return snprintf(text, size, "%d", client->cancel(host, number));
  }
  return snprintf(text, size, "?");
}

static tenon_status act(tenon_request_t* request, tenon_response_t* response) {
  char text[256];
  return http->set_body(response, (tenon_bytes_t){text, (size_t)ask(request, text, sizeof text)});
}

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  early[0] = tasks->submit(host, nothing, NULL, NULL, NULL);
  early[1] = events->publish(host, TEXT("early"), TEXT(""));
  early[2] = events->subscribe(host, TEXT("early"));
  return TENON_OK;
}

static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  (void)context;
#ifdef SUBSCRIBE
  if (events->subscribe(host, TEXT(SUBSCRIBE)) != TENON_OK) return TENON_ERROR;
#endif
  return TENON_OK;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  take_services(given);
  client = host->get_extension(host, TENON_HTTP_CLIENT_ID);
  plugin = (tenon_plugin_t){.size = sizeof plugin,
                            .initialize = initialize,
                            .ready = ready,
                            .destroy = destroy,
                            .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Service calls", "1.0.0", "Asks the services of the host.", NULL, TENON_TRIAL_OPEN, create)
