/*
 * Tells what it sees of a trace: GET /inline and GET /pool/:id answer with the traceparent and the tracestate of the
 * request, a line each, the last first. With ?url=U they also ask that server, with ?own=T under a traceparent of their
 * own; GET /fails fails. Each logs "seen".
 */
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/http_client.h>
#include <tenon/ext/log.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "1.0.0"
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static tenon_plugin_t plugin;

#define ROUTE(path, execution)                                                                                         \
  { sizeof(tenon_route_t), TENON_HTTP_GET, {path, sizeof(path) - 1}, execution, 0, 0, .auth = TENON_AUTH_NONE }

enum { INLINE, POOL, FAILS, ROUTES };

static const tenon_route_t routes[ROUTES] = {
    ROUTE("/inline", TENON_EXECUTION_INLINE),
    ROUTE("/pool/:id", TENON_EXECUTION_POOL),
    ROUTE("/fails", TENON_EXECUTION_POOL),
};

static uint32_t route_count(tenon_plugin_t* self) {
  (void)self;
  return ROUTES;
}

static const tenon_route_t* route(tenon_plugin_t* self, uint32_t index) {
  (void)self;
  return &routes[index];
}

static void done(void* context, const tenon_http_client_response_t* response) {
  (void)context;
  (void)response;
}

static void append(char* text, size_t limit, size_t* size, tenon_bytes_t bytes) {
  if (bytes.size > limit - *size) bytes.size = limit - *size;
  if (bytes.size != 0) memcpy(text + *size, bytes.data, bytes.size);
  *size += bytes.size;
}

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  const tenon_host_log_t* log = host->get_extension(host, TENON_LOG_ID);
  const tenon_host_http_client_t* client = host->get_extension(host, TENON_HTTP_CLIENT_ID);
  tenon_bytes_t url;
  tenon_log_field_t own = {TEXT("traceparent"), {NULL, 0}};
  char text[2048];
  size_t size = 0;
  (void)self;
  log->write(host, TENON_LOG_INFO, TEXT("seen"), NULL, 0);
  if (index == FAILS) return TENON_ERROR;
  if (http->query_value(request, TEXT("url"), &url)) {
    tenon_http_client_request_t order = {.size = sizeof order, .method = TEXT("GET"), .url = url};
    if (http->query_value(request, TEXT("own"), &own.value)) {
      order.headers = &own;
      order.header_count = 1;
    }
    const tenon_status sent = client->send(host, &order, done, NULL, NULL);
    if (sent != TENON_OK) return sent;
  }
  for (uint32_t at = http->header_count(request); at > 0; at--) {
    tenon_bytes_t name;
    tenon_bytes_t value;
    if (!http->header_at(request, at - 1, &name, &value) || name.size < 5 || memcmp(name.data, "trace", 5) != 0)
      continue;
    append(text, sizeof text, &size, name);
    append(text, sizeof text, &size, TEXT(": "));
    append(text, sizeof text, &size, value);
    append(text, sizeof text, &size, TEXT("\n"));
  }
  return http->set_body(response, (tenon_bytes_t){text, size});
}

static void destroy(tenon_plugin_t* self) { (void)self; }

static const void* get_extension(tenon_plugin_t* self, const char* id) {
  static const tenon_plugin_http_t own = {
      .size = sizeof own, .route_count = route_count, .route = route, .handle = handle};
  (void)self;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &own : NULL;
}

static tenon_status create(const tenon_host_t* its_host, tenon_plugin_t** out) {
  host = its_host;
  http = host->get_extension(host, TENON_HTTP_ID);
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("traced", "Traced", PLUGIN_VERSION, "Tells what it sees of a trace.", NULL, TENON_TRIAL_OPEN, create)
