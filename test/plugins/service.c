/*
 * A plugin that serves. Answers carry BUILD; macros change one thing each:
 *   WITH_STATE, REFUSE_SAVE, REFUSE_LOAD, REFUSE_DRY_RUN   tenon.state, and where it fails
 *   SAVE_MS                                                 saving takes so long
 *   WITH_QUIESCE, REFUSE_RESUME                             it lets go and takes up again
 *   FAIL_READY, HANG_READY                                  its way up, after the trial
 *   INITIALIZE_MS, READY_MS                                 how long these take
 *   HEALTH_MS, FIRST_HEALTH_MS                              health takes so long, each time or the first time only
 *   FALLS_ILL                                               health is well the first time only
 *   OWN_THREAD                                              a thread of its own, from initialize to shutdown
 *   HANG_SHUTDOWN                                           its way down
 *   VERSION                                                 its version, 1.0.0 as a rule
 *   EXTRA_PATTERN                                           one more route, e.g. "/more"
 */
#ifndef BUILD
#define BUILD "one"
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>
#include <tenon/ext/state.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "service"
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif
#ifndef CONCURRENCY
#define CONCURRENCY 0
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

typedef struct service {
  tenon_plugin_t plugin;
  const tenon_host_t* host;
  const tenon_host_http_t* http;
  const tenon_host_log_t* log;
  atomic_int count;
  atomic_bool cancelled;
} service_t;

static service_t service;

static void say(tenon_bytes_t message) {
  tenon_log_field_t field = {TEXT("build"), TEXT(BUILD)};
  if (service.log != NULL) service.log->write(service.host, TENON_LOG_INFO, message, &field, 1);
}

enum { GET_BUILD, COUNT, SLOW, ECHO, STREAM, FAIL, ITEM, HANG, COOKIES, SEEN, CANCELLED, REST, BIG, EXTRA, ROUTES };

#define ROUTE(verb, text, where, ms, limit)                                                                            \
  {                                                                                                                    \
    sizeof(tenon_route_t), TENON_HTTP_##verb, {text, sizeof(text) - 1}, TENON_EXECUTION_##where, ms, limit,            \
        .auth = TENON_AUTH_NONE                                                                                        \
  }
#ifndef EXTRA_PATTERN
#define EXTRA_PATTERN "/extra"
#endif

static const tenon_route_t routes[ROUTES] = {
    [GET_BUILD] = ROUTE(GET, "/build", INLINE, 0, 0),
    [COUNT] = ROUTE(POST, "/count", POOL, 0, 0),
    [SLOW] = ROUTE(GET, "/slow", POOL, 0, 0),
    [ECHO] = ROUTE(POST, "/echo", POOL, 0, 1000),
    [STREAM] = ROUTE(GET, "/stream", POOL, 0, 0),
    [FAIL] = ROUTE(GET, "/fail", POOL, 0, 0),
    [ITEM] = ROUTE(GET, "/items/:id", INLINE, 0, 0),
    [HANG] = ROUTE(GET, "/hang", POOL, 100, 0),
    [COOKIES] = ROUTE(GET, "/cookies", INLINE, 0, 0),
    [SEEN] = ROUTE(GET, "/seen", INLINE, 0, 0),
    [CANCELLED] = ROUTE(GET, "/cancelled", INLINE, 0, 0),
    [REST] = ROUTE(GET, "/files/*", INLINE, 0, 0),
    [BIG] = ROUTE(GET, "/big", POOL, 0, 0),
    [EXTRA] = ROUTE(GET, EXTRA_PATTERN, INLINE, 0, 0),
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return ROUTES;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static uint32_t number(tenon_request_t* request, tenon_bytes_t name, uint32_t otherwise) {
  tenon_bytes_t value;
  if (!service.http->query_value(request, name, &value)) return otherwise;
  uint32_t result = 0;
  for (size_t i = 0; i < value.size; i++) result = result * 10 + (uint32_t)(value.data[i] - '0');
  return result;
}

static tenon_status stream(tenon_request_t* request, tenon_response_t* response) {
  static char chunk[64 * 1024];
  memset(chunk, 'x', sizeof chunk);
  for (uint32_t left = number(request, TEXT("chunks"), 4); left > 0; left--) {
    tenon_status status = service.http->write(response, (tenon_bytes_t){chunk, sizeof chunk});
    if (status == TENON_ERROR_CANCELLED) atomic_store(&service.cancelled, true);
    if (status != TENON_OK) return TENON_OK;
  }
  return TENON_OK;
}

/* Every header as "name: value" lines, in order. */
static tenon_status seen(tenon_request_t* request, tenon_response_t* response) {
  static char text[8192];
  size_t size = 0;
  for (uint32_t i = 0; i < service.http->header_count(request); i++) {
    tenon_bytes_t name;
    tenon_bytes_t value;
    if (!service.http->header_at(request, i, &name, &value)) continue;
    size += (size_t)snprintf(text + size, sizeof text - size, "%.*s: %.*s\n", (int)name.size, name.data,
                             (int)value.size, value.data);
  }
  return service.http->set_body(response, (tenon_bytes_t){text, size});
}

static void release(void* data, size_t size, void* context) {
  (void)size;
  (void)context;
  free(data);
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  const tenon_host_http_t* http = service.http;
  (void)plugin;
  char text[64];
  tenon_bytes_t value;
  switch (index) {
    case COUNT:
      snprintf(text, sizeof text, "%d", atomic_fetch_add(&service.count, 1) + 1);
      return http->set_body(response, (tenon_bytes_t){text, strlen(text)});
    case SLOW:
      usleep(number(request, TEXT("ms"), 100) * 1000);
      return http->set_body(response, TEXT(BUILD));
    case ECHO:
      return http->set_body(response, http->body(request));
    case STREAM:
      return stream(request, response);
    case FAIL:
      http->fail(response, TEXT("the shelf is empty"));
      return TENON_ERROR;
    case ITEM:
      if (!http->param(request, TEXT("id"), &value)) return TENON_ERROR;
      return http->set_body(response, value);
    case REST:
      if (!http->param(request, TEXT("*"), &value)) return TENON_ERROR;
      return http->set_body(response, value);
    case HANG:
      while (true) pause();
    case COOKIES:
      http->add_header(response, TEXT("set-cookie"), TEXT("a=1"));
      http->add_header(response, TEXT("set-cookie"), TEXT("b=2"));
      http->set_header(response, TEXT("X-Build"), TEXT(BUILD));
      return http->set_status(response, 201);
    case SEEN:
      return seen(request, response);
    case CANCELLED:
      return http->set_body(response, atomic_load(&service.cancelled) ? TEXT("yes") : TEXT("no"));
    case BIG:
      return http->give_body(response, calloc(1, number(request, TEXT("bytes"), 0)), number(request, TEXT("bytes"), 0),
                             release, NULL);
    default:
      http->set_header(response, TEXT("content-type"), TEXT("text/plain"));
      return http->set_body(response, TEXT(BUILD));
  }
}

static const tenon_plugin_http_t http_side = {sizeof http_side, CONCURRENCY, route_count, route, handle};

#ifdef WITH_STATE
static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  (void)plugin;
  say(TEXT("save"));
#ifdef SAVE_MS
  usleep(SAVE_MS * 1000);
#endif
#ifdef REFUSE_SAVE
  writer->fail(writer, TEXT("the count is locked away"));
  return TENON_ERROR;
#else
  int count = atomic_load(&service.count);
  return writer->write(writer, (tenon_bytes_t){(const char*)&count, sizeof count});
#endif
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
  (void)plugin;
  say(reader->dry_run ? TEXT("try") : TEXT("load"));
#ifdef REFUSE_DRY_RUN
  reader->fail(reader, TEXT("these numbers are not mine"));
  return TENON_ERROR;
#endif
#ifdef REFUSE_LOAD
  if (!reader->dry_run) return TENON_ERROR_VERSION;
#endif
  int count;
  memcpy(&count, reader->bytes.data, sizeof count);
  if (!reader->dry_run) atomic_store(&service.count, count);
  return TENON_OK;
}

static const tenon_plugin_state_t state_side = {sizeof state_side, 1, save, load};
#endif

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &http_side;
#ifdef WITH_STATE
  if (strcmp(id, TENON_STATE_ID) == 0) return &state_side;
#endif
  return NULL;
}

#ifdef OWN_THREAD
static pthread_t own_thread;
static atomic_bool ending;

static void* run(void* argument) {
  while (!atomic_load(&ending)) usleep(100);
  return argument;
}
#endif

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  say(TEXT("initialize"));
#ifdef OWN_THREAD
  if (pthread_create(&own_thread, NULL, run, NULL) != 0) return TENON_ERROR;
#endif
#ifdef INITIALIZE_MS
  usleep(INITIALIZE_MS * 1000);
#endif
  return TENON_OK;
}

static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  (void)context;
  say(TEXT("ready"));
#ifdef READY_MS
  usleep(READY_MS * 1000);
#endif
#ifdef HANG_READY
  while (true) pause();
#endif
#ifdef FAIL_READY
  service.log->write(service.host, TENON_LOG_ERROR, TEXT("no shelf to stand on"), NULL, 0);
  return TENON_ERROR;
#else
  return TENON_OK;
#endif
}

#ifndef FIRST_HEALTH_MS
#define FIRST_HEALTH_MS 0
#endif
#ifndef HEALTH_MS
#define HEALTH_MS 0
#endif
static tenon_status health(tenon_plugin_t* plugin) {
  (void)plugin;
  static bool asked;
  usleep((asked ? HEALTH_MS : HEALTH_MS + FIRST_HEALTH_MS) * 1000);
#ifdef FALLS_ILL
  if (asked) return TENON_ERROR;
#endif
  asked = true;
  return TENON_OK;
}

static tenon_status quiesce(tenon_plugin_t* plugin) {
  (void)plugin;
  say(TEXT("quiesce"));
  return TENON_OK;
}

static tenon_status resume(tenon_plugin_t* plugin) {
  (void)plugin;
  say(TEXT("resume"));
#ifdef REFUSE_RESUME
  return TENON_ERROR;
#else
  return TENON_OK;
#endif
}

static void shut_down(tenon_plugin_t* plugin) {
  (void)plugin;
  say(TEXT("shutdown"));
#ifdef OWN_THREAD
  atomic_store(&ending, true);
  pthread_join(own_thread, NULL);
#endif
#ifdef HANG_SHUTDOWN
  while (true) pause();
#endif
}

static void destroy(tenon_plugin_t* plugin) {
  (void)plugin;
  say(TEXT("destroy"));
}

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  service.host = host;
  service.http = host->get_extension(host, TENON_HTTP_ID);
  service.log = host->get_extension(host, TENON_LOG_ID);
  service.plugin = (tenon_plugin_t){.size = sizeof(tenon_plugin_t),
                                    .initialize = initialize,
                                    .ready = ready,
                                    .health = health,
                                    .shutdown = shut_down,
                                    .destroy = destroy,
                                    .get_extension = get_extension};
#ifdef WITH_QUIESCE
  service.plugin.quiesce = quiesce;
  service.plugin.resume = resume;
#else
  (void)quiesce;
  (void)resume;
#endif
  *out = &service.plugin;
  say(TEXT("create"));
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Service", VERSION, "Serves what the tests ask for.", NULL, TENON_TRIAL_FULL, create)
