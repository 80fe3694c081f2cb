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
#include <sys/mman.h>
#include <unistd.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "greedy"
#endif
#define ROUTES 6
#include "routes.h"

#define BLOCK ((size_t)1 << 20)

static volatile unsigned long turns;
static char* volatile last;

enum { WELL, MEMORY, SHARED, FILES, CHILDREN, SPIN };
static const tenon_route_t routes[ROUTES] = {
    [WELL] = ROUTE(TENON_HTTP_GET, "/well"),          [MEMORY] = ROUTE(TENON_HTTP_POST, "/memory"),
    [SHARED] = ROUTE(TENON_HTTP_POST, "/shared"),     [FILES] = ROUTE(TENON_HTTP_POST, "/files"),
    [CHILDREN] = ROUTE(TENON_HTTP_POST, "/children"), [SPIN] = ROUTE(TENON_HTTP_POST, "/spin")};

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
  return answer(response, text);
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
      return answer(response, "well");
  }
}
