/*
 * Changes what all of the process shares, by DO: `handler` (an own handler of SIGSEGV), `own` (of SIGTERM),
 * `usual-fault` (SIGSEGV at its default), `usual` (SIGTERM at its default), `ignore` (SIGTERM is ignored), `pipe`
 * (SIGPIPE at its default), `children` (SIGCHLD at its default), `directory`, `umask`, `environment`. At AT:
 * `constructor`, `initialize`, or `handle`, which is GET /change, inline. With PLAIN it has no `initialize`.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "audited"
#endif
#ifndef AT
#define AT "initialize"
#endif
#ifndef DO
#define DO ""
#endif

static const tenon_host_http_t* http;

static void handler(int number) { _exit(number); }

static void at(const char* step) {
  if (strcmp(step, AT) != 0) return;
  if (strcmp(DO, "handler") == 0) signal(SIGSEGV, handler);
  if (strcmp(DO, "usual-fault") == 0) signal(SIGSEGV, SIG_DFL);
  if (strcmp(DO, "usual") == 0) signal(SIGTERM, SIG_DFL);
  if (strcmp(DO, "ignore") == 0) signal(SIGTERM, SIG_IGN);
  if (strcmp(DO, "own") == 0) signal(SIGTERM, handler);
  if (strcmp(DO, "children") == 0) signal(SIGCHLD, SIG_DFL);
  if (strcmp(DO, "pipe") == 0) signal(SIGPIPE, SIG_DFL);
  if (strcmp(DO, "directory") == 0 && chdir("/") != 0) abort();
  if (strcmp(DO, "umask") == 0) umask(0);
  if (strcmp(DO, "environment") == 0) setenv("TENON_TEST_AUDITED", "1", 1);
}

__attribute__((constructor)) static void construct(void) { at("constructor"); }

static const tenon_route_t change = {
    sizeof(tenon_route_t), TENON_HTTP_GET, {"/change", 7}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE};

static uint32_t route_count(tenon_plugin_t* self) {
  (void)self;
  return 1;
}

static const tenon_route_t* route(tenon_plugin_t* self, uint32_t index) {
  (void)self;
  (void)index;
  return &change;
}

static tenon_status handle(tenon_plugin_t* self, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  (void)self;
  (void)index;
  (void)request;
  at("handle");
  return http->set_body(response, (tenon_bytes_t){"done", 4});
}

static tenon_status initialize(tenon_plugin_t* self) {
  (void)self;
  at("initialize");
  return TENON_OK;
}

static const void* get_extension(tenon_plugin_t* self, const char* id) {
  static const tenon_plugin_http_t own = {
      .size = sizeof own, .route_count = route_count, .route = route, .handle = handle};
  (void)self;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &own : NULL;
}

static void destroy(tenon_plugin_t* self) { (void)self; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  plugin = (tenon_plugin_t){
      .size = sizeof plugin, .initialize = initialize, .destroy = destroy, .get_extension = get_extension};
#ifdef PLAIN
  plugin.initialize = NULL;
#endif
  http = host->get_extension(host, TENON_HTTP_ID);
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Audited", "1.0.0", "Changes the process.", NULL, TENON_TRIAL_OPEN, create)
