/*
 * Handlers that stay until they are let go, one for each SIGUSR1 that the process gets; for a process of its own.
 *   GET /stay    prints how many stay; answers with the most that have stayed at once
 *   GET /abort   stays, and then ends the process
 *   GET /hang    never comes back; its deadline is 300 ms
 *   GET /late    comes back after 600 ms; its deadline is 300 ms
 *   GET /nap     comes back after 100 ms, with the most that have been in it at once
 *   GET /who     answers at once, with the number of the process; who comes from then on stays
 *   GET /asks    answers with what a thread of its own is told of whether anybody waits
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

static const tenon_host_http_t* http;
static atomic_int let_go;
static atomic_int staying;
static atomic_int most;

static const tenon_route_t routes[] = {
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/stay", 5}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/abort", 6}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/hang", 5}, TENON_EXECUTION_POOL, 300, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/late", 5}, TENON_EXECUTION_POOL, 300, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/nap", 4}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/asks", 5}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/who", 4}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
};

static uint32_t route_count(tenon_plugin_t* self) {
  (void)self;
  return sizeof routes / sizeof routes[0];
}

static const tenon_route_t* route(tenon_plugin_t* self, uint32_t index) {
  (void)self;
  return &routes[index];
}

static void on_signal(int number) {
  (void)number;
  atomic_fetch_add(&let_go, 1);
}

static int count(void) {
  const int now = atomic_fetch_add(&staying, 1) + 1;
  int before = atomic_load(&most);
  while (before < now && !atomic_compare_exchange_weak(&most, &before, now)) {
  }
  return now;
}

static void stay(void) {
  printf("%d stay\n", count());
  for (int left = atomic_load(&let_go);;) {
    if (left > 0 && atomic_compare_exchange_weak(&let_go, &left, left - 1)) break;
    if (left == 0) usleep(1000);
    left = atomic_load(&let_go);
  }
  atomic_fetch_sub(&staying, 1);
}

static void* ask(void* request) { return http->cancelled(request) ? "nobody" : "somebody"; }

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  (void)self;
  char text[32];
  if (index < 2) stay();
  if (index == 1) abort();
  while (index == 2) pause();
  if (index == 3) usleep(600 * 1000);
  if (index == 4) {
    (void)count();
    usleep(100 * 1000);
    atomic_fetch_sub(&staying, 1);
  }
  if (index == 5) {
    pthread_t thread;
    void* told = "no thread";
    if (pthread_create(&thread, NULL, ask, request) == 0) pthread_join(thread, &told);
    return http->set_body(response, (tenon_bytes_t){told, strlen(told)});
  }
  if (index == 6) atomic_store(&let_go, 0);
  const int size = snprintf(text, sizeof text, "%d", index == 6 ? (int)getpid() : atomic_load(&most));
  return http->set_body(response, (tenon_bytes_t){text, (size_t)size});
}

static const void* get_extension(tenon_plugin_t* self, const char* id) {
  static const tenon_plugin_http_t own = {
      .size = sizeof own, .route_count = route_count, .route = route, .handle = handle};
  (void)self;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &own : NULL;
}

static void destroy(tenon_plugin_t* self) { (void)self; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  signal(SIGUSR1, on_signal);
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("crowd", "Crowd", "1.0.0", "Has handlers that stay.", NULL, TENON_TRIAL_OPEN, create)
