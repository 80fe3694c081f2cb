/*
 * Capability tenon.events/1: what happens in the host and in its plugins, for those who want to know.
 *
 * Whoever offers tenon_plugin_events_t and subscribes is given events in batches on a thread of its generation that the
 * host has made for it, never on the thread of a handler. Each subscriber has a queue of its own, bounded by
 * TENON_EVENTS_QUEUE events and TENON_EVENTS_QUEUE_BYTES: what does not fit is dropped and counted, and publishing
 * waits for no subscriber. Events of one thread come in the order in which it published them. At a reload the queue
 * goes over to the new generation: none is lost, none comes twice. What a plugin causes itself it is not given. What
 * happens while the host starts, before anybody subscribes, is kept (4,096 events, or as many bytes as in a queue, then
 * the oldest go) for the first who does, to whom those of its topics that have gone are counted as dropped (past 256
 * sources and topics, all of them); requests are not. What is subscribed to in ready is told of once the plugin serves.
 *
 * Topics are names of [a-z0-9_.-], at most 127 bytes; those that begin with "tenon." are the host's:
 *
 *   tenon.log       a record of tenon.log that the host keeps: `level`, `message`, `fields`
 *
 *   tenon.request   a request to a plugin's route that has been answered: `message` "GET /path", `status`,
 *                   `duration_us`, fields "request_id", "route" where one was found, "subject" where somebody is known;
 *                   of requests that tables answer (REST, GraphQL, streams, sockets) there are none
 *
 *   tenon.span      a part of some work: `message` its name, `duration_us`, `fields`
 *
 *   tenon.plugin    a plugin that serves, stopped or failed to: `message` says which, fields as in the host's events
 */
#ifndef TENON_EXT_EVENTS_H
#define TENON_EXT_EVENTS_H

#include "../types.h"
#include "log.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;
struct tenon_plugin;

#define TENON_EVENTS_ID "tenon.events/1"

/* Bounds of a subscriber's queue, of a batch (events), and of one event (bytes of all its texts). */
#define TENON_EVENTS_QUEUE 131072u
#define TENON_EVENTS_QUEUE_BYTES (32u * 1024u * 1024u)
#define TENON_EVENTS_BATCH 1024u
#define TENON_EVENT_LIMIT (64u * 1024u)

/* One event. Views that live as long as on_event runs. */
typedef struct tenon_event {
  uint32_t size;
  int32_t level;        /* of tenon.log; else 0 */
  int64_t time_us;      /* when it happened, or began; microseconds since the epoch */
  uint64_t duration_us; /* of tenon.request and tenon.span; else 0 */
  int32_t status;       /* of tenon.request: that of the answer; else 0 */
  uint32_t field_count;
  tenon_bytes_t topic;
  tenon_bytes_t source;  /* id of the plugin that caused it; empty: the host */
  uint64_t generation;   /* its number; 0 for the host */
  tenon_bytes_t message; /* of an event that a plugin published: its payload, any bytes */
  const tenon_log_field_t* fields;
} tenon_event_t;

/* The plugin's side. */
typedef struct tenon_plugin_events {
  uint32_t size;
  /* Take `count` events (1 to TENON_EVENTS_BATCH). `dropped`: how many did not fit since the batch before, or before
   * the plugin subscribed; all of them are in tenon_plugin_events_dropped_total of GET /metrics. Calls of one
   * generation never overlap; one that takes long lets the queue grow. [event] a thread of this generation's, while it
   * serves, after ready */
  void (*on_event)(struct tenon_plugin* plugin, const tenon_event_t* events, size_t count, uint64_t dropped);
} tenon_plugin_events_t;

/* A part of some work that is over. */
typedef struct tenon_span {
  uint32_t size;
  tenon_bytes_t name; /* 1 to 255 bytes */
  int64_t begin_us;   /* microseconds since the epoch */
  uint64_t duration_us;
  const tenon_log_field_t* fields;
  size_t field_count;
} tenon_span_t;

/* The host's side. Allowed from tenon_plugin_t.ready on, until shutdown has returned: otherwise TENON_ERROR_STATE. */
typedef struct tenon_host_events {
  uint32_t size;

  /* Tell all subscribers of `topic`, which must not begin with "tenon.". Copies; waits for no subscriber.
   * TENON_ERROR_TOO_LARGE past TENON_EVENT_LIMIT. That nobody subscribes is no error. TENON_ERROR_DENIED without the
   * permission events:publish:TOPIC. [any] */
  tenon_status (*publish)(const struct tenon_host* host, tenon_bytes_t topic, tenon_bytes_t payload);

  /* Tell of a span, under the topic tenon.span. [any] */
  tenon_status (*span)(const struct tenon_host* host, const tenon_span_t* span);

  /* Be given the events of a topic, or of all that begin with what stands before a "*" at the end. At most 64 for a
   * plugin: TENON_ERROR_TOO_LARGE. TENON_ERROR_UNSUPPORTED for a plugin that does not offer tenon.events/1.
   * TENON_ERROR_DENIED without the permission events:subscribe:PATTERN; one that is taken back later rests. [any] */
  tenon_status (*subscribe)(const struct tenon_host* host, tenon_bytes_t pattern);
  /* Undo it; TENON_ERROR_NOT_FOUND for a pattern that was not subscribed to. [any] */
  tenon_status (*unsubscribe)(const struct tenon_host* host, tenon_bytes_t pattern);

  /* Whether another plugin is subscribed to `topic`, or may be before the host has started: ask before making an
   * expensive payload. [any] */
  bool (*wanted)(const struct tenon_host* host, tenon_bytes_t topic);
} tenon_host_events_t;

#ifdef __cplusplus
}
#endif

#endif
