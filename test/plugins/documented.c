/*
 * Its routes say what they are for. Macros change one thing each:
 *   PLUGIN_ID, SUMMARY, DESCRIPTION   what GET /items/:id says of itself
 *   OPENAPI, OPENAPI_BYTES            its operation, and so many bytes in place of it
 */
#include <tenon/entry.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "documented"
#endif
#ifndef SUMMARY
#define SUMMARY "Read an item"
#endif
#ifndef DESCRIPTION
#define DESCRIPTION "Items have *numbers*."
#endif
#ifndef OPENAPI
#define OPENAPI                                                                                                        \
  "{\"tags\": [\"items\"],"                                                                                            \
  " \"parameters\": [{\"name\": \"id\", \"in\": \"path\", \"schema\": {\"type\": \"integer\"}}],"                      \
  " \"get\": {\"responses\": {\"200\": {\"description\": \"The item\", \"content\": {\"application/json\": {"          \
  "   \"schema\": {\"type\": \"object\", \"required\": [\"id\"], \"properties\": {\"id\": {\"type\": \"integer\"}}}"   \
  " }}}}},"                                                                                                            \
  " \"delete\": {\"deprecated\": true}}"
#endif
#define TEXT(literal)                                                                                                  \
  { (literal), sizeof(literal) - 1 }

#ifdef OPENAPI_BYTES
static const char document[OPENAPI_BYTES] = {'{'};
#define DOCUMENT                                                                                                       \
  { document, sizeof(document) }
#else
#define DOCUMENT TEXT(OPENAPI)
#endif

static const tenon_host_http_t* http;

static const tenon_route_t routes[] = {
    {.size = sizeof(tenon_route_t),
     .method = TENON_HTTP_GET,
     .pattern = TEXT("/items/:id"),
     .summary = TEXT(SUMMARY),
     .description = TEXT(DESCRIPTION),
     .openapi = DOCUMENT},
    {.size = sizeof(tenon_route_t),
     .method = TENON_HTTP_DELETE,
     .pattern = TEXT("/items/:number"),
     .openapi = TEXT("{\"summary\": \"Take an item away\", \"deprecated\": true}")},
    {.size = sizeof(tenon_route_t), .method = TENON_HTTP_POST, .pattern = TEXT("/files/:rest/*")},
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return sizeof(routes) / sizeof(routes[0]);
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  static const char item[] = "{\"id\":7}";
  (void)plugin;
  (void)index;
  (void)request;
  http->set_header(response, (tenon_bytes_t)TEXT("content-type"), (tenon_bytes_t)TEXT("application/json"));
  return http->set_body(response, (tenon_bytes_t)TEXT(item));
}

static const tenon_plugin_http_t side = {
    .size = sizeof(side), .route_count = route_count, .route = route, .handle = handle};

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  for (const char* expected = TENON_HTTP_ID; *expected == *id; expected++, id++)
    if (*id == '\0') return &side;
  return NULL;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof(plugin), .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Documented", "1.0.0", "Says what its routes are for.", "Tests", TENON_TRIAL_FULL, create)
