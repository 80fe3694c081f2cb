/*
 * Says how it is: GET /state answers with its VERSION, a line feed and its own config. It takes up whatever config is
 * set.
 */
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/config.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "steered"
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_config_t* config;
static tenon_plugin_t plugin;

typedef struct text {
  char data[1024];
  size_t size;
} text_t;

static void append(void* context, tenon_bytes_t bytes) {
  text_t* text = context;
  if (bytes.size > sizeof text->data - text->size) return;
  memcpy(text->data + text->size, bytes.data, bytes.size);
  text->size += bytes.size;
}

static const tenon_route_t state = {sizeof(tenon_route_t),  TENON_HTTP_GET, {"/state", 6}, TENON_EXECUTION_INLINE, 0, 0,
                                    .auth = TENON_AUTH_NONE};

static uint32_t route_count(tenon_plugin_t* self) {
  (void)self;
  return 1;
}

static const tenon_route_t* route(tenon_plugin_t* self, uint32_t index) {
  (void)self;
  (void)index;
  return &state;
}

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  text_t text = {.size = 0};
  (void)self;
  (void)index;
  (void)request;
  append(&text, (tenon_bytes_t){VERSION "\n", sizeof VERSION});
  config->own(host, append, &text);
  return http->set_body(response, (tenon_bytes_t){text.data, text.size});
}

static tenon_status changed(tenon_plugin_t* self, tenon_bytes_t application, tenon_bytes_t json) {
  (void)self;
  (void)application;
  (void)json;
  return TENON_OK;
}

static tenon_status initialize(tenon_plugin_t* self) {
  (void)self;
  return TENON_OK;
}

static void destroy(tenon_plugin_t* self) { (void)self; }

static const void* get_extension(tenon_plugin_t* self, const char* id) {
  static const tenon_plugin_http_t own = {
      .size = sizeof own, .route_count = route_count, .route = route, .handle = handle};
  static const tenon_plugin_config_t taker = {.size = sizeof taker, .changed = changed};
  (void)self;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &own;
  return strcmp(id, TENON_CONFIG_ID) == 0 ? &taker : NULL;
}

static tenon_status create(const tenon_host_t* its_host, tenon_plugin_t** out) {
  host = its_host;
  http = host->get_extension(host, TENON_HTTP_ID);
  config = host->get_extension(host, TENON_CONFIG_ID);
  plugin = (tenon_plugin_t){
      .size = sizeof plugin, .initialize = initialize, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Steered", VERSION, "Says how it is.", NULL, TENON_TRIAL_OPEN, create)
