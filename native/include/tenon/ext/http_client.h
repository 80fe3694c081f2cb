/*
 * Capability tenon.http_client/1: requests to other servers, made by the host, with its connections and its TLS. The
 * host offers tenon_host_http_client_t; a plugin offers nothing. Requests belong to the generation that began them:
 * those that are open when it is being replaced are cancelled, and their `done` runs before shutdown is called. While
 * its calls are waited for, so that it can hand its state over, `done` begins as long as there is one, for a handler
 * may wait for an answer; between the last of them and the end of the hand-over none begins.
 *
 * Certificates are checked, whatever the environment says; there is no proxy, no cookie, no decoding of bodies.
 */
#ifndef TENON_EXT_HTTP_CLIENT_H
#define TENON_EXT_HTTP_CLIENT_H

#include "../types.h"
#include "log.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;

#define TENON_HTTP_CLIENT_ID "tenon.http_client/1"

/* Bounds: requests of a plugin under way, the body of a request and of an answer (bytes), the bodies of all requests
 * under way together, the deadline (ms). */
#define TENON_HTTP_CLIENT_REQUESTS 256u
#define TENON_HTTP_CLIENT_BODY (64u * 1024u * 1024u)
#define TENON_HTTP_CLIENT_BYTES (256u * 1024u * 1024u)
#define TENON_HTTP_CLIENT_DEADLINE_MS 600000u

/* What to ask. Copied by `send`. */
typedef struct tenon_http_client_request {
  uint32_t size;
  uint32_t deadline_ms; /* for all of it; 0: 30,000; at most TENON_HTTP_CLIENT_DEADLINE_MS */
  tenon_bytes_t method; /* "GET", …; any but CONNECT */
  tenon_bytes_t url;    /* http: or https:, at most 8 KiB of ASCII, without user and password */
  /* At most 64 KiB. Host, Connection and those that frame a message are the host's to write: Content-Length, Expect,
   * Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade. */
  const tenon_log_field_t* headers;
  size_t header_count; /* at most 100 */
  tenon_bytes_t body;
} tenon_http_client_request_t;

/* What came. Views that live during `done`. */
typedef struct tenon_http_client_response {
  uint32_t size;
  tenon_status outcome; /* TENON_OK: the three below are there; TENON_ERROR_CANCELLED: cancelled, or past the
                           deadline; TENON_ERROR: no answer, see `message` */
  int32_t status;       /* 100 to 599 */
  uint32_t header_count;
  const tenon_log_field_t* headers; /* names in lower case */
  tenon_bytes_t body;
  tenon_bytes_t message; /* one sentence, when there is no answer */
} tenon_http_client_response_t;

/* Called once for each request that was taken, one after the other. [task] */
typedef void (*tenon_http_client_done_fn)(void* context, const tenon_http_client_response_t* response);

typedef struct tenon_host_http_client {
  uint32_t size;
  /* Send it; redirects are not followed. `*number` gets its number, and may be NULL. TENON_ERROR_ARGUMENT for what is
   * outside its bounds; TENON_ERROR_TOO_LARGE past TENON_HTTP_CLIENT_REQUESTS or TENON_HTTP_CLIENT_BYTES. From ready
   * on, until shutdown: otherwise TENON_ERROR_STATE. TENON_ERROR_DENIED without the permission http:client:HOST. [any]
   */
  tenon_status (*send)(const struct tenon_host* host, const tenon_http_client_request_t* request,
                       tenon_http_client_done_fn done, void* context, uint64_t* number);
  /* Give it up: `done` runs with TENON_ERROR_CANCELLED, unless it has run. TENON_ERROR_NOT_FOUND for one that is over.
   * [any] */
  tenon_status (*cancel)(const struct tenon_host* host, uint64_t number);
} tenon_host_http_client_t;

#ifdef __cplusplus
}
#endif

#endif
