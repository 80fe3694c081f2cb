/*
 * GET /version answers with its version. Macros: PLUGIN_ID, PLUGIN_VERSION;
 *   WAITS_AT   path: create makes PATH.seen, and goes on when PATH.go is there
 */
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "shop"
#endif
#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "1.0.0"
#endif

static const tenon_host_http_t* http;

static const tenon_route_t the_route = {
    sizeof(tenon_route_t), TENON_HTTP_GET, {"/version", 8}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return 1;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  (void)index;
  return &the_route;
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  (void)index;
  (void)request;
  return http->set_body(response, (tenon_bytes_t){PLUGIN_VERSION, sizeof PLUGIN_VERSION - 1});
}

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t routes = {
      .size = sizeof routes, .route_count = route_count, .route = route, .handle = handle};
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &routes : NULL;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
#ifdef WAITS_AT
  close(open(WAITS_AT ".seen", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  for (int turn = 0; turn < 2000 && access(WAITS_AT ".go", F_OK) != 0; turn++)
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
#endif
  http = host->get_extension(host, TENON_HTTP_ID);
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Version", PLUGIN_VERSION, "Answers with its version.", NULL, TENON_TRIAL_FULL, create)
