/*
 * Says where it is: GET /pid. GET /temporary: makes a file in its temporary folder and says which folder that is.
 * POST /make, /read: makes, or opens for reading, the file whose path is in the body, and says how that went. PLUGIN_ID
 * names it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "whereabouts"
#endif

static const tenon_host_http_t* http;

enum { PID, TEMPORARY, MAKE, READ };
static const tenon_route_t routes[] = {
    [PID] = {.size = sizeof(tenon_route_t), .method = TENON_HTTP_GET, .pattern = {"/pid", 4}},
    [TEMPORARY] = {.size = sizeof(tenon_route_t), .method = TENON_HTTP_GET, .pattern = {"/temporary", 10}},
    [MAKE] = {.size = sizeof(tenon_route_t), .method = TENON_HTTP_POST, .pattern = {"/make", 5}},
    [READ] = {.size = sizeof(tenon_route_t), .method = TENON_HTTP_POST, .pattern = {"/read", 5}}};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return sizeof routes / sizeof routes[0];
}
static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}
static const char* make(const char* path) {
  const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return strerror(errno);
  close(file);
  return "made";
}
static const char* open_to_read(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return strerror(errno);
  close(file);
  return "opened";
}
static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  char path[1024];
  char text[1024];
  if (index == PID) {
    snprintf(text, sizeof text, "%d", (int)getpid());
  } else if (index == TEMPORARY) {
    const char* const folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/made", folder == NULL ? "" : folder);
    snprintf(text, sizeof text, "%s", strcmp(make(path), "made") == 0 ? folder : "not made");
  } else {
    const tenon_bytes_t body = http->body(request);
    snprintf(path, sizeof path, "%.*s", (int)body.size, body.data);
    snprintf(text, sizeof text, "%s", index == MAKE ? make(path) : open_to_read(path));
  }
  return http->set_body(response, (tenon_bytes_t){text, strlen(text)});
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

TENON_PLUGIN(PLUGIN_ID, "Whereabouts", "1.0.0", "A plugin of the tests.", NULL, TENON_TRIAL_FULL, create)
