/* Streams without an end: "BUILD" every 10 ms as an event stream, or `?count=` of them as
 * plain text; or that time with no answer before its end. WITH_STATE: it has one, of no bytes. */
#ifndef BUILD
#define BUILD "one"
#endif
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/state.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_http_t* http;

enum { EVENTS, LINES, SLOW, ROUTES };
static const tenon_route_t routes[ROUTES] = {
    [EVENTS] =
        {sizeof(tenon_route_t), TENON_HTTP_GET, {"/stream", 7}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    [LINES] =
        {sizeof(tenon_route_t), TENON_HTTP_GET, {"/lines", 6}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    [SLOW] = {sizeof(tenon_route_t), TENON_HTTP_GET, {"/slow", 5}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return ROUTES;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  tenon_bytes_t count = {NULL, 0};
  char digits[16] = {0};
  if (index == EVENTS) http->set_header(response, TEXT("content-type"), TEXT("text/event-stream"));
  if (http->query_value(request, TEXT("count"), &count) && count.size < sizeof digits)
    memcpy(digits, count.data, count.size);
  for (long left = atol(digits); index == EVENTS || left > 0; left--) {
    if (index != SLOW && http->write(response, TEXT("data: " BUILD "\n\n")) != TENON_OK) return TENON_OK;
    usleep(10 * 1000);
  }
  return TENON_OK;
}

static const tenon_plugin_http_t http_side = {sizeof http_side, 0, route_count, route, handle};

#ifdef WITH_STATE
static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  (void)plugin;
  (void)writer;
  return TENON_OK;
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
  (void)plugin;
  (void)reader;
  return TENON_OK;
}

static const tenon_plugin_state_t state_side = {sizeof state_side, 1, save, load};
#endif

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
#ifdef WITH_STATE
  if (strcmp(id, TENON_STATE_ID) == 0) return &state_side;
#endif
  return strcmp(id, TENON_HTTP_ID) == 0 ? &http_side : NULL;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("events", "Events", "1.0.0", "Streams for the tests.", NULL, TENON_TRIAL_FULL, create)
