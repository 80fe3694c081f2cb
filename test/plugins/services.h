/*
 * A plugin that asks the services of the host for something, and tells what it has seen: what is alike in services.c
 * and service_calls.c. GET /do?… asks for one thing; GET /seen gives what has happened in this process, a line each. A
 * file that includes it has defined EXECUTION, where these run, and brings `act` and `on_event`.
 */
#ifndef TEST_SERVICES_H
#define TEST_SERVICES_H

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
static char seen[1 << 18];
static size_t seen_size;

/* What GET /do asks for. */
static tenon_status act(tenon_request_t* request, tenon_response_t* response);
static void on_event(tenon_plugin_t* plugin, const tenon_event_t* given, size_t count, uint64_t dropped);

/* Asked for before anything else. */
static inline void take_services(const tenon_host_t* given) {
  host = given;
  http = host->get_extension(host, TENON_HTTP_ID);
  tasks = host->get_extension(host, TENON_TASKS_ID);
  events = host->get_extension(host, TENON_EVENTS_ID);
  metrics = host->get_extension(host, TENON_METRICS_ID);
}

/* One more line of what has happened, without its end; lost when there is no room for it. */
__attribute__((format(printf, 1, 2))) static void note(const char* format, ...) {
  va_list values;
  va_start(values, format);
  pthread_mutex_lock(&mutex);
  const size_t room = sizeof seen - seen_size;
  const int added = vsnprintf(seen + seen_size, room, format, values);
  if (added >= 0 && (size_t)added < room) {
    seen[seen_size + (size_t)added] = '\n';
    seen_size += (size_t)added + 1;
  }
  pthread_mutex_unlock(&mutex);
  va_end(values);
}

static inline bool asked(tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
  return http->query_value(request, name, value);
}

static const tenon_route_t routes[] = {
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/do", 3}, EXECUTION, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/seen", 5}, EXECUTION, 0, 0, .auth = TENON_AUTH_NONE},
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return sizeof routes / sizeof routes[0];
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  if (index == 0) return act(request, response);
  pthread_mutex_lock(&mutex);
  const tenon_status status = http->set_body(response, (tenon_bytes_t){seen, seen_size});
  pthread_mutex_unlock(&mutex);
  return status;
}

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t http_side = {sizeof http_side, 0, route_count, route, handle};
  static const tenon_plugin_events_t events_side = {sizeof events_side, on_event};
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &http_side;
  return strcmp(id, TENON_EVENTS_ID) == 0 ? &events_side : NULL;
}

#endif
