/*
 * Does with tables what the query asks for, one operation for each request, and answers with its status and what it
 * read: "/pool?op=get&table=Task&key=1" on a thread, "/main?…" on the event loop, "/life" what create, initialize and
 * ready were answered. What is to be kept ("&keep=yes") is not given back. Macros:
 *   WRITES_IN_SHUTDOWN   a last record, when it is shut down
 *   NEEDS_TABLES         it refuses to start where tables are not there, or may be used too early
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/tables.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "tables"
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static struct {
  tenon_plugin_t plugin;
  const tenon_host_t* host;
  const tenon_host_http_t* http;
  const tenon_host_tables_t* tables;
  tenon_status in_create;
  tenon_status in_initialize;
  tenon_status in_ready;
} self;

static const char* const names[] = {"OK",      "ERROR",     "ARGUMENT",  "STATE",   "UNSUPPORTED",
                                    "MEMORY",  "NOT_FOUND", "TOO_LARGE", "AGAIN",   "CANCELLED",
                                    "VERSION", "DENIED",    "EXISTS",    "INVALID", "STORAGE"};

typedef struct answer {
  char text[64 * 1024];
  size_t size;
} answer_t;

static void say(answer_t* answer, const char* text, size_t size) {
  if (size > sizeof answer->text - answer->size) size = sizeof answer->text - answer->size;
  memcpy(answer->text + answer->size, text, size);
  answer->size += size;
}
static void say_text(answer_t* answer, const char* text) { say(answer, text, strlen(text)); }
static void say_bytes(answer_t* answer, tenon_bytes_t text) {
  say_text(answer, " ");
  if (text.size > 0) say(answer, text.data, text.size);
}
static void say_status(answer_t* answer, tenon_status status) { say_text(answer, names[status]); }
static void say_problem(answer_t* answer, const tenon_table_problem_t* problem) {
  say_text(answer, " [");
  say_text(answer, problem->field);
  say_text(answer, "] ");
  say_text(answer, problem->message);
}

static tenon_bytes_t asked(tenon_request_t* request, tenon_bytes_t name) {
  tenon_bytes_t value = {NULL, 0};
  self.http->query_value(request, name, &value);
  return value;
}
static bool is(tenon_bytes_t value, const char* text) {
  return value.size == strlen(text) && memcmp(value.data == NULL ? "" : value.data, text, value.size) == 0;
}
static int64_t integer(tenon_bytes_t digits) {
  char text[32] = {0};
  if (digits.size >= sizeof text) return 0;
  if (digits.size > 0) memcpy(text, digits.data, digits.size);
  return strtoll(text, NULL, 10);
}
/* "#7" is a whole number, "~1.5" a fraction, anything else a text. */
static tenon_value_t value_of(tenon_bytes_t text) {
  tenon_value_t value = {0};
  if (text.size == 0) return value;
  if (text.data[0] == '#') {
    value.kind = TENON_VALUE_INTEGER;
    value.integer = integer((tenon_bytes_t){text.data + 1, text.size - 1});
  } else {
    value.kind = TENON_VALUE_TEXT;
    value.text = text;
  }
  return value;
}
static uint32_t mode_of(tenon_bytes_t mode) {
  return is(mode, "create") ? TENON_PUT_CREATE : is(mode, "replace") ? TENON_PUT_REPLACE : TENON_PUT_ANY;
}

static tenon_bytes_t word(tenon_bytes_t* rest) {
  const char* end = memchr(rest->data, ' ', rest->size);
  tenon_bytes_t first = {rest->data, end == NULL ? rest->size : (size_t)(end - rest->data)};
  const size_t used = end == NULL ? rest->size : first.size + 1;
  rest->data += used;
  rest->size -= used;
  return first;
}

/* Lines of "put TABLE JSON", "create …", "replace …", "patch TABLE KEY JSON", "remove TABLE KEY". */
static tenon_status fill(tenon_batch_t* batch, tenon_bytes_t body) {
  const tenon_host_tables_t* tables = self.tables;
  while (body.size > 0) {
    const char* end = memchr(body.data, '\n', body.size);
    tenon_bytes_t line = {body.data, end == NULL ? body.size : (size_t)(end - body.data)};
    const size_t used = end == NULL ? body.size : line.size + 1;
    body.data += used;
    body.size -= used;
    const tenon_bytes_t what = word(&line);
    tenon_table_t* table = NULL;
    tenon_status status = tables->open(self.host, word(&line), &table);
    if (status != TENON_OK) return status;
    if (is(what, "remove")) {
      const tenon_value_t key = value_of(line);
      status = tables->batch_remove(batch, table, &key);
    } else if (is(what, "patch")) {
      const tenon_value_t key = value_of(word(&line));
      status = tables->batch_patch(batch, table, &key, line);
    } else {
      status = tables->batch_put(batch, table, line, mode_of(what));
    }
    if (status != TENON_OK) return status;
  }
  return TENON_OK;
}

static void scan(tenon_request_t* request, tenon_table_t* table, answer_t* answer) {
  const tenon_host_tables_t* tables = self.tables;
  const tenon_bytes_t field = asked(request, TEXT("field"));
  const tenon_scan_t wanted = {.size = sizeof wanted,
                               .field = field.size == 0 ? -1 : tables->field(table, field),
                               .lower = value_of(asked(request, TEXT("lower"))),
                               .upper = value_of(asked(request, TEXT("upper"))),
                               .lower_excluded = asked(request, TEXT("above")).size > 0,
                               .upper_excluded = asked(request, TEXT("below")).size > 0,
                               .reverse = asked(request, TEXT("reverse")).size > 0,
                               .prefix = asked(request, TEXT("prefix")),
                               .filter = self.http->body(request)};
  tenon_table_problem_t problem = {.size = sizeof problem};
  tenon_cursor_t* cursor = NULL;
  tenon_status status = tables->scan(table, &wanted, &cursor, &problem);
  if (status != TENON_OK) {
    say_status(answer, status);
    say_problem(answer, &problem);
    return;
  }
  tenon_record_t record = {.size = sizeof record};
  while ((status = tables->next(cursor, &record)) == TENON_OK) {
    say_bytes(answer, tenon_record_json(&record));
    tables->release(&record);
  }
  say_text(answer, status == TENON_ERROR_NOT_FOUND ? " END" : " BROKEN");
  if (asked(request, TEXT("keep")).size == 0) tables->scan_end(cursor);
}

/* Each change as a chunk, until there are as many as are wanted or none comes any more. */
static tenon_status follow(tenon_request_t* request, tenon_response_t* response, tenon_table_t* table) {
  const tenon_host_tables_t* tables = self.tables;
  tenon_feed_t* feed = NULL;
  answer_t answer = {.size = 0};
  tenon_status status = tables->feed_begin(table, (uint64_t)integer(asked(request, TEXT("from"))), &feed);
  say_status(&answer, status);
  if (status != TENON_OK) return self.http->set_body(response, (tenon_bytes_t){answer.text, answer.size});
  self.http->write(response, (tenon_bytes_t){answer.text, answer.size});
  const tenon_bytes_t wait = asked(request, TEXT("wait"));
  int64_t most = integer(asked(request, TEXT("most")));
  while (status == TENON_OK && most-- > 0) {
    tenon_change_t change = {.size = sizeof change};
    status = tables->feed_next(feed, wait.size == 0 ? 60000 : (uint32_t)integer(wait), &change);
    answer.size = 0;
    if (status == TENON_OK) {
      char sequence[32];
      snprintf(sequence, sizeof sequence, "\n%llu", (unsigned long long)change.sequence);
      say_text(&answer, sequence);
      say_text(&answer, change.deleted ? " gone" : " now");
      say_bytes(&answer, change.key);
      if (!change.deleted) say_bytes(&answer, tenon_record_json(&change.record));
    } else {
      say_text(&answer, "\n");
      say_status(&answer, status);
    }
    self.http->write(response, (tenon_bytes_t){answer.text, answer.size});
  }
  if (asked(request, TEXT("keep")).size == 0) tables->feed_end(feed);
  return TENON_OK;
}

/* Every function with what it must refuse: how many did not say ARGUMENT. */
static void misuse(tenon_table_t* table, answer_t* answer) {
  const tenon_host_tables_t* tables = self.tables;
  const tenon_bytes_t wrong = {NULL, 5};
  const tenon_bytes_t json = TEXT("{}");
  const tenon_value_t number = {.kind = TENON_VALUE_FLOAT};
  const tenon_value_t bad_text = {.kind = TENON_VALUE_TEXT, .text = wrong};
  tenon_record_t record = {.size = sizeof record};
  tenon_record_t small = {.size = 8};
  tenon_table_t* opened = NULL;
  tenon_cursor_t* cursor = NULL;
  tenon_batch_t* batch = NULL;
  tenon_feed_t* feed = NULL;
  tenon_scan_t scan_small = {.size = 4};
  tenon_scan_t scan_wrong = {.size = sizeof scan_wrong, .field = -1, .filter = wrong};
  tenon_change_t change = {.size = 4};
  tenon_table_problem_t short_problem = {.size = 4};
  uint64_t count = 0;
  tables->batch_begin(self.host, &batch);
  tables->feed_begin(table, 0, &feed);
  const tenon_status statuses[] = {
      tables->open(self.host, wrong, &opened),
      tables->open(self.host, json, NULL),
      tables->get(NULL, &number, &record),
      tables->get(table, NULL, &record),
      tables->get(table, &number, &record),
      tables->get(table, &bad_text, &record),
      tables->get(table, &number, &small),
      tables->put(NULL, json, 0, NULL),
      tables->put(table, json, 3, &short_problem),
      tables->put(table, wrong, 0, NULL),
      tables->patch(table, NULL, json, NULL),
      tables->remove(table, &number, NULL),
      tables->batch_begin(self.host, NULL),
      tables->batch_put(NULL, table, json, 0),
      tables->batch_put(batch, NULL, json, 0),
      tables->batch_put(batch, table, wrong, 0),
      tables->batch_put(batch, table, json, 9),
      tables->batch_patch(batch, table, &number, json),
      tables->batch_remove(batch, table, NULL),
      tables->batch_commit(NULL, NULL),
      tables->scan(table, NULL, &cursor, NULL),
      tables->scan(table, &scan_small, &cursor, NULL),
      tables->scan(table, &scan_wrong, &cursor, NULL),
      tables->scan(table, &scan_wrong, NULL, NULL),
      tables->next(NULL, &record),
      tables->count(table, true, NULL),
      tables->count(NULL, true, &count),
      tables->feed_begin(NULL, 0, &feed),
      tables->feed_next(feed, 0, &change),
      tables->feed_next(NULL, 0, &change),
  };
  char text[16];
  size_t others = 0;
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) others += statuses[i] != TENON_ERROR_ARGUMENT;
  tables->release(NULL);
  tables->release(&small);
  tables->batch_discard(NULL);
  tables->batch_discard(batch);
  tables->scan_end(NULL);
  tables->feed_end(NULL);
  snprintf(text, sizeof text, "%zu others", others);
  say_text(answer, text);
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  const tenon_host_tables_t* tables = self.tables;
  answer_t* answer = calloc(1, sizeof *answer);
  tenon_status status = TENON_OK;
  if (index == 2) {
    for (const tenon_status* at = &self.in_create; at <= &self.in_ready; at++) {
      say_status(answer, *at);
      say_text(answer, " ");
    }
    status = self.http->set_body(response, (tenon_bytes_t){answer->text, answer->size});
    free(answer);
    return status;
  }
  const tenon_bytes_t op = asked(request, TEXT("op"));
  const tenon_value_t key = value_of(asked(request, TEXT("key")));
  const tenon_bytes_t body = self.http->body(request);
  tenon_table_problem_t problem = {.size = sizeof problem};
  tenon_table_t* table = NULL;
  tenon_status opened =
      tables == NULL ? TENON_ERROR_UNSUPPORTED : tables->open(self.host, asked(request, TEXT("table")), &table);
  if (opened != TENON_OK) {
    say_status(answer, opened);
  } else if (is(op, "field")) {
    char text[16];
    snprintf(text, sizeof text, "%d", (int)tables->field(table, asked(request, TEXT("field"))));
    say_text(answer, text);
  } else if (is(op, "get")) {
    tenon_record_t record = {.size = sizeof record};
    status = tables->get(table, &key, &record);
    say_status(answer, status);
    if (status == TENON_OK) {
      const int32_t field = tables->field(table, asked(request, TEXT("field")));
      say_bytes(answer, field < 0 ? tenon_record_json(&record) : tenon_record_value(&record, (uint32_t)field).text);
      if (asked(request, TEXT("keep")).size == 0) tables->release(&record);
    }
  } else if (is(op, "put") || is(op, "patch") || is(op, "remove")) {
    status = is(op, "put")     ? tables->put(table, body, mode_of(asked(request, TEXT("mode"))), &problem)
             : is(op, "patch") ? tables->patch(table, &key, body, &problem)
                               : tables->remove(table, &key, &problem);
    say_status(answer, status);
    if (status != TENON_OK) say_problem(answer, &problem);
  } else if (is(op, "batch")) {
    tenon_batch_t* batch = NULL;
    status = tables->batch_begin(self.host, &batch);
    const tenon_status filled = status == TENON_OK ? fill(batch, body) : status;
    if (filled == TENON_OK && asked(request, TEXT("keep")).size == 0) {
      status = tables->batch_commit(batch, &problem);
      say_status(answer, status);
      if (status != TENON_OK) say_problem(answer, &problem);
    } else {
      say_status(answer, filled);
      if (filled != TENON_OK && batch != NULL) tables->batch_discard(batch);
    }
  } else if (is(op, "scan")) {
    scan(request, table, answer);
  } else if (is(op, "count")) {
    uint64_t count = 0;
    char text[32];
    status = tables->count(table, asked(request, TEXT("exact")).size > 0, &count);
    say_status(answer, status);
    snprintf(text, sizeof text, " %llu", (unsigned long long)count);
    if (status == TENON_OK) say_text(answer, text);
  } else if (is(op, "follow")) {
    status = follow(request, response, table);
    free(answer);
    return status;
  } else if (is(op, "misuse")) {
    misuse(table, answer);
  }
  status = self.http->set_body(response, (tenon_bytes_t){answer->text, answer->size});
  free(answer);
  return status;
}

#define ROUTE(pattern, where)                                                                                          \
  { sizeof(tenon_route_t), TENON_HTTP_POST, {pattern, sizeof(pattern) - 1}, where, 0, 0, .auth = TENON_AUTH_NONE }
static const tenon_route_t routes[] = {ROUTE("/pool", TENON_EXECUTION_POOL), ROUTE("/main", TENON_EXECUTION_INLINE),
                                       ROUTE("/life", TENON_EXECUTION_INLINE)};
static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return sizeof routes / sizeof *routes;
}
static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}
static const tenon_plugin_http_t http_side = {sizeof http_side, 0, route_count, route, handle};

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &http_side : NULL;
}

static tenon_status try_open(void) {
  tenon_table_t* table = NULL;
  return self.tables == NULL ? TENON_ERROR_UNSUPPORTED : self.tables->open(self.host, TEXT("Task"), &table);
}

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  self.in_initialize = try_open();
#ifdef NEEDS_TABLES
  tenon_batch_t* batch = NULL;
  tenon_table_problem_t problem = {.size = sizeof problem};
  if (self.tables == NULL || self.in_initialize != TENON_ERROR_STATE) return TENON_ERROR;
  if (self.tables->batch_begin(self.host, &batch) != TENON_ERROR_STATE) return TENON_ERROR;
  if (self.tables->put(NULL, TEXT("{}"), 0, &problem) != TENON_ERROR_STATE || problem.message[0] == 0)
    return TENON_ERROR;
  self.tables->batch_discard(NULL);
  self.tables->scan_end(NULL);
  self.tables->feed_end(NULL);
  self.tables->release(NULL);
#endif
  return TENON_OK;
}
static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  (void)context;
  self.in_ready = try_open();
  return TENON_OK;
}
static void shut_down(tenon_plugin_t* plugin) {
  (void)plugin;
#ifdef WRITES_IN_SHUTDOWN
  tenon_table_t* table = NULL;
  if (self.tables->open(self.host, TEXT("Task"), &table) == TENON_OK)
    self.tables->put(table, TEXT("{\"id\":\"last\",\"title\":\"Last words\"}"), TENON_PUT_ANY, NULL);
#endif
}
static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  self.host = host;
  self.http = host->get_extension(host, TENON_HTTP_ID);
  self.tables = host->get_extension(host, TENON_TABLES_ID);
  self.in_create = try_open();
  self.plugin = (tenon_plugin_t){.size = sizeof(tenon_plugin_t),
                                 .initialize = initialize,
                                 .ready = ready,
                                 .shutdown = shut_down,
                                 .destroy = destroy,
                                 .get_extension = get_extension};
  *out = &self.plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Tables", "1.0.0", "Does with tables what it is asked for.", NULL, TENON_TRIAL_FULL, create)
