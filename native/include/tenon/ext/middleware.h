/*
 * Capability tenon.middleware/1: code that runs before and after the handlers of other applications.
 *
 * An extension's middleware reaches exactly the applications that list it under `extensions:`, and the extension itself
 * not. Middlewares run by `order`, smaller first, those of the same order as the application lists them; `after` in the
 * opposite order. For a route of a plugin both run on the thread of the handler, under its deadline; for a route of a
 * table `before` alone does, on a thread of the application's plugin.
 */
#ifndef TENON_EXT_MIDDLEWARE_H
#define TENON_EXT_MIDDLEWARE_H

#include "../types.h"
#include "http.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;
struct tenon_plugin;

#define TENON_MIDDLEWARE_ID "tenon.middleware/1"

/* The plugin's side. Either function may be NULL. */
typedef struct tenon_plugin_middleware {
  uint32_t size;
  int32_t order;

  /*
   * Before the handler, after authentication. May set headers of the response, which the handler may replace; with
   * `*answered` set to true the response stands as it is and neither the handler nor a later middleware runs. Anything
   * but TENON_OK answers 500; the message of `fail` goes to the log. The request cannot be deferred and the response
   * not be streamed here: TENON_ERROR_STATE. [handler]
   */
  tenon_status (*before)(struct tenon_plugin* plugin, tenon_request_t* request, tenon_response_t* response,
                         bool* answered);

  /*
   * After the handler, also when it failed, for each request whose `before` was through, unless the handler deferred
   * its answer. May set headers and status as long as nothing has been streamed; a failure it cannot change. It may
   * meet a newer generation than `before` did, and is left out while the extension does not run, or is still being
   * replaced when nobody waits for the answer any more. [handler]
   */
  void (*after)(struct tenon_plugin* plugin, tenon_request_t* request, tenon_response_t* response);
} tenon_plugin_middleware_t;

/* The host's side. [handler] in before and after; application and route also in a handler, in providers and hooks */
typedef struct tenon_host_middleware {
  uint32_t size;

  /* Id of the application that the request is for. Lives as long as the request. */
  tenon_bytes_t (*application)(const tenon_request_t* request);
  /* Pattern of the route with the application's prefix, such as "/todo/items/:id". Lives as long as the request. */
  tenon_bytes_t (*route)(const tenon_request_t* request);
  /* Status of the response as it stands; 500 after a handler that failed. */
  int32_t (*status)(const tenon_response_t* response);
  /* Microseconds since the request came to its thread. */
  uint64_t (*elapsed_us)(const tenon_request_t* request);
  /* A number to keep from `before` to `after`, one for each extension and request; 0 at first. */
  void (*keep)(tenon_request_t* request, uint64_t number);
  uint64_t (*kept)(const tenon_request_t* request);
} tenon_host_middleware_t;

#ifdef __cplusplus
}
#endif

#endif
