/* Two routes that do nothing but answer: what remains is the way there and back. */
#include <string.h>
#include <tenon/entry.h>
#include <tenon/ext/http.h>

#define TEXT(literal)                                                                                                  \
  { (literal), sizeof(literal) - 1 }

static const tenon_host_http_t* http;

static const tenon_route_t routes[] = {
    {sizeof(tenon_route_t), TENON_HTTP_GET, TEXT("/inline"), TENON_EXECUTION_INLINE, 0, 0, TENON_AUTH_NONE, {NULL, 0}},
    {sizeof(tenon_route_t), TENON_HTTP_GET, TEXT("/pool"), TENON_EXECUTION_POOL, 0, 0, TENON_AUTH_NONE, {NULL, 0}},
};

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
  static const char body[] = "Hello, World!";
  const tenon_bytes_t name = TEXT("content-type");
  const tenon_bytes_t value = TEXT("text/plain; charset=utf-8");
  (void)plugin;
  (void)index;
  (void)request;
  const tenon_status status = http->set_header(response, name, value);
  return status != TENON_OK ? status : http->give_body(response, body, sizeof body - 1, NULL, NULL);
}

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t side = {sizeof(tenon_plugin_http_t), 0, route_count, route, handle};
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &side : NULL;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof(tenon_plugin_t), .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  if (http == NULL) return TENON_ERROR_UNSUPPORTED;
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("answer", "Answer", "1.0.0", "The same small answer from the event loop and from the pool.", "",
             TENON_TRIAL_FULL, create)
