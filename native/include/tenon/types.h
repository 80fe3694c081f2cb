/*
 * Tenon plugin contract, version 1: the types every other header uses.
 *
 * Plain C11. Needs only <stddef.h>, <stdint.h> and <stdbool.h>.
 *
 * Words used in every header of this folder
 *   [main]     the host's event loop thread; must return within microseconds
 *   [control]  the generation's own control thread; life-cycle calls of one generation never overlap
 *   [pool]     a thread of the generation's own pool; calls may run in parallel, up to the plugin's limit
 *   [task]     a thread of the generation's for tasks and timers; [event] the one that brings it events
 *   [handler]  the thread a request is being handled on: [main] for an inline route, [pool] otherwise
 *   [any]      any thread, in parallel with anything
 * A pointer parameter is borrowed for the length of the call unless its comment says who owns it and until when.
 *
 * Growth: a released struct never changes in place. It grows at its end, and `size` says how much of it the other
 * side knows; a member beyond `size` does not exist. Use TENON_HAS before you call a member newer than the struct.
 */
#ifndef TENON_TYPES_H
#define TENON_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The contract these headers describe. A host runs every plugin of its major whose minor it knows. */
#define TENON_ABI_MAJOR 1
#define TENON_ABI_MINOR 0

/* The release of these headers, for people and reports; it plays no part in compatibility. */
#define TENON_SDK_VERSION "0.1.0"

/* Exports one function from a library in which everything else is hidden. */
#if defined(_WIN32)
#define TENON_SYMBOL __declspec(dllexport)
#else
#define TENON_SYMBOL __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
#define TENON_EXPORT extern "C" TENON_SYMBOL
#else
#define TENON_EXPORT extern TENON_SYMBOL
#endif

/* True when `object` (a pointer to a struct that begins with `size`) is new enough to have `member`, and has it set. */
#define TENON_HAS(object, member)                                                                                      \
  ((object) != NULL &&                                                                                                 \
   (size_t)(object)->size >= (size_t)((const char*)(&(object)->member + 1) - (const char*)(object)) &&                 \
   (object)->member != NULL)

/*
 * Bytes that somebody else owns. Text is UTF-8. Never NUL-terminated by contract: use `size`.
 * `data` may be NULL only when `size` is 0.
 */
typedef struct tenon_bytes {
  const char* data;
  size_t size; /* bytes */
} tenon_bytes_t;

/* What a call that can fail answers. Values are fixed; a side treats a value it does not know as TENON_ERROR. */
typedef int32_t tenon_status;
enum {
  TENON_OK = 0,
  TENON_ERROR = 1,             /* it failed; the message went through the response, the writer or tenon.log */
  TENON_ERROR_ARGUMENT = 2,    /* an argument is outside what the function's comment allows */
  TENON_ERROR_STATE = 3,       /* not now: the comment says in which state the call is allowed */
  TENON_ERROR_UNSUPPORTED = 4, /* this side does not do that */
  TENON_ERROR_MEMORY = 5,      /* no memory */
  TENON_ERROR_NOT_FOUND = 6,   /* there is nothing of that name */
  TENON_ERROR_TOO_LARGE = 7,   /* over a limit that the function's comment names */
  TENON_ERROR_AGAIN = 8,       /* would have to wait, and may not on this thread: try again later */
  TENON_ERROR_CANCELLED = 9,   /* the other end is gone, or the deadline has passed */
  TENON_ERROR_VERSION = 10,    /* data of a version this side cannot read */
  TENON_ERROR_DENIED = 11,     /* no permission for it */
  TENON_ERROR_EXISTS = 12,     /* there is one already */
  TENON_ERROR_INVALID = 13,    /* it breaks the definition it is checked against */
  TENON_ERROR_STORAGE = 14     /* the store could not read or write: a full or failing disk */
};

#ifdef __cplusplus
}
#endif

#endif
