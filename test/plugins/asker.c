/*
 * Asks for each service that has to be granted. GET /ask?what=W&which=X asks once, and its handler returns the status;
 * GET /told?… answers with the status instead, "status N". GET /elsewhere?… returns TENON_ERROR_DENIED whatever came of
 * it a call before. W: publish, subscribe, http, hook, hash, sign, verify, random, read, write, log. It counts the
 * events it is brought in a counter of GET /events.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/auth.h>
#include <tenon/ext/events.h>
#include <tenon/ext/hooks.h>
#include <tenon/ext/http.h>
#include <tenon/ext/http_client.h>
#include <tenon/ext/log.h>
#include <tenon/ext/tables.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "1.0.0"
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static tenon_plugin_t plugin;
static atomic_uint events;

enum { ASK, TOLD, INLINE, ELSEWHERE, EVENTS, ROUTES };

#define ROUTE(path, execution)                                                                                         \
  { sizeof(tenon_route_t), TENON_HTTP_GET, {path, sizeof(path) - 1}, execution, 0, 0, .auth = TENON_AUTH_NONE }

static const tenon_route_t routes[ROUTES] = {
    ROUTE("/ask", TENON_EXECUTION_POOL),      ROUTE("/told", TENON_EXECUTION_POOL),
    ROUTE("/inline", TENON_EXECUTION_INLINE), ROUTE("/elsewhere", TENON_EXECUTION_POOL),
    ROUTE("/events", TENON_EXECUTION_INLINE),
};

static uint32_t route_count(tenon_plugin_t* self) {
  (void)self;
  return ROUTES;
}

static const tenon_route_t* route(tenon_plugin_t* self, uint32_t index) {
  (void)self;
  return &routes[index];
}

static tenon_bytes_t query(tenon_request_t* request, tenon_bytes_t name) {
  tenon_bytes_t value = {NULL, 0};
  http->query_value(request, name, &value);
  return value;
}

static bool is(tenon_bytes_t text, const char* word) {
  return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static void done(void* context, const tenon_http_client_response_t* response) {
  (void)context;
  (void)response;
}

static tenon_status write_nothing(const tenon_hook_output_t* output, tenon_bytes_t bytes) {
  (void)output;
  (void)bytes;
  return TENON_OK;
}

static tenon_status ask_tables(tenon_bytes_t what, tenon_bytes_t which) {
  const tenon_host_tables_t* tables = host->get_extension(host, TENON_TABLES_ID);
  if (tables == NULL) return TENON_ERROR_UNSUPPORTED;
  static tenon_table_t* kept;  // opened once, asked again and again
  if (kept == NULL) {
    const tenon_status opened = tables->open(host, which, &kept);
    if (opened != TENON_OK) return opened;
  }
  uint64_t count = 0;
  if (is(what, "read")) return tables->count(kept, true, &count);
  return tables->put(kept, TEXT("{\"id\":\"a\",\"title\":\"x\"}"), TENON_PUT_ANY, NULL);
}

static tenon_status ask(tenon_bytes_t what, tenon_bytes_t which) {
  char buffer[512];
  size_t size = 0;
  if (is(what, "publish") || is(what, "subscribe")) {
    const tenon_host_events_t* bus = host->get_extension(host, TENON_EVENTS_ID);
    return is(what, "publish") ? bus->publish(host, which, TEXT("{}")) : bus->subscribe(host, which);
  }
  if (is(what, "http")) {
    const tenon_host_http_client_t* client = host->get_extension(host, TENON_HTTP_CLIENT_ID);
    const tenon_http_client_request_t order = {.size = sizeof order, .method = TEXT("GET"), .url = which};
    return client->send(host, &order, done, NULL, NULL);
  }
  if (is(what, "hook")) {
    const tenon_host_hooks_t* hooks = host->get_extension(host, TENON_HOOKS_ID);
    const tenon_hook_output_t output = {sizeof output, NULL, write_nothing, NULL};
    return hooks->run(host, which, 1, TEXT(""), &output);
  }
  if (is(what, "read") || is(what, "write")) return ask_tables(what, which);
  if (is(what, "log")) {
    const tenon_host_log_t* log = host->get_extension(host, TENON_LOG_ID);
    log->write(host, TENON_LOG_INFO, which, NULL, 0);
    return TENON_OK;
  }
  const tenon_host_auth_t* auth = host->get_extension(host, TENON_AUTH_ID);
  if (is(what, "hash")) return auth->hash_password(host, TEXT("secret"), buffer, sizeof buffer, &size);
  if (is(what, "sign")) return auth->sign_token(host, TEXT("{\"sub\":\"a\"}"), 60, buffer, sizeof buffer, &size);
  if (is(what, "verify")) {
    char claims[512];
    const tenon_status status = auth->sign_token(host, TEXT("{\"sub\":\"a\"}"), 60, buffer, sizeof buffer, &size);
    if (status != TENON_OK) return status;
    return auth->verify_token(host, (tenon_bytes_t){buffer, size}, claims, sizeof claims, &size);
  }
  return is(what, "random") ? auth->random(host, buffer, 16) : TENON_ERROR_ARGUMENT;
}

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  char text[32];
  (void)self;
  if (index == ELSEWHERE) return TENON_ERROR_DENIED;
  if (index == EVENTS) {
    const int size = snprintf(text, sizeof text, "%u", atomic_load(&events));
    return http->set_body(response, (tenon_bytes_t){text, (size_t)size});
  }
  const tenon_status status = ask(query(request, TEXT("what")), query(request, TEXT("which")));
  if (index != TOLD) return status;
  const int size = snprintf(text, sizeof text, "status %d", (int)status);
  return http->set_body(response, (tenon_bytes_t){text, (size_t)size});
}

static void on_event(tenon_plugin_t* self, const tenon_event_t* batch, size_t count, uint64_t dropped) {
  (void)self;
  (void)batch;
  (void)dropped;
  atomic_fetch_add(&events, (unsigned)count);
}

static tenon_status ready(tenon_plugin_t* self, const tenon_context_t* context) {
  (void)self;
  (void)context;
#ifdef NEEDS_TOPIC
  return ask(TEXT("subscribe"), TEXT(NEEDS_TOPIC));
#else
  return TENON_OK;
#endif
}

static void destroy(tenon_plugin_t* self) { (void)self; }

static const void* get_extension(tenon_plugin_t* self, const char* id) {
  static const tenon_plugin_http_t own = {
      .size = sizeof own, .route_count = route_count, .route = route, .handle = handle};
  static const tenon_plugin_events_t own_events = {.size = sizeof own_events, .on_event = on_event};
  (void)self;
  if (strcmp(id, TENON_EVENTS_ID) == 0) return &own_events;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &own : NULL;
}

static tenon_status create(const tenon_host_t* its_host, tenon_plugin_t** out) {
  host = its_host;
  http = host->get_extension(host, TENON_HTTP_ID);
  plugin = (tenon_plugin_t){.size = sizeof plugin, .ready = ready, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("asker", "Asker", PLUGIN_VERSION, "Asks for services.", NULL, TENON_TRIAL_OPEN, create)
