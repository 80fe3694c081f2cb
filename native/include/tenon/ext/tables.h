/*
 * Capability tenon.tables/1: the application's tables, from plugin code, without a hop through JavaScript.
 *
 * The host offers tenon_host_tables_t; a plugin offers nothing. Every function is synchronous and may read or write a
 * disk: on [main] (an inline route) only what is said to be fit for it. A record that is written is checked against the
 * table's definition in schema.graphql, and the indexes follow in the same atomic write, whoever writes.
 *
 * Allowed from tenon_plugin_t.ready on, until shutdown has returned; otherwise TENON_ERROR_STATE. Whoever holds a
 * cursor, a record, a batch or a feed gives it back before shutdown returns; the host takes back what is left.
 */
#ifndef TENON_EXT_TABLES_H
#define TENON_EXT_TABLES_H

#include "../record.h"
#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;

#define TENON_TABLES_ID "tenon.tables/1"

/* Bounds: a primary key as text (bytes), a record (bytes of JSON), writes in one batch, and their JSON (bytes). */
#define TENON_TABLE_KEY_LIMIT 1024u
#define TENON_TABLE_RECORD_LIMIT (16u * 1024u * 1024u)
#define TENON_TABLE_BATCH_LIMIT 100000u
#define TENON_TABLE_BATCH_BYTES (256u * 1024u * 1024u)

/* An opened table. The host's; valid until the generation is destroyed. */
typedef struct tenon_table tenon_table_t;
/* A scan under way, a batch being filled, a feed being read: the plugin's until it gives it back. One thread at a time.
 */
typedef struct tenon_cursor tenon_cursor_t;
typedef struct tenon_batch tenon_batch_t;
typedef struct tenon_feed tenon_feed_t;

/* Why a call failed: the caller's struct, filled on failure. May be NULL where it is a parameter. */
typedef struct tenon_table_problem {
  uint32_t size;     /* of this struct, set by the caller */
  char field[128];   /* the field, "tags[2]" or "address.city"; empty when it is none. NUL-terminated */
  char message[384]; /* one sentence. NUL-terminated */
} tenon_table_problem_t;

/* How to write. */
enum {
  TENON_PUT_ANY = 0,    /* create or replace */
  TENON_PUT_CREATE = 1, /* only when there is none: else TENON_ERROR_EXISTS */
  TENON_PUT_REPLACE = 2 /* only when there is one: else TENON_ERROR_NOT_FOUND */
};

/* What to scan; everything may be 0. Bounds apply to the primary key, or to the index of `field`. */
typedef struct tenon_scan {
  uint32_t size;       /* of this struct */
  int32_t field;       /* number of an indexed field: in its order; -1: by primary key */
  tenon_value_t lower; /* kind TENON_VALUE_ABSENT: none */
  tenon_value_t upper;
  bool lower_excluded;
  bool upper_excluded;
  bool reverse;
  tenon_bytes_t prefix; /* of a text; together with bounds both apply */
  tenon_bytes_t filter; /* JSON of a filter as in docs/tables.md, "Filters"; empty: none */
} tenon_scan_t;

/* One change. `record` is a view until the next call on its feed; it has no bytes for a deletion. */
typedef struct tenon_change {
  uint32_t size;     /* of this struct, set by the caller */
  uint32_t deleted;  /* 1: the record is gone */
  uint64_t sequence; /* where to resume after it */
  tenon_bytes_t key; /* the primary key: its text, or the decimal digits of an Int; a view like `record` */
  tenon_record_t record;
} tenon_change_t;

typedef struct tenon_host_tables {
  uint32_t size;

  /* Open the table `name` of this application, or "database.Table" of another one when that is
   * permitted: otherwise TENON_ERROR_DENIED, here and, when it is taken back, by every function below.
   * TENON_ERROR_NOT_FOUND when there is none. [any] */
  tenon_status (*open)(const struct tenon_host* host, tenon_bytes_t name, tenon_table_t** table);

  /* Number of a field, for tenon_record_value and tenon_scan_t; -1 when the table has none of that name. Stays the same
   * as long as the table exists. [any] */
  int32_t (*field)(const tenon_table_t* table, tenon_bytes_t name);

  /* Read the record with this primary key into `record`, which the caller then has to release.
   * TENON_ERROR_NOT_FOUND. On [main] only what is in memory is read: else TENON_ERROR_AGAIN. [any] */
  tenon_status (*get)(tenon_table_t* table, const tenon_value_t* key, tenon_record_t* record);

  /* Give a record back; one without bytes is fine. [any] */
  void (*release)(tenon_record_t* record);

  /* Write the record in `json`, an object with the fields of the definition. `mode` is one of TENON_PUT_…
   * TENON_ERROR_INVALID with `problem` when it breaks the definition; TENON_ERROR_DENIED; TENON_ERROR_TOO_LARGE;
   * TENON_ERROR_STORAGE when the disk refuses. When it returns TENON_OK the write outlives the process. [pool]
   * [control] */
  tenon_status (*put)(tenon_table_t* table, tenon_bytes_t json, uint32_t mode, tenon_table_problem_t* problem);

  /* Change some fields of a record: those in `json`, null where the definition allows it; a nested object likewise.
   * TENON_ERROR_NOT_FOUND, and as put. [pool] [control] */
  tenon_status (*patch)(tenon_table_t* table, const tenon_value_t* key, tenon_bytes_t json,
                        tenon_table_problem_t* problem);

  /* Delete a record; TENON_ERROR_NOT_FOUND when there is none. [pool] [control] */
  tenon_status (*remove)(tenon_table_t* table, const tenon_value_t* key, tenon_table_problem_t* problem);

  /* Writes that come true together or not at all, of one table or several. Nothing is checked before commit but sizes.
   * commit and discard give the batch back; `problem` tells of the first write that is refused. [pool] [control] */
  tenon_status (*batch_begin)(const struct tenon_host* host, tenon_batch_t** batch);
  tenon_status (*batch_put)(tenon_batch_t* batch, tenon_table_t* table, tenon_bytes_t json, uint32_t mode);
  tenon_status (*batch_patch)(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key, tenon_bytes_t json);
  tenon_status (*batch_remove)(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key);
  tenon_status (*batch_commit)(tenon_batch_t* batch, tenon_table_problem_t* problem);
  void (*batch_discard)(tenon_batch_t* batch);

  /* Go through records as they are at this moment, whatever is written meanwhile. TENON_ERROR_INVALID for a field
   * without an index, or a wrong filter. `next` fills `record` with a view that lasts until the next call on the cursor
   * (it needs no release), or answers TENON_ERROR_NOT_FOUND at the end. [pool] [control] */
  tenon_status (*scan)(tenon_table_t* table, const tenon_scan_t* scan, tenon_cursor_t** cursor,
                       tenon_table_problem_t* problem);
  tenon_status (*next)(tenon_cursor_t* cursor, tenon_record_t* record);
  void (*scan_end)(tenon_cursor_t* cursor);

  /* How many records there are: exactly, by counting, or an estimate that costs nothing. [pool] [control] */
  tenon_status (*count)(tenon_table_t* table, bool exact, uint64_t* count);

  /* Changes of a table from now on, or after `from`, a sequence of an earlier change (0: from now on).
   * TENON_ERROR_VERSION when so old a change is not kept any more: read the table and begin from now on. `feed_next`
   * waits for the next change for `timeout_ms`: TENON_ERROR_AGAIN when none came; TENON_ERROR_CANCELLED once the
   * generation is being retired. A handler that waits is also cancelled when its generation is to hand over, and its
   * feed with it: should that fail and the generation go on, it begins another one. Changes come in the order in which
   * they became true, each once. [pool] */
  tenon_status (*feed_begin)(tenon_table_t* table, uint64_t from, tenon_feed_t** feed);
  tenon_status (*feed_next)(tenon_feed_t* feed, uint32_t timeout_ms, tenon_change_t* change);
  void (*feed_end)(tenon_feed_t* feed);
} tenon_host_tables_t;

#ifdef __cplusplus
}
#endif

#endif
