/*
 * GET /my-app/greeting?name=Ada: a plugin in plain C, with the contract written out by hand.
 * Change a text here and save: a running host serves the new build a moment later.
 */
#include <stdio.h>
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>

static const tenon_host_t* host;
static const tenon_host_http_t* host_http;
static const tenon_host_log_t* host_log;

static tenon_bytes_t text(const char* string) { return (tenon_bytes_t){string, strlen(string)}; }

/* tenon.http: the routes, and one function that answers them. It runs on several threads at once. */

enum { GREETING, ROUTE_COUNT };

static const tenon_route_t routes[ROUTE_COUNT] = {
    [GREETING] = {.size = sizeof(tenon_route_t),
                  .method = TENON_HTTP_GET,
                  .pattern = {"/greeting", sizeof "/greeting" - 1},
                  .execution = TENON_EXECUTION_POOL},
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return ROUTE_COUNT;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static tenon_status greet(tenon_request_t* request, tenon_response_t* response) {
  tenon_bytes_t name = text("world");
  host_http->query_value(request, text("name"), &name);
  char body[128];
  const int size = snprintf(body, sizeof body, "Hello, %.*s\n", (int)(name.size < 100 ? name.size : 100), name.data);
  host_http->set_header(response, text("content-type"), text("text/plain; charset=utf-8"));
  return host_http->set_body(response, (tenon_bytes_t){body, (size_t)size});
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  switch (index) {
    case GREETING:
      return greet(request, response);
    default:
      return TENON_ERROR_ARGUMENT;
  }
}

static const tenon_plugin_http_t http = {
    .size = sizeof(tenon_plugin_http_t), .route_count = route_count, .route = route, .handle = handle};

/* life */

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  if (host_log != NULL) host_log->write(host, TENON_LOG_INFO, text("set up"), NULL, 0);
  return TENON_OK;
}

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &http : NULL;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {
      .size = sizeof(tenon_plugin_t), .initialize = initialize, .destroy = destroy, .get_extension = get_extension};
  host = given;
  host_http = given->get_extension(given, TENON_HTTP_ID);
  host_log = given->get_extension(given, TENON_LOG_ID);
  if (host_http == NULL) return TENON_ERROR_UNSUPPORTED;
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("my-app", "My App", "0.1.0", "Greets. Plain C.", NULL, TENON_TRIAL_FULL, create)
