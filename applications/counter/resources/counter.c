/*
 * GET /counter/value, POST /counter/increment: a plugin in plain C, with the contract written out by hand.
 * Its count goes from the old build to the new one at a reload: change BUILD, save, and count on.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/state.h>

#define BUILD "A"

typedef struct counter {
  tenon_plugin_t plugin; /* first: a pointer to it is a pointer to the counter */
  const tenon_host_http_t* http;
  atomic_uint_fast64_t value; /* the two routes run in parallel */
} counter_t;

static tenon_bytes_t text(const char* string) { return (tenon_bytes_t){string, strlen(string)}; }

/* tenon.http */

enum { VALUE, INCREMENT, ROUTE_COUNT };

static const tenon_route_t routes[ROUTE_COUNT] = {
    [VALUE] = {.size = sizeof(tenon_route_t),
               .method = TENON_HTTP_GET,
               .pattern = {"/value", sizeof "/value" - 1},
               .execution = TENON_EXECUTION_INLINE},
    [INCREMENT] = {.size = sizeof(tenon_route_t),
                   .method = TENON_HTTP_POST,
                   .pattern = {"/increment", sizeof "/increment" - 1},
                   .execution = TENON_EXECUTION_POOL},
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return ROUTE_COUNT;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  counter_t* counter = (counter_t*)plugin;
  (void)request;
  unsigned long long value = index == INCREMENT ? (unsigned long long)atomic_fetch_add(&counter->value, 1) + 1
                                                : (unsigned long long)atomic_load(&counter->value);
  char body[64];
  snprintf(body, sizeof body, "{\"value\":%llu,\"build\":\"" BUILD "\"}", value);
  tenon_status status = counter->http->set_header(response, text("content-type"), text("application/json"));
  return status == TENON_OK ? counter->http->set_body(response, text(body)) : status;
}

static const tenon_plugin_http_t http = {
    .size = sizeof(tenon_plugin_http_t), .route_count = route_count, .route = route, .handle = handle};

/* tenon.state */

static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  counter_t* counter = (counter_t*)plugin;
  uint64_t value = atomic_load(&counter->value);
  return writer->write(writer, (tenon_bytes_t){(const char*)&value, sizeof value});
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
  counter_t* counter = (counter_t*)plugin;
  uint64_t value;
  if (reader->version != 1) return TENON_ERROR_VERSION;
  if (reader->bytes.size != sizeof value) {
    reader->fail(reader, text("the saved count is not 8 bytes long"));
    return TENON_ERROR;
  }
  memcpy(&value, reader->bytes.data, sizeof value);
  if (!reader->dry_run) atomic_store(&counter->value, value);
  return TENON_OK;
}

static const tenon_plugin_state_t state = {
    .size = sizeof(tenon_plugin_state_t), .version = 1, .save = save, .load = load};

/* life */

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &http;
  if (strcmp(id, TENON_STATE_ID) == 0) return &state;
  return NULL;
}

static void destroy(tenon_plugin_t* plugin) { free(plugin); }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  const tenon_host_http_t* host_http = host->get_extension(host, TENON_HTTP_ID);
  if (host_http == NULL) return TENON_ERROR_UNSUPPORTED;
  counter_t* counter = calloc(1, sizeof *counter);
  if (counter == NULL) return TENON_ERROR_MEMORY;
  counter->plugin = (tenon_plugin_t){
      .size = sizeof(tenon_plugin_t), .data = counter, .destroy = destroy, .get_extension = get_extension};
  counter->http = host_http;
  atomic_init(&counter->value, 0);
  *out = &counter->plugin;
  return TENON_OK;
}

TENON_PLUGIN("counter", "Counter", "1.0.0", "Counts, and keeps its count across reloads.", NULL, TENON_TRIAL_FULL,
             create)
