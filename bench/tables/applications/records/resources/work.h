/* One piece of work, done on a table of the host or on RocksDB itself. */
#ifndef WORK_H
#define WORK_H

#include <stdio.h>
#include <string.h>
#include <tenon/record.h>
#include <tenon/types.h>
#include <time.h>

#define KEY_SIZE 13
#define BATCH 1000
#define HEAD_SIZE (TENON_RECORD_HEAD + 5 * TENON_RECORD_SLOT)
#define LITERAL(text)                                                                                                  \
  { (text), sizeof(text) - 1 }

typedef struct work {
  tenon_bytes_t name; /* load, get, put, batch, scan */
  uint64_t count;     /* operations */
  uint64_t spread;    /* records that are there: keys are drawn below it */
  uint64_t random;
  uint64_t elapsed_ns; /* on the clock */
  uint64_t used_ns;    /* of this thread's processor time */
  uint64_t done;       /* operations that were timed */
  char problem[512];
} work_t;

static inline bool is_work(const work_t* work, const char* name) {
  return work->name.size == strlen(name) && memcmp(work->name.data, name, work->name.size) == 0;
}

static inline uint64_t clock_ns(clockid_t which) {
  struct timespec now;
  clock_gettime(which, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void begin_timing(work_t* work) {
  work->elapsed_ns = clock_ns(CLOCK_MONOTONIC);
  work->used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline void end_timing(work_t* work) {
  work->used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - work->used_ns;
  work->elapsed_ns = clock_ns(CLOCK_MONOTONIC) - work->elapsed_ns;
}

static inline uint64_t draw(work_t* work) {
  work->random = work->random * 6364136223846793005u + 1442695040888963407u;
  return (work->random >> 33) % work->spread;
}

static inline void digits(char* at, uint64_t number) {
  for (int place = 7; place >= 0; place--, number /= 10) at[place] = (char)('0' + number % 10);
}

/*
 * Key and JSON text of a record, made by writing digits into a pattern: that costs next to nothing. RocksDB gets with
 * the text what the host would keep before it, so that both store the same number of bytes.
 */
typedef struct record {
  char key[KEY_SIZE + 1];
  char stored[HEAD_SIZE + 160]; /* the JSON text stands behind the head */
  size_t size;                  /* of both */
} record_t;

static inline tenon_bytes_t text_of(const record_t* record) {
  const tenon_bytes_t text = {record->stored + HEAD_SIZE, record->size - HEAD_SIZE};
  return text;
}

static inline record_t new_record(void) {
  static const char text[] =
      "{\"id\":\"item-00000000\",\"title\":\"Something that 00000000 has to do\",\"rank\":100000000,\"done\":false,"
      "\"at\":\"2026-01-31T12:00:00.000Z\"}";
  record_t record = {"item-00000000", "", HEAD_SIZE + sizeof text - 1};
  for (size_t at = 0; at < HEAD_SIZE; at++) record.stored[at] = (char)(at * 7);
  memcpy(record.stored + HEAD_SIZE, text, sizeof text);
  return record;
}

static inline void set_record(record_t* record, uint64_t number) {
  const uint64_t hash = (number + 1) * 0x9e3779b97f4a7c15u;
  char* const text = record->stored + HEAD_SIZE;
  memcpy(record->stored + 8, &hash, sizeof hash);
  digits(record->key + 5, number);
  digits(text + 12, number);
  digits(text + 46, number);
  digits(text + 74, number);
}

static inline bool failed(work_t* work, const char* doing, int status, const char* why) {
  snprintf(work->problem, sizeof work->problem, "%s failed with %d: %s", doing, status, why);
  return false;
}

#endif
