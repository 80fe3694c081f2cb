/* GET and OPTIONS /hello: answers that let everybody read them, by headers of their own. */
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_http_t* http;

#define ROUTE(method)                                                                                                  \
  { sizeof(tenon_route_t), method, {"/hello", 6}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE }

static const tenon_route_t routes[] = {ROUTE(TENON_HTTP_GET), ROUTE(TENON_HTTP_OPTIONS)};

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
  (void)index;
  (void)request;
  http->set_header(response, TEXT("Access-Control-Allow-Origin"), TEXT("*"));
  http->set_header(response, TEXT("Access-Control-Expose-Headers"), TEXT("x-mine"));
  http->set_header(response, TEXT("Vary"), TEXT("x-mine"));
  return http->set_body(response, TEXT("hello"));
}

static void destroy(tenon_plugin_t* self) { (void)self; }

static const void* get_extension(tenon_plugin_t* self, const char* id) {
  static const tenon_plugin_http_t own = {
      .size = sizeof own, .route_count = route_count, .route = route, .handle = handle};
  (void)self;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &own : NULL;
}

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("cross", "Cross", "1.0.0", "Lets everybody read.", NULL, TENON_TRIAL_FULL, create)
