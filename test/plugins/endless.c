/*
 * GET /endless, with a deadline of DEADLINE_MS, computes for as long as the file tenon-endless-<pid> is there, in the
 * temporary directory; GET /longer is the same with three times that deadline. GET /quick, with the deadline of the
 * host, answers at once.
 */
#ifndef DEADLINE_MS
#define DEADLINE_MS 300
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

static const tenon_host_http_t* http;

static const tenon_route_t routes[] = {
    {sizeof(tenon_route_t),
     TENON_HTTP_GET,
     {"/endless", 8},
     TENON_EXECUTION_POOL,
     DEADLINE_MS,
     0,
     .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t),
     TENON_HTTP_GET,
     {"/longer", 7},
     TENON_EXECUTION_POOL,
     3 * DEADLINE_MS,
     0,
     .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/quick", 6}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
};

static uint32_t route_count(tenon_plugin_t* self) {
  (void)self;
  return sizeof routes / sizeof *routes;
}

static const tenon_route_t* route(tenon_plugin_t* self, uint32_t index) {
  (void)self;
  return &routes[index];
}

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  (void)self;
  (void)request;
  if (index == 2) return http->set_body(response, (tenon_bytes_t){"done", 4});
  const char* directory = getenv("TMPDIR");
  char path[512];
  snprintf(path, sizeof path, "%s/tenon-endless-%d", directory == NULL ? "/tmp" : directory, (int)getpid());
  for (volatile uint32_t count = 0; count % 4096 != 0 || access(path, F_OK) == 0; count++) {
  }
  return http->set_body(response, (tenon_bytes_t){"over", 4});
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
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("endless", "Endless", "1.0.0", "Computes for ever.", NULL, TENON_TRIAL_OPEN, create)
