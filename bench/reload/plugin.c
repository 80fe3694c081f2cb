/*
 * What bench/reload replaces: GET inline and GET pool answer MARK, which no other build says.
 * TABLE is a file of random bytes that becomes part of the library; with STATE the plugin hands 4 KiB over.
 */
#include <string.h>
#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/state.h>

#define TEXT(literal)                                                                                                  \
  { (literal), sizeof(literal) - 1 }

#if defined(__APPLE__)
#define READ_ONLY ".const_data"
#else
#define READ_ONLY ".section .rodata"
#endif
__asm__(READ_ONLY "\n.incbin \"" TABLE "\"\n.text\n");

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
  static const char body[] = MARK;
  const tenon_bytes_t name = TEXT("content-type");
  const tenon_bytes_t value = TEXT("text/plain; charset=utf-8");
  (void)plugin;
  (void)index;
  (void)request;
  const tenon_status status = http->set_header(response, name, value);
  return status != TENON_OK ? status : http->give_body(response, body, sizeof body - 1, NULL, NULL);
}

#ifdef STATE
static char kept[4096];

static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  const tenon_bytes_t bytes = {kept, sizeof kept};
  (void)plugin;
  return writer->write(writer, bytes);
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
  (void)plugin;
  if (reader->version != 1) return TENON_ERROR_VERSION;
  if (reader->bytes.size != sizeof kept) return TENON_ERROR;
  if (!reader->dry_run) memcpy(kept, reader->bytes.data, sizeof kept);
  return TENON_OK;
}
#endif

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t side = {sizeof(tenon_plugin_http_t), 0, route_count, route, handle};
  (void)plugin;
#ifdef STATE
  static const tenon_plugin_state_t state = {sizeof(tenon_plugin_state_t), 1, save, load};
  if (strcmp(id, TENON_STATE_ID) == 0) return &state;
#endif
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

/* For a program that has nothing of Tenon: what this build says. */
__attribute__((visibility("default"))) const char* bench_mark(void) { return MARK; }

TENON_PLUGIN(ID, "Reloaded", "1.0.0", "Is replaced again and again.", "", TENON_TRIAL_FULL, create)
