/*
 * What providers are made of. Each route answers with "N text": the status, and the bytes it gave; its input is the
 * body, for /verify-password the hash, with the password in the query. /main is /hash-password as an inline route;
 * /capacity has room for 10 bytes.
 */
#include <stdio.h>
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/auth.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "credentials"
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_auth_t* auth;
static tenon_plugin_t plugin;

#define ROUTE(path, where)                                                                                             \
  {                                                                                                                    \
    sizeof(tenon_route_t), TENON_HTTP_POST, {path, sizeof(path) - 1}, TENON_EXECUTION_##where, 0, 0,                   \
        .auth = TENON_AUTH_NONE                                                                                        \
  }
enum { HASH, VERIFY, SIGN, OPEN, RANDOM, ON_MAIN, CAPACITY, ROUTES };
static const tenon_route_t routes[ROUTES] = {
    [HASH] = ROUTE("/hash-password", POOL), [VERIFY] = ROUTE("/verify-password", POOL),
    [SIGN] = ROUTE("/sign-token", INLINE),  [OPEN] = ROUTE("/verify-token", POOL),
    [RANDOM] = ROUTE("/random", INLINE),    [ON_MAIN] = ROUTE("/main", INLINE),
    [CAPACITY] = ROUTE("/capacity", POOL),
};

static uint32_t route_count(tenon_plugin_t* self) {
  (void)self;
  return ROUTES;
}

static const tenon_route_t* route(tenon_plugin_t* self, uint32_t index) {
  (void)self;
  return &routes[index];
}

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  char buffer[32 * 1024];
  char answer[33 * 1024];
  size_t size = 0;
  tenon_status status = TENON_OK;
  tenon_bytes_t password = {NULL, 0};
  const tenon_bytes_t body = http->body(request);
  (void)self;
  switch (index) {
    case HASH:
    case ON_MAIN:
      status = auth->hash_password(host, body, buffer, sizeof buffer, &size);
      break;
    case VERIFY:
      http->query_value(request, TEXT("password"), &password);
      status = auth->verify_password(host, password, body);
      break;
    case SIGN:
      status = auth->sign_token(host, body, 60, buffer, sizeof buffer, &size);
      break;
    case OPEN:
      status = auth->verify_token(host, body, buffer, sizeof buffer, &size);
      break;
    case RANDOM:
      status = auth->random(host, buffer, size = 8);
      break;
    case CAPACITY:
      status = auth->sign_token(host, body, 60, buffer, 10, &size);
      break;
  }
  const int given = status == TENON_OK ? (int)size : 0;
  int length = 0;
  if (index == RANDOM) {
    length = snprintf(answer, sizeof answer, "%d ", status);
    for (int i = 0; i < given; i++)
      length += snprintf(answer + length, sizeof answer - (size_t)length, "%02x", (unsigned char)buffer[i]);
  } else if (index == CAPACITY) {
    length = snprintf(answer, sizeof answer, "%d %d", status, size > 100);
  } else {
    length = snprintf(answer, sizeof answer, "%d %.*s", status, given, buffer);
  }
  return http->set_body(response, (tenon_bytes_t){answer, (size_t)length});
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
  auth = host->get_extension(host, TENON_AUTH_ID);
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Credentials", "1.0.0", "Hashes and signs.", NULL, TENON_TRIAL_OPEN, create)
