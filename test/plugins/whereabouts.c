/*
 * Says where it is: GET /pid. GET /temporary: makes a file in its temporary folder and says which folder that is.
 * POST /make, /read: makes, or opens for reading, the file whose path is in the body, and says how that went. PLUGIN_ID
 * names it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "whereabouts"
#endif
#define ROUTES 4
#include "routes.h"

enum { PID, TEMPORARY, MAKE, READ };
static const tenon_route_t routes[ROUTES] = {[PID] = ROUTE(TENON_HTTP_GET, "/pid"),
                                             [TEMPORARY] = ROUTE(TENON_HTTP_GET, "/temporary"),
                                             [MAKE] = ROUTE(TENON_HTTP_POST, "/make"),
                                             [READ] = ROUTE(TENON_HTTP_POST, "/read")};

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
  return answer(response, text);
}
