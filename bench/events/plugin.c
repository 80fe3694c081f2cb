/*
 * Both sides of bench/events: PLUGIN_ID "source" writes and publishes, "subscriber" counts what it is brought.
 *   GET /run?kind=K&count=N&rate=R  two threads write N records (K=log) or publish N events (K=event) at R a second in
 *                                   all (0: as fast as they can): answers "seconds ns-per-call"
 *   GET /work?count=N&events=E      N times a piece of work of some 10 us that publishes E events: "p50 p99 p999" in ns
 *   GET /count                      "events dropped" that on_event was given
 *   GET /hold?on=1|0                on_event does not return, or goes on
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tenon/entry.h>
#include <tenon/ext/events.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})
#define THREADS 2

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_log_t* logger;
static const tenon_host_events_t* events;
static atomic_ullong given;
static atomic_ullong gone;
static atomic_bool held;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void rest(uint64_t ns) {
  struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
  nanosleep(&time, NULL);
}

static void on_event(tenon_plugin_t* plugin, const tenon_event_t* list, size_t count, uint64_t dropped) {
  (void)plugin;
  (void)list;
  atomic_fetch_add(&given, count);
  atomic_fetch_add(&gone, dropped);
  while (atomic_load(&held)) rest(100000);
}

static const tenon_plugin_events_t events_side = {sizeof events_side, on_event};

typedef struct run {
  bool log;
  uint64_t count;
  uint64_t rate;
  uint64_t within; /* ns in calls of the host */
} run_t;

static void* speak(void* argument) {
  run_t* run = argument;
  const tenon_log_field_t field = {TEXT("order"), TEXT("0123456789abcdef")};
  const uint64_t began = now();
  for (uint64_t done = 0; done < run->count;) {
    const uint64_t batch = run->count - done < 100 ? run->count - done : 100;
    const uint64_t before = now();
    for (uint64_t i = 0; i < batch; i++) {
      if (run->log)
        logger->write(host, TENON_LOG_INFO, TEXT("an order of 64 bytes, more or less, as a plugin logs it....."),
                      &field, 1);
      else
        events->publish(host, TEXT("shop.sold"), TEXT("an order of 64 bytes, more or less, as a plugin publishes it"));
    }
    run->within += now() - before;
    done += batch;
    if (run->rate > 0) {
      const uint64_t due = began + done * 1000000000u / run->rate;
      const uint64_t time = now();
      if (due > time) rest(due - time);
    }
  }
  return NULL;
}

static uint64_t number(tenon_request_t* request, tenon_bytes_t name) {
  tenon_bytes_t value;
  if (!http->query_value(request, name, &value)) return 0;
  uint64_t result = 0;
  for (size_t i = 0; i < value.size; i++) result = result * 10 + (uint64_t)(value.data[i] - '0');
  return result;
}

static int run(tenon_request_t* request, char* text, size_t size) {
  tenon_bytes_t kind = TEXT("");
  http->query_value(request, TEXT("kind"), &kind);
  run_t runs[THREADS];
  pthread_t threads[THREADS];
  const uint64_t count = number(request, TEXT("count")) / THREADS;
  const uint64_t began = now();
  for (int i = 0; i < THREADS; i++) {
    runs[i] = (run_t){kind.size == 3, count, number(request, TEXT("rate")) / THREADS, 0};
    pthread_create(&threads[i], NULL, speak, &runs[i]);
  }
  uint64_t within = 0;
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    within += runs[i].within;
  }
  return snprintf(text, size, "%.6f %.1f", (double)(now() - began) / 1e9, (double)within / (double)(count * THREADS));
}

static int rising(const void* one, const void* other) {
  const uint64_t a = *(const uint64_t*)one;
  const uint64_t b = *(const uint64_t*)other;
  return a < b ? -1 : a > b;
}

static int work(tenon_request_t* request, char* text, size_t size) {
  const uint64_t count = number(request, TEXT("count"));
  const uint64_t each = number(request, TEXT("events"));
  uint64_t* times = calloc(count, sizeof *times);
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t began = now();
    while (now() - began < 10000) {
    }
    for (uint64_t j = 0; j < each; j++) events->publish(host, TEXT("shop.sold"), TEXT("an order of 32 bytes, or so"));
    times[i] = now() - began;
  }
  qsort(times, count, sizeof *times, rising);
  const int written =
      snprintf(text, size, "%llu %llu %llu", (unsigned long long)times[count / 2],
               (unsigned long long)times[count * 99 / 100], (unsigned long long)times[count * 999 / 1000]);
  free(times);
  return written;
}

#define ROUTE(text, where)                                                                                             \
  {                                                                                                                    \
    sizeof(tenon_route_t), TENON_HTTP_GET, {text, sizeof(text) - 1}, TENON_EXECUTION_##where, 600000, 0,               \
        TENON_AUTH_NONE, {                                                                                             \
      NULL, 0                                                                                                          \
    }                                                                                                                  \
  }
static const tenon_route_t routes[] = {ROUTE("/run", POOL), ROUTE("/work", POOL), ROUTE("/count", INLINE),
                                       ROUTE("/hold", INLINE)};

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
  char text[128];
  int size = 0;
  if (index == 0) size = run(request, text, sizeof text);
  if (index == 1) size = work(request, text, sizeof text);
  if (index == 2) size = snprintf(text, sizeof text, "%llu %llu", atomic_load(&given), atomic_load(&gone));
  if (index == 3) atomic_store(&held, number(request, TEXT("on")) == 1);
  return http->set_body(response, (tenon_bytes_t){text, (size_t)size});
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
  if (context->app_id.size != sizeof "subscriber" - 1) return TENON_OK;
  events->subscribe(host, TEXT("tenon.log"));
  return events->subscribe(host, TEXT("shop.*"));
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* self, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  host = self;
  http = host->get_extension(host, TENON_HTTP_ID);
  logger = host->get_extension(host, TENON_LOG_ID);
  events = host->get_extension(host, TENON_EVENTS_ID);
  plugin = (tenon_plugin_t){.size = sizeof plugin, .ready = ready, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Events", "1.0.0", "Speaks, or counts what it hears.", NULL, TENON_TRIAL_FULL, create)
