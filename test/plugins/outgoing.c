/*
 * Asks other servers. POST /start sends what the query says (url, method, deadline, name and value of a header; the
 * body is the request's own) and answers with its number, or "status N"; POST /cancel?number=N gives it up. What comes
 * of each is a record of the log: "done" with fields, and so are "early", "late" and "shutdown".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/http_client.h>
#include <tenon/ext/log.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "1.0.0"
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_http_client_t* client;
static const tenon_host_log_t* logger;
static tenon_plugin_t plugin;

enum { START, CANCEL, ROUTES };

static const tenon_route_t routes[ROUTES] = {
    {sizeof(tenon_route_t), TENON_HTTP_POST, {"/start", 6}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_POST, {"/cancel", 7}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE},
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

static uint64_t number_of(tenon_bytes_t text) {
  uint64_t number = 0;
  for (size_t i = 0; i < text.size; i++) number = number * 10 + (uint64_t)(text.data[i] - '0');
  return number;
}

static tenon_bytes_t printed(char* buffer, size_t capacity, const char* format, unsigned long long value) {
  return (tenon_bytes_t){buffer, (size_t)snprintf(buffer, capacity, format, value)};
}

static void done(void* context, const tenon_http_client_response_t* response) {
  char texts[4][24];
  char headers[2048] = "";
  size_t size = 0;
  for (uint32_t i = 0; i < response->header_count && size < sizeof headers; i++) {
    const tenon_log_field_t* header = &response->headers[i];
    size += (size_t)snprintf(headers + size, sizeof headers - size, "%.*s: %.*s\n", (int)header->key.size,
                             header->key.data, (int)header->value.size, header->value.data);
  }
  const tenon_bytes_t first = {response->body.data, response->body.size < 1000 ? response->body.size : 1000};
  const tenon_log_field_t fields[] = {
      {TEXT("number"), printed(texts[0], sizeof texts[0], "%llu", (unsigned long long)(uintptr_t)context)},
      {TEXT("outcome"), printed(texts[1], sizeof texts[1], "%llu", (unsigned long long)response->outcome)},
      {TEXT("status"), printed(texts[2], sizeof texts[2], "%llu", (unsigned long long)response->status)},
      {TEXT("size"), printed(texts[3], sizeof texts[3], "%llu", (unsigned long long)response->body.size)},
      {TEXT("headers"), {headers, strlen(headers)}},
      {TEXT("body"), first},
      {TEXT("message"), response->message},
  };
  logger->write(host, TENON_LOG_INFO, TEXT("done"), fields, sizeof fields / sizeof fields[0]);
}

static tenon_status start(tenon_request_t* request, tenon_response_t* response) {
  const tenon_log_field_t header = {query(request, TEXT("name")), query(request, TEXT("value"))};
  const tenon_bytes_t method = query(request, TEXT("method"));
  const tenon_http_client_request_t order = {.size = sizeof order,
                                             .deadline_ms = (uint32_t)number_of(query(request, TEXT("deadline"))),
                                             .method = method.size == 0 ? TEXT("GET") : method,
                                             .url = query(request, TEXT("url")),
                                             .headers = &header,
                                             .header_count = header.key.size == 0 ? 0 : 1,
                                             .body = http->body(request)};
  char text[32];
  uint64_t number = 0;
  const uint64_t own = number_of(query(request, TEXT("own")));
  const tenon_status status = client->send(host, &order, done, (void*)(uintptr_t)own, &number);
  if (status != TENON_OK) return http->set_body(response, printed(text, sizeof text, "status %llu", (unsigned)status));
  return http->set_body(response, printed(text, sizeof text, "%llu", (unsigned long long)number));
}

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  char text[32];
  (void)self;
  if (index == START) return start(request, response);
  const tenon_status status = client->cancel(host, number_of(query(request, TEXT("number"))));
  return http->set_body(response, printed(text, sizeof text, "status %llu", (unsigned)status));
}

static void try_at(tenon_bytes_t moment) {
  const tenon_http_client_request_t order = {
      .size = sizeof order, .method = TEXT("GET"), .url = TEXT("http://127.0.0.1:1/")};
  char text[24];
  const tenon_status status = client->send(host, &order, done, NULL, NULL);
  const tenon_log_field_t field = {TEXT("status"), printed(text, sizeof text, "%llu", (unsigned)status)};
  logger->write(host, TENON_LOG_INFO, moment, &field, 1);
}

static tenon_status initialize(tenon_plugin_t* self) {
  (void)self;
  try_at(TEXT("early"));
  return TENON_OK;
}

static void stop(tenon_plugin_t* self) {
  (void)self;
  logger->write(host, TENON_LOG_INFO, TEXT("shutdown"), NULL, 0);
  try_at(TEXT("late"));
}

static void destroy(tenon_plugin_t* self) { (void)self; }

static const void* get_extension(tenon_plugin_t* self, const char* id) {
  static const tenon_plugin_http_t own = {
      .size = sizeof own, .route_count = route_count, .route = route, .handle = handle};
  (void)self;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &own : NULL;
}

static tenon_status create(const tenon_host_t* its_host, tenon_plugin_t** out) {
  host = its_host;
  http = host->get_extension(host, TENON_HTTP_ID);
  client = host->get_extension(host, TENON_HTTP_CLIENT_ID);
  logger = host->get_extension(host, TENON_LOG_ID);
  if (client == NULL) return TENON_ERROR_UNSUPPORTED;
  plugin = (tenon_plugin_t){.size = sizeof plugin,
                            .initialize = initialize,
                            .shutdown = stop,
                            .destroy = destroy,
                            .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("outgoing", "Outgoing", PLUGIN_VERSION, "Asks other servers.", NULL, TENON_TRIAL_OPEN, create)
