/*
 * A plugin that has routes, and nothing else: see minimal.h for what it says of itself, and for its steps. A file that
 * includes it has defined ROUTES, how many there are, and brings `routes` and `handle`.
 */
#ifndef TEST_ROUTES_H
#define TEST_ROUTES_H

#define GET_EXTENSION routes_get_extension
#include "minimal.h"

#include <string.h>
#include <tenon/ext/http.h>

#define ROUTE(of_method, of_pattern)                                                                                   \
  {                                                                                                                    \
    .size = sizeof(tenon_route_t), .method = (of_method), .pattern = {(of_pattern), sizeof(of_pattern) - 1 }           \
  }

/* There before the first request. */
static const tenon_host_http_t* http;

static const tenon_route_t routes[ROUTES];
static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response);

static inline tenon_status answer(tenon_response_t* response, const char* text) {
  return http->set_body(response, (tenon_bytes_t){text, strlen(text)});
}

static uint32_t routes_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return ROUTES;
}

static const tenon_route_t* routes_at(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static const void* routes_get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t side = {
      .size = sizeof side, .route_count = routes_count, .route = routes_at, .handle = handle};
  const tenon_host_t* const host = plugin->data;
  if (strcmp(id, TENON_HTTP_ID) != 0) return NULL;
  http = host->get_extension(host, TENON_HTTP_ID);
  return http == NULL ? NULL : &side;
}

#endif
