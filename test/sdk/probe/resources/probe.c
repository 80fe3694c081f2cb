#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>
#include <tenon/ext/state.h>

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_state_t* kept;
static uint32_t number;
static uint32_t quiet;

static tenon_bytes_t text(const char* string) { return (tenon_bytes_t){string, strlen(string)}; }

static void say(const char* message) {
  const tenon_host_log_t* log = host->get_extension(host, TENON_LOG_ID);
  log->write(host, TENON_LOG_INFO, text(message), NULL, 0);
}

enum { ITEM, SPECIAL, REST, SMALL, STREAM, LATER, LATE, HEADERS, KEEP, FAIL, COUNT };

#define ROUTE(method_value, path)                                                                                      \
  {                                                                                                                    \
    .size = sizeof(tenon_route_t), .method = method_value, .pattern = { path, sizeof path - 1 }                        \
  }
static tenon_route_t routes[COUNT] = {
    [ITEM] = ROUTE(TENON_HTTP_GET, "/items/:id"), [SPECIAL] = ROUTE(TENON_HTTP_GET, "/items/special"),
    [REST] = ROUTE(TENON_HTTP_GET, "/items/*"),   [SMALL] = ROUTE(TENON_HTTP_POST, "/small"),
    [STREAM] = ROUTE(TENON_HTTP_GET, "/stream"),  [LATER] = ROUTE(TENON_HTTP_GET, "/later"),
    [LATE] = ROUTE(TENON_HTTP_GET, "/late"),      [HEADERS] = ROUTE(TENON_HTTP_GET, "/headers"),
    [KEEP] = ROUTE(TENON_HTTP_PUT, "/keep"),      [FAIL] = ROUTE(TENON_HTTP_GET, "/fail"),
};

static uint32_t route_count(tenon_plugin_t* plugin) { return (void)plugin, COUNT; }
static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) { return (void)plugin, &routes[index]; }

static void* complete(void* response) {
  nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
  http->set_body(response, text("at last"));
  http->complete(response, TENON_OK);
  return NULL;
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  char body[256];
  tenon_bytes_t value = {NULL, 0};
  pthread_t thread;
  size_t size = 0;
  int written = 0;
  switch (index) {
    case ITEM:
      http->param(request, text("id"), &value);
      return http->set_body(response, value);
    case SPECIAL:
      return http->set_body(response, text("special"));
    case REST:
      http->param(request, text("*"), &value);
      return http->set_body(response, value);
    case SMALL:
      value = http->path(request);
      written = snprintf(body, sizeof body, "%.*s %u", (int)value.size, value.data, http->header_count(request));
      return http->set_body(response, (tenon_bytes_t){body, (size_t)written});
    case STREAM:
      while (size < 1000 && !http->cancelled(request) && http->write(response, text("x")) == TENON_OK) size += 1;
      say("the stream is over");
      return TENON_OK;
    case LATER:
    case LATE:
      http->defer(response);
      if (pthread_create(&thread, NULL, complete, response) != 0) return TENON_ERROR;
      pthread_detach(thread);
      return TENON_OK;
    case HEADERS:
      http->set_header(response, text("x-one"), text("1"));
      http->add_header(response, text("x-one"), text("2"));
      http->set_header(response, text("X-Two"), text("3"));
      http->set_header(response, text("x-two"), text("4"));
      written = snprintf(body, sizeof body, "%d %d %d %d", http->set_header(response, text("bad name"), text("1")),
                         http->set_header(response, text("x"), text("a\nb")),
                         http->set_header(response, text("Content-Length"), text("1")), http->set_status(response, 99));
      return http->set_body(response, (tenon_bytes_t){body, (size_t)written});
    case KEEP:
      if (http->query_value(request, text("key"), &value)) return kept->put(host, value, http->body(request));
      return kept->get(host, text("a b"), body, sizeof body, &size) == TENON_OK
                 ? http->set_body(response, (tenon_bytes_t){body, size})
                 : http->set_status(response, 404);
    default:
      http->fail(response, text("as it should"));
      return TENON_ERROR;
  }
}

static const tenon_plugin_http_t plugin_http = {
    .size = sizeof(tenon_plugin_http_t), .route_count = route_count, .route = route, .handle = handle};

static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  (void)plugin;
  number += 1;
  return writer->write(writer, (tenon_bytes_t){(const char*)&number, sizeof number});
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
  (void)plugin;
  if (reader->bytes.size != sizeof number) return reader->fail(reader, text("four bytes, please")), TENON_ERROR;
  if (!reader->dry_run) memcpy(&number, reader->bytes.data, sizeof number);
  return number > 2 ? TENON_ERROR_STATE : TENON_OK;
}

static const tenon_plugin_state_t plugin_state = {
    .size = sizeof(tenon_plugin_state_t), .version = 7, .save = save, .load = load};

static tenon_status initialize(tenon_plugin_t* plugin) { return (void)plugin, say("initialize"), TENON_OK; }
static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  say(context->generation == 1 ? "ready, first" : "ready, later");
  return TENON_OK;
}
static tenon_status health(tenon_plugin_t* plugin) { return (void)plugin, number == 0 ? TENON_OK : TENON_ERROR; }
static tenon_status quiesce(tenon_plugin_t* plugin) { return (void)plugin, quiet += 1, say("quiesce"), TENON_OK; }
static tenon_status resume(tenon_plugin_t* plugin) { return (void)plugin, quiet -= 1, say("resume"), TENON_OK; }
static void shut_down(tenon_plugin_t* plugin) { (void)plugin, say("shutdown"); }
static void destroy(tenon_plugin_t* plugin) { (void)plugin, say("destroy"); }

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &plugin_http;
  return strcmp(id, TENON_STATE_ID) == 0 ? &plugin_state : NULL;
}

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof(tenon_plugin_t),
                                  .initialize = initialize,
                                  .ready = ready,
                                  .health = health,
                                  .quiesce = quiesce,
                                  .resume = resume,
                                  .shutdown = shut_down,
                                  .destroy = destroy,
                                  .get_extension = get_extension};
  host = given;
  http = host->get_extension(host, TENON_HTTP_ID);
  kept = host->get_extension(host, TENON_STATE_ID);
  routes[SMALL].body_limit = 4;
  routes[LATE].deadline_ms = 1;
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("probe", "Probe", "1.0.0", NULL, NULL, TENON_TRIAL_FULL, create)
