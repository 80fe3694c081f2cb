/* Has more routes than the verdict of a trial takes. */
#define GET_EXTENSION many_get_extension
#include "minimal.h"

#include <stdio.h>
#include <string.h>
#include <tenon/ext/http.h>

enum { kRoutes = 500 };

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return kRoutes;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  static char pattern[32];
  static tenon_route_t declared;
  (void)plugin;
  const int size = snprintf(pattern, sizeof pattern, "/number/%u", (unsigned)index);
  declared = (tenon_route_t){.size = sizeof declared, .method = TENON_HTTP_GET, .pattern = {pattern, (size_t)size}};
  return &declared;
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  (void)index;
  (void)request;
  (void)response;
  return TENON_OK;
}

static const void* many_get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t http = {
      .size = sizeof http, .route_count = route_count, .route = route, .handle = handle};
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &http : NULL;
}
