/* A plugin that answers in each of the ways there are; each route is one of them. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static atomic_int freed;
static tenon_response_t* waiting;
static tenon_request_t* waiting_request;

static void count_free(void* data, size_t size, void* context) {
  (void)size;
  (void)context;
  free(data);
  freed++;
}

enum {
  LATER,
  LATER_STREAM,
  LATER_DIES,
  DIES,
  STREAM_DIES,
  GIVEN,
  FREED,
  NULL_BODY,
  LARGE_BODY,
  BAD_HEADER,
  MANY_HEADERS,
  BODYLESS,
  LATE_HEADER,
  TWICE,
  WHO,
  LARGE,
  HEADERS_OVER_AND_OVER,
  FAILS_LATER,
  FAILS_STREAM,
  LEFT,
  ROUTES
};

#define ROUTE(name)                                                                                                    \
  {                                                                                                                    \
    .size = sizeof(tenon_route_t), .method = TENON_HTTP_POST, .pattern = {name, sizeof(name) - 1},                     \
    .body_limit = 128u << 20                                                                                           \
  }
static const tenon_route_t routes[ROUTES] = {
    [LATER] = ROUTE("/later"),
    [LATER_STREAM] = ROUTE("/later-stream"),
    [LATER_DIES] = ROUTE("/later-dies"),
    [DIES] = ROUTE("/dies"),
    [STREAM_DIES] = ROUTE("/stream-dies"),
    [GIVEN] = ROUTE("/given"),
    [FREED] = ROUTE("/freed"),
    [NULL_BODY] = ROUTE("/null-body"),
    [LARGE_BODY] = ROUTE("/large-body"),
    [BAD_HEADER] = ROUTE("/bad-header"),
    [MANY_HEADERS] = ROUTE("/many-headers"),
    [BODYLESS] = ROUTE("/bodyless"),
    [LATE_HEADER] = ROUTE("/late-header"),
    [TWICE] = ROUTE("/twice"),
    [WHO] = ROUTE("/who"),
    [LARGE] = ROUTE("/large"),
    [HEADERS_OVER_AND_OVER] = ROUTE("/headers-over-and-over"),
    [FAILS_LATER] = ROUTE("/fails-later"),
    [FAILS_STREAM] = ROUTE("/fails-stream"),
    [LEFT] = ROUTE("/left"),
};

static void say(tenon_response_t* response, const char* text) {
  http->set_body(response, (tenon_bytes_t){text, strlen(text)});
}

static void begin(void* (*run)(void*), tenon_request_t* request, tenon_response_t* response) {
  pthread_t thread;
  waiting = response;
  waiting_request = request;
  if (pthread_create(&thread, NULL, run, NULL) == 0) pthread_detach(thread);
}

static void* answer(void* unused) {
  tenon_bytes_t body = http->body(waiting_request);
  char text[256];
  snprintf(text, sizeof text, "later: %.*s, %s", (int)body.size, body.data,
           http->cancelled(waiting_request) ? "nobody waits" : "somebody waits");
  http->set_status(waiting, 201);
  say(waiting, text);
  http->complete(waiting, TENON_OK);
  return unused;
}

static void* answer_twice(void* unused) {
  say(waiting, "once");
  http->complete(waiting, TENON_OK);
  http->complete(waiting, TENON_OK);
  return unused;
}

static void* fail(void* unused) {
  http->fail(waiting, TEXT("it went wrong later"));
  http->complete(waiting, TENON_ERROR);
  return unused;
}

static void* stream(void* unused) {
  char chunk[8192];
  memset(chunk, 'x', sizeof chunk);
  for (int count = 0; count < 100; count++) http->write(waiting, (tenon_bytes_t){chunk, sizeof chunk});
  http->complete(waiting, TENON_OK);
  return unused;
}

static void* die(void* unused) {
  (void)unused;
  abort();
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  char text[1024] = "";
  switch (index) {
    case LATER:
    case LATER_STREAM:
    case LATER_DIES:
    case TWICE:
    case FAILS_LATER:
      if (http->defer(response) != TENON_OK || http->defer(response) != TENON_ERROR_STATE) return TENON_ERROR;
      begin(index == LATER          ? answer
            : index == LATER_STREAM ? stream
            : index == TWICE        ? answer_twice
            : index == FAILS_LATER  ? fail
                                    : die,
            request, response);
      return TENON_OK;
    case DIES:
      abort();
    case STREAM_DIES:
      http->write(response, TEXT("a beginning"));
      abort();
    case GIVEN: {
      tenon_bytes_t body = http->body(request);
      char* copy = malloc(body.size + 1);
      memcpy(copy, body.data, body.size);
      http->give_body(response, malloc(1), 1, count_free, NULL);
      return http->give_body(response, copy, body.size, count_free, NULL);
    }
    case FREED:
      snprintf(text, sizeof text, "%d", freed);
      say(response, text);
      return TENON_OK;
    case NULL_BODY: {
      int set = http->set_body(response, (tenon_bytes_t){NULL, 3});
      snprintf(text, sizeof text, "%d %d", set, http->give_body(response, NULL, 3, NULL, NULL));
      break;
    }
    case LARGE_BODY:
      snprintf(text, sizeof text, "%d", http->give_body(response, text, (64u << 20) + 1, NULL, NULL));
      break;
    case BAD_HEADER: {
      int status = http->set_status(response, 99);
      int name = http->set_header(response, TEXT("b ad"), TEXT("x"));
      int value = http->set_header(response, TEXT("x"), TEXT("a\nb"));
      int own = http->set_header(response, TEXT("date"), TEXT("x"));
      snprintf(text, sizeof text, "%d %d %d %d", status, name, value, own);
      break;
    }
    case MANY_HEADERS: {
      int status = TENON_OK;
      for (int count = 0; count < 101; count++) status = http->add_header(response, TEXT("x-a"), TEXT("b"));
      snprintf(text, sizeof text, "%d", status);
      break;
    }
    case BODYLESS:
      http->set_status(response, 204);
      snprintf(text, sizeof text, "%d", http->write(response, TEXT("x")));
      say(response, "y");
      break;
    case LATE_HEADER: {
      int first = http->write(response, TEXT("a"));
      int late = http->set_header(response, TEXT("x-late"), TEXT("b"));
      int body = http->set_body(response, TEXT("b"));
      int large = http->write(response, (tenon_bytes_t){text, (1u << 20) + 1});
      int null = http->write(response, (tenon_bytes_t){NULL, 1});
      snprintf(text, sizeof text, " %d %d %d %d %d", first, late, body, large, null);
      http->write(response, (tenon_bytes_t){text, strlen(text)});
      return TENON_OK;
    }
    case FAILS_STREAM:
      http->write(response, TEXT("a beginning"));
      http->fail(response, TEXT("it went wrong in between"));
      return TENON_ERROR;
    case WHO: {
      tenon_bytes_t body = http->body(request);
      tenon_bytes_t id = {0}, pattern = {0};
      bool found = http->find_route(host, TENON_HTTP_POST, body, &id, &pattern);
      snprintf(text, sizeof text, "%d %.*s %.*s", found, (int)id.size, id.data, (int)pattern.size, pattern.data);
      say(response, text);
      return TENON_OK;
    }
    case LARGE: {
      tenon_bytes_t body = http->body(request);
      return http->set_body(response, body);
    }
    case HEADERS_OVER_AND_OVER:
      for (int count = 0; count < 20000; count++) {
        snprintf(text, sizeof text, "a value that is the same but for its end, %d", count);
        http->set_header(response, TEXT("x-last"), (tenon_bytes_t){text, strlen(text)});
      }
      say(response, "many");
      return TENON_OK;
    case LEFT:
      say(response,
          http->time_left_ms(request) > 20000 && http->time_left_ms(request) <= 30000 ? "as it should" : "not so");
      return TENON_OK;
  }
  /* With a query the plugin tells what it was answered; without, the response is as it is. */
  if (http->query(request).size == 0) return TENON_OK;
  http->fail(response, (tenon_bytes_t){text, strlen(text)});
  return TENON_ERROR;
}

static uint32_t route_count(tenon_plugin_t* plugin) { return (void)plugin, ROUTES; }
static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) { return (void)plugin, &routes[index]; }
static const tenon_plugin_http_t side = {sizeof side, 0, route_count, route, handle};

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &side : NULL;
}
static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  host = given;
  http = given->get_extension(given, TENON_HTTP_ID);
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("answers", "Answers", "1.0.0", "Answers in each of the ways there are.", NULL, TENON_TRIAL_FULL, create)
