/*
 * One record of a table as it is stored: its JSON text, and beside it a place for each field, so that neither a server
 * that sends it nor a plugin that reads a field converts anything. docs/record-format.md says it in words.
 *
 * All numbers are little-endian; nothing is aligned. A record of format 1:
 *     0   uint8    format (1)
 *     1   uint8    0
 *     2   uint16   count of slots, n
 *     4   uint32   revision of the table's definition it was written with
 *     8   uint64   revision of the record: a hash of its JSON text
 *     16  int64    when it expires, ms since the epoch; 0: never
 *     24  n slots of 16 bytes, one for each field by its number:
 *           uint32   where the field's value begins in the JSON text, bytes
 *           uint32   its length, bytes, in the low 27 bits; above them TENON_SLOT_ESCAPED and the kind
 *           8 bytes  the value of a number, date or boolean: int64 or IEEE 754 double
 *     24+16n       the JSON text: one object in UTF-8, fields by number, without white space
 * A field beyond the last slot, or of kind TENON_VALUE_ABSENT, is not in the record: a field that came later.
 */
#ifndef TENON_RECORD_H
#define TENON_RECORD_H

#include <string.h>

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TENON_RECORD_FORMAT 1u
#define TENON_RECORD_HEAD 24u
#define TENON_RECORD_SLOT 16u

/* What a value is. */
enum {
  TENON_VALUE_ABSENT = 0,  /* not in the record, or no bound */
  TENON_VALUE_NULL = 1,    /* null */
  TENON_VALUE_BOOLEAN = 2, /* `integer` is 0 or 1 */
  TENON_VALUE_INTEGER = 3, /* `integer` */
  TENON_VALUE_FLOAT = 4,   /* `number` */
  TENON_VALUE_DATE = 5,    /* `integer`, milliseconds since the epoch; in the JSON text "2026-01-31T12:00:00.000Z" */
  TENON_VALUE_TEXT = 6,    /* `text`: the characters between the quotes */
  TENON_VALUE_JSON = 7     /* `text`: an object, a list, or what a field of type Any holds */
};

/* Bits of the second number of a slot. */
#define TENON_SLOT_LENGTH 0x07ffffffu
#define TENON_SLOT_ESCAPED 0x08000000u /* a text with JSON escapes in it */
#define TENON_SLOT_KIND_SHIFT 28u

/* One value, on its way in or out. */
typedef struct tenon_value {
  uint32_t kind;      /* one of TENON_VALUE_… */
  uint32_t escaped;   /* 1: `text` still has the escapes of JSON; only on the way out */
  int64_t integer;    /* BOOLEAN, INTEGER, DATE */
  double number;      /* FLOAT */
  tenon_bytes_t text; /* TEXT, JSON; on the way out also the literal of every other kind, part of the record */
} tenon_value_t;

/* A record that was read. The caller's own struct; what it points to is the host's until it is released. */
typedef struct tenon_record {
  uint32_t size; /* of this struct, set by the caller */
  uint32_t reserved;
  tenon_bytes_t bytes; /* as laid out above; data is NULL when there is none */
  void* hold;          /* the host's own */
} tenon_record_t;

static inline uint16_t tenon_load16(const char* at) {
  const unsigned char* byte = (const unsigned char*)at;
  return (uint16_t)(byte[0] | byte[1] << 8);
}

static inline uint32_t tenon_load32(const char* at) {
  return (uint32_t)tenon_load16(at) | (uint32_t)tenon_load16(at + 2) << 16;
}

static inline uint64_t tenon_load64(const char* at) {
  return (uint64_t)tenon_load32(at) | (uint64_t)tenon_load32(at + 4) << 32;
}

/* The whole record as JSON text, a view of it. Only of bytes the host gave. [any] */
static inline tenon_bytes_t tenon_record_json(const tenon_record_t* record) {
  const size_t begin = TENON_RECORD_HEAD + (size_t)tenon_load16(record->bytes.data + 2) * TENON_RECORD_SLOT;
  tenon_bytes_t json;
  json.data = record->bytes.data + begin;
  json.size = record->bytes.size - begin;
  return json;
}

/* Its revision, what its ETag is made of. [any] */
static inline uint64_t tenon_record_revision(const tenon_record_t* record) {
  return tenon_load64(record->bytes.data + 8);
}

/* The value of the field with this number (see tenon_host_tables_t.field), as a view of the record. [any] */
static inline tenon_value_t tenon_record_value(const tenon_record_t* record, uint32_t field) {
  tenon_value_t value;
  memset(&value, 0, sizeof value);
  const uint32_t count = tenon_load16(record->bytes.data + 2);
  if (field >= count) return value;
  const char* const slot = record->bytes.data + TENON_RECORD_HEAD + (size_t)field * TENON_RECORD_SLOT;
  const uint32_t length = tenon_load32(slot + 4);
  value.kind = length >> TENON_SLOT_KIND_SHIFT;
  value.escaped = (length & TENON_SLOT_ESCAPED) != 0 ? 1u : 0u;
  if (value.kind == TENON_VALUE_ABSENT) return value;
  value.text.data = record->bytes.data + TENON_RECORD_HEAD + (size_t)count * TENON_RECORD_SLOT + tenon_load32(slot);
  value.text.size = length & TENON_SLOT_LENGTH;
  const uint64_t bits = tenon_load64(slot + 8);
  if (value.kind == TENON_VALUE_FLOAT) {
    memcpy(&value.number, &bits, sizeof value.number);
  } else {
    value.integer = (int64_t)bits;
  }
  return value;
}

#ifdef __cplusplus
}
#endif

#endif
