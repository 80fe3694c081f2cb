/*
 * Reads its config. POST /own answers with it, POST /consumers with "application settings" lines. A change is written
 * to the log as "changed" with its fields, and answered by what is in it: {"answer":N}, with the message "no" for a
 * refusal. With IS_ILL it says so.
 */
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/config.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_config_t* config;
static const tenon_host_log_t* logger;
static tenon_plugin_t plugin;

typedef struct text {
  char data[4096];
  size_t size;
} text_t;

static void append(text_t* text, tenon_bytes_t bytes) {
  if (bytes.size > sizeof text->data - text->size) return;
  memcpy(text->data + text->size, bytes.data, bytes.size);
  text->size += bytes.size;
}

static void visit_own(void* context, tenon_bytes_t json) { append(context, json); }

static void visit_consumer(void* context, tenon_bytes_t application, tenon_bytes_t settings) {
  append(context, application);
  append(context, TEXT(" "));
  append(context, settings);
  append(context, TEXT("\n"));
}

static void say(tenon_bytes_t message) {
  text_t own = {.size = 0};
  config->own(host, visit_own, &own);
  const tenon_log_field_t field = {TEXT("own"), {own.data, own.size}};
  logger->write(host, TENON_LOG_INFO, message, &field, 1);
}

static tenon_status changed(tenon_plugin_t* self, tenon_bytes_t application, tenon_bytes_t json) {
  (void)self;
  const tenon_log_field_t fields[] = {{TEXT("application"), application}, {TEXT("json"), json}};
  logger->write(host, TENON_LOG_INFO, TEXT("changed"), fields, 2);
  const char* answer = json.size == 0 ? NULL : memchr(json.data, ':', json.size);
  const tenon_status status = answer == NULL || json.data[2] != 'a' ? TENON_OK : (tenon_status)(answer[1] - '0');
  if (status == TENON_ERROR) logger->write(host, TENON_LOG_ERROR, TEXT("no"), NULL, 0);
  return status;
}

static const tenon_route_t routes[] = {
    {sizeof(tenon_route_t), TENON_HTTP_POST, {"/own", 4}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_POST, {"/consumers", 10}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
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
  text_t text = {.size = 0};
  (void)self;
  (void)request;
  if (index == 0) {
    config->own(host, visit_own, &text);
  } else {
    config->consumers(host, visit_consumer, &text);
  }
  return http->set_body(response, (tenon_bytes_t){text.data, text.size});
}

static tenon_status initialize(tenon_plugin_t* self) {
  (void)self;
  say(TEXT("initialize"));
  return TENON_OK;
}

static tenon_status health(tenon_plugin_t* self) {
  (void)self;
#ifdef IS_ILL
  return TENON_ERROR;
#else
  return TENON_OK;
#endif
}

static void destroy(tenon_plugin_t* self) { (void)self; }

static const void* get_extension(tenon_plugin_t* self, const char* id) {
  static const tenon_plugin_http_t own = {
      .size = sizeof own, .route_count = route_count, .route = route, .handle = handle};
  static const tenon_plugin_config_t taker = {.size = sizeof taker, .changed = changed};
  (void)self;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &own;
#ifndef TAKES_NO_CHANGE
  if (strcmp(id, TENON_CONFIG_ID) == 0) return &taker;
#else
  (void)taker;
#endif
  return NULL;
}

static tenon_status create(const tenon_host_t* its_host, tenon_plugin_t** out) {
  host = its_host;
  http = host->get_extension(host, TENON_HTTP_ID);
  config = host->get_extension(host, TENON_CONFIG_ID);
  logger = host->get_extension(host, TENON_LOG_ID);
  say(TEXT("create"));
  plugin = (tenon_plugin_t){.size = sizeof plugin,
                            .initialize = initialize,
                            .health = health,
                            .destroy = destroy,
                            .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("config", "Config", "1.0.0", "Reads its config.", NULL, TENON_TRIAL_OPEN, create)
