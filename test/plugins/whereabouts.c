/* Says where it is: GET /pid. PLUGIN_ID names it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "whereabouts"
#endif

static const tenon_host_http_t* http;

static const tenon_route_t routes[] = {
    {.size = sizeof(tenon_route_t), .method = TENON_HTTP_GET, .pattern = {"/pid", 4}}};

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
  (void)index;
  (void)request;
  char text[32];
  const int size = snprintf(text, sizeof text, "%d", (int)getpid());
  return http->set_body(response, (tenon_bytes_t){text, (size_t)size});
}
static void destroy(tenon_plugin_t* plugin) { (void)plugin; }
static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t extension = {
      .size = sizeof extension, .route_count = route_count, .route = route, .handle = handle};
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &extension : NULL;
}
static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  *out = &plugin;
  return http == NULL ? TENON_ERROR_UNSUPPORTED : TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Whereabouts", "1.0.0", "A plugin of the tests.", NULL, TENON_TRIAL_FULL, create)
