/* Does work on the table or on RocksDB itself, and answers how long it took; and a route that always says the same. */
#include <inttypes.h>
#include <stdlib.h>
#include <tenon/entry.h>
#include <tenon/ext/http.h>

#include "rocks.h"
#include "tables.h"

enum { CONSTANT, TABLES, ROCKS };

static const tenon_host_t* host;
static const tenon_host_http_t* http;

static const tenon_route_t routes[] = {
    [CONSTANT] = {sizeof(tenon_route_t), TENON_HTTP_GET, LITERAL("/constant"), TENON_EXECUTION_INLINE, 0, 0, 0},
    [TABLES] = {sizeof(tenon_route_t), TENON_HTTP_GET, LITERAL("/tables/:work"), TENON_EXECUTION_POOL, 0, 0, 0},
    [ROCKS] = {sizeof(tenon_route_t), TENON_HTTP_GET, LITERAL("/rocks/:work"), TENON_EXECUTION_POOL, 0, 0, 0},
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return sizeof routes / sizeof routes[0];
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static tenon_status constant(tenon_response_t* response) {
  static const char body[] =
      "{\"id\":\"item-00000042\",\"title\":\"Something that 00000042 has to do\",\"rank\":100000042,\"done\":false,"
      "\"at\":\"2026-01-31T12:00:00.000Z\"}";
  const tenon_bytes_t name = LITERAL("content-type");
  const tenon_bytes_t value = LITERAL("application/json; charset=utf-8");
  const tenon_status status = http->set_header(response, name, value);
  return status != TENON_OK ? status : http->give_body(response, body, sizeof body - 1, NULL, NULL);
}

/* The query parameter `name` as text in `to`; empty when it is not given. */
static const char* text(tenon_request_t* request, tenon_bytes_t name, char to[1024]) {
  tenon_bytes_t value = {"", 0};
  http->query_value(request, name, &value);
  const size_t size = value.size < 1023 ? value.size : 1023;
  memcpy(to, value.data, size);
  to[size] = '\0';
  return to;
}

static uint64_t number(tenon_request_t* request, tenon_bytes_t name) {
  char digit_text[1024];
  return strtoull(text(request, name, digit_text), NULL, 10);
}

static bool open_rocks(tenon_request_t* request, work_t* work) {
  char library[1024];
  char directory[1024];
  const tenon_bytes_t names[] = {LITERAL("library"), LITERAL("directory"), LITERAL("cache")};
  return rocks_open(work, text(request, names[0], library), text(request, names[1], directory),
                    number(request, names[2]));
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  const tenon_bytes_t names[] = {LITERAL("work"), LITERAL("count"), LITERAL("spread"), LITERAL("random")};
  (void)plugin;
  if (index == CONSTANT) return constant(response);
  work_t work = {.count = number(request, names[1]), .spread = number(request, names[2])};
  work.random = number(request, names[3]);
  if (work.spread == 0) work.spread = 1;
  http->param(request, names[0], &work.name);
  bool good = false;
  if (index == TABLES) {
    good = tables_work(host, &work);
  } else if (is_work(&work, "open")) {
    good = open_rocks(request, &work);
  } else {
    good = rocks_work(&work);
  }
  if (!good) {
    const tenon_bytes_t problem = {work.problem, strlen(work.problem)};
    http->fail(response, problem);
    return TENON_ERROR;
  }
  char answer[64];
  const int size =
      snprintf(answer, sizeof answer, "%" PRIu64 " %" PRIu64 " %" PRIu64, work.elapsed_ns, work.used_ns, work.done);
  const tenon_bytes_t body = {answer, (size_t)size};
  return http->set_body(response, body);
}

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t side = {sizeof(tenon_plugin_http_t), 1, route_count, route, handle};
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &side : NULL;
}

static void destroy(tenon_plugin_t* plugin) {
  (void)plugin;
  rocks_close();
}

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof(tenon_plugin_t), .destroy = destroy, .get_extension = get_extension};
  host = given;
  http = host->get_extension(host, TENON_HTTP_ID);
  if (http == NULL) return TENON_ERROR_UNSUPPORTED;
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("records", "Records", "1.0.0", "The same work on a table and on RocksDB itself.", "", TENON_TRIAL_FULL,
             create)
