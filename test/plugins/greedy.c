/*
 * Takes of the system as much as the number in the body says, and keeps it. POST /memory and /shared (memory that it
 * shares), both in MiB, /files and /children answer "N WHY": how many it got, and what the system said to the next, or
 * "fine"; /children with their process ids behind. POST /spin: a thread of its own uses a processor from then on.
 * GET /well: "well". PLUGIN_ID names it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "greedy"
#endif
#define BLOCK ((size_t)1 << 20)

static const tenon_host_http_t* http;
static volatile unsigned long turns;
static char* volatile last;

enum { WELL, MEMORY, SHARED, FILES, CHILDREN, SPIN };
#define ROUTE(of_method, of_pattern)                                                                                   \
  {                                                                                                                    \
    .size = sizeof(tenon_route_t), .method = (of_method), .pattern = {(of_pattern), sizeof(of_pattern) - 1 }           \
  }
static const tenon_route_t routes[] = {
    [WELL] = ROUTE(TENON_HTTP_GET, "/well"),          [MEMORY] = ROUTE(TENON_HTTP_POST, "/memory"),
    [SHARED] = ROUTE(TENON_HTTP_POST, "/shared"),     [FILES] = ROUTE(TENON_HTTP_POST, "/files"),
    [CHILDREN] = ROUTE(TENON_HTTP_POST, "/children"), [SPIN] = ROUTE(TENON_HTTP_POST, "/spin")};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return sizeof routes / sizeof routes[0];
}
static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static void* spin(void* unused) {
  for (;;) turns++;
  return unused;
}

/* One more; 0, or an errno. */
static int take_memory(char* text) {
  char* const block = malloc(BLOCK);
  (void)text;
  if (block == NULL) return errno;
  memset(block, 1, BLOCK);
  last = block;
  return 0;
}
static int take_shared(char* text) {
  char* const block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  (void)text;
  if (block == MAP_FAILED) return errno;
  memset(block, 1, BLOCK);
  last = block;
  return 0;
}
static int take_file(char* text) {
  (void)text;
  return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}
static int take_child(char* text) {
  const pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid == 0) {
    /* For the case that nobody ends it. */
    alarm(60);
    pause();
    _exit(0);
  }
  snprintf(text + strlen(text), 16, " %d", (int)pid);
  return 0;
}

static tenon_status take(tenon_response_t* response, int (*one)(char*), unsigned long wanted) {
  char pids[1024] = "";
  char text[1280];
  unsigned long got = 0;
  int why = 0;
  while (got < wanted && (why = one(pids)) == 0) got++;
  snprintf(text, sizeof text, "%lu %s%s", got, why == 0 ? "fine" : strerror(why), pids);
  return http->set_body(response, (tenon_bytes_t){text, strlen(text)});
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  char number[32];
  pthread_t thread;
  const tenon_bytes_t body = http->body(request);
  (void)plugin;
  snprintf(number, sizeof number, "%.*s", (int)body.size, body.data);
  const unsigned long wanted = strtoul(number, NULL, 10);
  switch (index) {
    case MEMORY:
      return take(response, take_memory, wanted);
    case SHARED:
      return take(response, take_shared, wanted);
    case FILES:
      return take(response, take_file, wanted);
    case CHILDREN:
      return wanted > 32 ? TENON_ERROR_ARGUMENT : take(response, take_child, wanted);
    case SPIN:
      return pthread_create(&thread, NULL, spin, NULL) == 0 ? TENON_OK : TENON_ERROR;
    default:
      return http->set_body(response, (tenon_bytes_t){"well", 4});
  }
}
static void destroy(tenon_plugin_t* plugin) { (void)plugin; }
static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t extension = {
      .size = sizeof extension, .route_count = route_count, .route = route, .handle = handle};
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &extension : NULL;
}
static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  *out = &plugin;
  return http == NULL ? TENON_ERROR_UNSUPPORTED : TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Greedy", "1.0.0", "A plugin of the tests.", NULL, TENON_TRIAL_FULL, create)
