/*
 * POST /body and POST /inline write one byte behind the body, or the query, that they are lent, at the offset that the
 * path's last segment says: /body/0.
 */
#include <stdlib.h>
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

static const tenon_host_http_t* http;

static const tenon_route_t routes[] = {
    {sizeof(tenon_route_t), TENON_HTTP_POST, {"/body/:at", 9}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_POST, {"/query/:at", 10}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE},
};

static uint32_t route_count(tenon_plugin_t* self) {
  (void)self;
  return 2;
}

static const tenon_route_t* route(tenon_plugin_t* self, uint32_t index) {
  (void)self;
  return &routes[index];
}

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  (void)self;
  tenon_bytes_t at = {NULL, 0};
  http->param(request, (tenon_bytes_t){"at", 2}, &at);
  const tenon_bytes_t lent = index == 0 ? http->body(request) : http->query(request);
  if (at.size > 0 && at.data[0] != '-') ((char*)(uintptr_t)lent.data)[lent.size + (size_t)(at.data[0] - '0')] ^= 1;
  return http->set_body(response, (tenon_bytes_t){"done", 4});
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

TENON_PLUGIN("overrun", "Overrun", "1.0.0", "Writes where it must not.", NULL, TENON_TRIAL_OPEN, create)
