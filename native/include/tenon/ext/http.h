/*
 * Capability tenon.http/1: a plugin lists routes and handles requests; the host gives access to a request and takes the
 * response. Nothing is copied that need not be: what the accessors return points into the request as it arrived.
 */
#ifndef TENON_EXT_HTTP_H
#define TENON_EXT_HTTP_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;
struct tenon_plugin;

#define TENON_HTTP_ID "tenon.http/1"

/* Request methods. HEAD is served by the GET route, its body is left away by the host. */
typedef int32_t tenon_http_method;
enum {
  TENON_HTTP_GET = 1,
  TENON_HTTP_HEAD = 2,
  TENON_HTTP_POST = 3,
  TENON_HTTP_PUT = 4,
  TENON_HTTP_PATCH = 5,
  TENON_HTTP_DELETE = 6,
  TENON_HTTP_OPTIONS = 7
};

/* Where a route's handler runs. */
enum {
  TENON_EXECUTION_POOL = 0,  /* on a thread of the generation's pool, under the deadline: the default */
  TENON_EXECUTION_INLINE = 1 /* on the host's event loop: for work of a few microseconds. No deadline can be enforced */
};

/* Who may call a route, where the application lists extensions with providers (see auth.h). */
enum {
  TENON_AUTH_NONE = 0, /* the route says nothing: `auth` of config.yaml decides, which is `identity` by default where
                          an extension with providers is listed, and `open` where none is */
  TENON_AUTH_OPEN = 1, /* everybody; who is known is known all the same */
  TENON_AUTH_IDENTITY = 2, /* whoever is known */
  TENON_AUTH_ROLES = 3     /* whoever has one of the route's roles */
};

/* One route. Owned by the plugin, must stay valid and unchanged until destroy. */
typedef struct tenon_route {
  uint32_t size;
  tenon_http_method method;
  /*
   * Path below the application's prefix: begins with "/". A segment ":name" stands for one segment, "*" as the last
   * segment for the rest (parameter "*"). Names: [A-Za-z_][A-Za-z0-9_]*. At most 1,024 bytes, 16 parameters.
   * "/" alone is the prefix itself.
   */
  tenon_bytes_t pattern;
  uint32_t execution;   /* TENON_EXECUTION_… */
  uint32_t deadline_ms; /* from arrival to the end of the answer, 1 to 3,600,000; 0 takes the host's setting (30,000) */
  uint64_t body_limit;  /* bytes of request body; 0 takes the host's setting (1 MiB); at most 1 GiB */
  uint32_t auth;        /* TENON_AUTH_…; what needs somebody is refused at load where nobody can be known */
  tenon_bytes_t roles;  /* with TENON_AUTH_ROLES: 1 to 64 names as in auth.h, separated by commas */
  /*
   * For the document that the host serves at /openapi.json; UTF-8, all may be empty, 1 MiB in all routes together. What
   * cannot be taken is left out with a warning, and the route is served all the same.
   */
  tenon_bytes_t summary;     /* what it does, in one line; at most 256 bytes */
  tenon_bytes_t description; /* more of it, CommonMark; at most 16 KiB */
  /*
   * JSON, at most 64 KiB: an operation of OpenAPI 3.1 with any of summary, description, tags, deprecated, externalDocs,
   * parameters, requestBody and responses. In place of one, or beside, it may have `get`, `post`, `put`, `patch`,
   * `delete` and `options`, as a path item has: the one of the route's method is laid over the rest, so that routes of
   * one path can share a text. A `$ref` may name schemas of the application's tables only: "#/components/schemas/Task".
   */
  tenon_bytes_t openapi;
} tenon_route_t;

/* A request and its response while a handler has them. Opaque; owned by the host; valid on the handler's thread until
 * `handle` returns, or, after `defer`, on any thread (one at a time) until `complete`. */
typedef struct tenon_request tenon_request_t;
typedef struct tenon_response tenon_response_t;

/* Frees a body that was handed over: `context` is what the plugin gave with it. [any], before the generation ends */
typedef void (*tenon_free_fn)(void* data, size_t size, void* context);

/* The plugin's side. */
typedef struct tenon_plugin_http {
  uint32_t size;
  uint32_t max_concurrency; /* handlers of this plugin that may run at once on its pool; 1 for code that is not
                               thread-safe; 0 takes the host's setting (4); at most 64. Inline handlers run one at a
                               time on the event loop, beside those of the pool: with 1, use no inline routes */

  /* Number of routes; fixed after initialize; at most 4,096. [control] after initialize */
  uint32_t (*route_count)(struct tenon_plugin* plugin);

  /* Route `index`, 0 <= index < route_count. [control] after initialize */
  const tenon_route_t* (*route)(struct tenon_plugin* plugin, uint32_t index);

  /*
   * Answer one request of route `index`. TENON_OK: the response stands as built (status 200 and no body if untouched),
   * or `defer` was called. Anything else answers 500 with the message of `fail`. [handler] after ready, before shutdown
   */
  tenon_status (*handle)(struct tenon_plugin* plugin, uint32_t index, tenon_request_t* request,
                         tenon_response_t* response);
} tenon_plugin_http_t;

/* The host's side. Every function takes the request or response it was given with `handle`. */
typedef struct tenon_host_http {
  uint32_t size;

  /* Reading. What is returned points into the request and lives as long as it. [handler] */

  tenon_http_method (*method)(const tenon_request_t* request);
  /* Path as it arrived: percent-encoded, without the query, with the application's prefix. */
  tenon_bytes_t (*path)(const tenon_request_t* request);
  /* Query as it arrived, without the "?"; empty when there is none. */
  tenon_bytes_t (*query)(const tenon_request_t* request);
  /* Percent-decoded value of the first query parameter `name`; false when there is none. */
  bool (*query_value)(tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value);
  /* Percent-decoded path parameter `name` of the route's pattern ("*" for the rest); false when there is none. */
  bool (*param)(tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value);
  /* Value of the first header `name`, whatever its case; false when there is none. */
  bool (*header)(const tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value);
  /* Headers in the order they arrived. */
  uint32_t (*header_count)(const tenon_request_t* request);
  bool (*header_at)(const tenon_request_t* request, uint32_t index, tenon_bytes_t* name, tenon_bytes_t* value);
  /* The whole body. */
  tenon_bytes_t (*body)(const tenon_request_t* request);
  /* The host's id of this request, as in its log and error answers. */
  tenon_bytes_t (*request_id)(tenon_request_t* request);
  /* Milliseconds left until the deadline, 0 when it has passed. */
  uint32_t (*time_left_ms)(const tenon_request_t* request);
  /* True when nobody waits for the answer any more: the client is gone, the deadline has passed, or an event stream was
   * ended because a newer build has taken over. [any] while valid */
  bool (*cancelled)(const tenon_request_t* request);

  /* Answering. [handler] A call here that refuses its argument makes the whole response invalid, because half of what
   * the plugin meant must not go out: unless the handler fails, the client gets 502 ResponseInvalid with the reason.
   * After the first `write` status, headers and body are on their way: TENON_ERROR_STATE. */

  /* Status code, 200 to 599; TENON_ERROR_ARGUMENT otherwise. 204, 205 and 304 carry no body. */
  tenon_status (*set_status)(tenon_response_t* response, int32_t status);
  /* Set (replace) or add a header. `name` is an RFC 9110 token, `value` has no CR, LF, NUL or other control byte but
   * tab: TENON_ERROR_ARGUMENT otherwise, and for the headers that are the host's: connection, keep-alive,
   * transfer-encoding, content-length, trailer, upgrade, proxy-connection, te, date. At most 100 headers of together
   * 32 KiB: TENON_ERROR_TOO_LARGE. */
  tenon_status (*set_header)(tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value);
  tenon_status (*add_header)(tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value);
  /* The body, copied; replaces an earlier one. At most 64 MiB: TENON_ERROR_TOO_LARGE; stream what is larger. */
  tenon_status (*set_body)(tenon_response_t* response, tenon_bytes_t body);
  /* The body, handed over without a copy: the host calls `free_body(data, size, context)` exactly once, on any thread,
   * also when this fails. `free_body` NULL: the bytes live as long as the library (constants). */
  tenon_status (*give_body)(tenon_response_t* response, const void* data, size_t size, tenon_free_fn free_body,
                            void* context);
  /* Why the handler fails, in one sentence, for the 500 and the log; copied, at most 1 KiB is kept. */
  void (*fail)(tenon_response_t* response, tenon_bytes_t message);

  /*
   * Streaming: status and headers go out with the first chunk; the body set before is its beginning. Each call copies
   * `chunk` (at most 1 MiB) and waits while more than 256 KiB are on their way to the client; TENON_ERROR_AGAIN instead
   * of waiting when called on [main]; TENON_ERROR_CANCELLED when nobody listens any more: then return. The stream ends
   * when the handler returns, or with `complete`; the deadline counts from the last chunk that was taken.
   * TENON_ERROR_STATE for a status that has no body.
   * An event stream (content-type text/event-stream) may go on for ever: once a newer build has taken over, the host
   * ends it as a complete response, and its writer is told that nobody listens; the client comes again and finds the
   * new build.
   */
  tenon_status (*write)(tenon_response_t* response, tenon_bytes_t chunk);

  /* Answering later. */

  /* Keep request and response beyond the return of `handle`; `complete` must follow, once, before shutdown returns,
   * whatever `handle` returns: anything but TENON_OK fails the response. The lease on the generation is held until
   * then. TENON_ERROR_STATE when it was called before. [handler] */
  tenon_status (*defer)(tenon_response_t* response);
  /* End a deferred response; request and response are gone when this returns, and their pointers will be those of other
   * requests. `status` as handle would have returned it. Does nothing for a response that was not deferred. [any] after
   * defer */
  void (*complete)(tenon_response_t* response, tenon_status status);

  /* Router. */

  /* Who serves `method` on `path` (without query) now: the plugin's id and the pattern of its route with the prefix.
   * Views that live until the next call on this thread. False when no route of a plugin does; routes of tables are not
   * looked at. [pool] [control] [task] from ready on */
  bool (*find_route)(const struct tenon_host* host, tenon_http_method method, tenon_bytes_t path, tenon_bytes_t* plugin,
                     tenon_bytes_t* pattern);
} tenon_host_http_t;

#ifdef __cplusplus
}
#endif

#endif
