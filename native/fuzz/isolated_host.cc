#include "isolated_host.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <utility>

#include "definition.h"
#include "tables_face.h"
#include "tenon/ext/auth.h"
#include "tenon/ext/config.h"
#include "tenon/ext/events.h"
#include "tenon/ext/hooks.h"
#include "tenon/ext/http.h"
#include "tenon/ext/http_client.h"
#include "tenon/ext/log.h"
#include "tenon/ext/metrics.h"
#include "tenon/ext/middleware.h"
#include "tenon/ext/state.h"
#include "tenon/ext/tables.h"
#include "tenon/ext/tasks.h"

namespace tenon::fuzz {

namespace {

thread_local Script* script_of_thread = nullptr;
std::atomic<long> opened{0};

uint8_t next() { return script_of_thread == nullptr ? 0 : script_of_thread->byte(); }

// As large as the largest piece of text or of a record that it gives.
constexpr std::string_view kText = "what the host says, neither long nor short";

// The sanitizers see a read beyond what was given.
volatile uint8_t sink;

void touch(const void* data, size_t size) {
  uint8_t sum = 0;
  for (size_t index = 0; index < size; index++)
    sum = static_cast<uint8_t>(sum + static_cast<const uint8_t*>(data)[index]);
  sink = sum;
}

// A host that nobody scripts says yes, and something.
tenon_bytes_t some_text() { return {kText.data(), (next() + 4u) % kText.size()}; }
bool agrees() { return (next() & 1) == 0; }

// Arguments that are read.
void take(tenon_bytes_t bytes) { touch(bytes.data, bytes.data == nullptr ? 0 : bytes.size); }
void take(const tenon_value_t* value) {
  if (value != nullptr && value->kind == TENON_VALUE_TEXT) take(value->text);
}
void take(const tenon_table_t* table) { touch(table, sizeof *table); }
void take(tenon_table_t* table) { touch(table, sizeof *table); }
void take(const tenon_log_field_t* fields, size_t count) {
  for (size_t index = 0; index < count; index++) {
    take(fields[index].key);
    take(fields[index].value);
  }
}
void take(const tenon_span_t* span) {
  take(span->name);
  take(span->fields, span->field_count);
}
void take(const tenon_metric_t* metric) {
  take(metric->name);
  take(metric->help);
  take(metric->labels, metric->label_count);
  touch(metric->buckets, metric->bucket_count * sizeof(double));
}
void take(const tenon_scan_t* scan) {
  take(scan->prefix);
  take(scan->filter);
  take(&scan->lower);
  take(&scan->upper);
}
void take(const tenon_http_client_request_t* request) {
  take(request->method);
  take(request->url);
  take(request->headers, request->header_count);
  take(request->body);
}
// Arguments that are filled.
void take(tenon_bytes_t* bytes) {
  if (bytes != nullptr) *bytes = some_text();
}
void take(uint64_t* number) { *number = next(); }
void take(tenon_identity_t* identity) {
  static const std::array<tenon_bytes_t, 2> roles = {{{"one", 3}, {"two", 3}}};
  if (identity == nullptr) return;
  *identity = {};
  identity->subject = some_text();
  identity->role_count = (next() + 1) % 3;
  identity->roles = roles.data();
}
void take(tenon_table_problem_t* problem) {
  if (problem == nullptr) return;
  *problem = {};
  problem->size = sizeof *problem;
  const uint8_t byte = next();
  std::memset(problem->field, 'f', byte % sizeof problem->field);
  std::memset(problem->message, 'm', byte);
}
template <typename Other>
void take(const Other&) {}

template <typename Result>
Result result() {
  if constexpr (std::is_same_v<Result, bool>) {
    return agrees();
  } else if constexpr (std::is_same_v<Result, tenon_bytes_t>) {
    return some_text();
  } else if constexpr (std::is_arithmetic_v<Result>) {
    // Well, more often than not.
    const uint8_t byte = next();
    return static_cast<Result>(byte < 128 ? 0 : byte % 16);
  }
}

template <auto Member>
struct Stub;
template <typename Table, typename Result, typename... Arguments, Result (*Table::*Member)(Arguments...)>
struct Stub<Member> {
  static Result call(Arguments... arguments) {
    (take(arguments), ...);
    return result<Result>();
  }
  static void into(Table& table) { table.*Member = call; }
};
template <auto... Members, typename Table>
void answer(Table& table) {
  (Stub<Members>::into(table), ...);
}

// --- what a stub does not know how to do

tenon_status fill(void* buffer, size_t capacity, size_t* size) {
  if (const uint8_t byte = next(); byte >= 200) return static_cast<tenon_status>(byte % 16);
  *size = (next() + 8u) % 256;
  if (*size > capacity) return TENON_ERROR_TOO_LARGE;
  if (*size != 0) std::memset(buffer, 'x', *size);
  return TENON_OK;
}

tenon_status get_state(const tenon_host_t*, tenon_bytes_t key, void* buffer, size_t capacity, size_t* size) {
  take(key);
  return fill(buffer, capacity, size);
}

tenon_status hash(const tenon_host_t*, tenon_bytes_t text, void* buffer, size_t capacity, size_t* size) {
  take(text);
  return fill(buffer, capacity, size);
}

tenon_status sign(const tenon_host_t*, tenon_bytes_t text, uint32_t, void* buffer, size_t capacity, size_t* size) {
  take(text);
  return fill(buffer, capacity, size);
}

tenon_status random_bytes(const tenon_host_t*, void* buffer, size_t size) {
  if (size != 0) std::memset(buffer, 'r', size);
  return result<tenon_status>();
}

tenon_status run_hooks(const tenon_host_t*, tenon_bytes_t name, uint32_t, tenon_bytes_t input,
                       const tenon_hook_output_t* output) {
  take(name);
  take(input);
  if ((next() & 1) != 0) output->fail(output, some_text());
  return agrees() ? output->write(output, some_text()) : TENON_ERROR;
}

void own_config(const tenon_host_t*, void (*visit)(void*, tenon_bytes_t), void* context) {
  if (agrees()) visit(context, some_text());
}

void consumers(const tenon_host_t*, void (*visit)(void*, tenon_bytes_t, tenon_bytes_t), void* context) {
  for (int count = (next() + 1) % 3; count > 0; count--) visit(context, some_text(), some_text());
}

tenon_status collect(const tenon_host_t*, void (*visit)(void*, const tenon_metric_value_t*), void* context) {
  static const std::array<tenon_log_field_t, 2> labels = {{{{"a", 1}, {"b", 1}}, {{"c", 1}, {"d", 1}}}};
  static const std::array<double, 2> buckets = {1, 2};
  static const std::array<uint64_t, 3> counts = {1, 2, 3};
  for (int count = (next() + 1) % 3; count > 0; count--) {
    tenon_metric_value_t value = {};
    value.size = sizeof value;
    value.metric.size = sizeof value.metric;
    value.metric.kind = 1u + next() % 3u;
    value.metric.name = some_text();
    value.metric.help = some_text();
    value.metric.labels = labels.data();
    value.metric.label_count = next() % 3u;
    if (value.metric.kind == TENON_METRIC_HISTOGRAM) {
      value.metric.buckets = buckets.data();
      value.metric.bucket_count = buckets.size();
      value.bucket_counts = counts.data();
    }
    value.plugin = some_text();
    visit(context, &value);
  }
  return result<tenon_status>();
}

// Each thing that is opened is memory of its own, so that one that is used after its end is seen. So is the record that
// it has lent, until the next.
struct Opened {
  char* lent;
};

char* make_record(tenon_record_t* record) {
  char* const bytes = static_cast<char*>(std::calloc(1, TENON_RECORD_HEAD + 16));
  bytes[0] = TENON_RECORD_FORMAT;
  record->bytes = {bytes, TENON_RECORD_HEAD + 16};
  return bytes;
}

template <typename Thing>
tenon_status open_thing(Thing** thing) {
  const tenon_status status = result<tenon_status>();
  if (status != TENON_OK) return status;
  *thing = static_cast<Thing*>(std::calloc(1, sizeof(Opened)));
  opened++;
  return TENON_OK;
}
template <typename Thing>
Opened& opened_of(Thing* thing) {
  return *reinterpret_cast<Opened*>(thing);
}
template <typename Thing>
void close_thing(Thing* thing) {
  std::free(opened_of(thing).lent);
  std::free(thing);
  opened--;
}
template <typename Thing>
void lend_record(Thing* thing, tenon_record_t* record) {
  std::free(std::exchange(opened_of(thing).lent, make_record(record)));
}

tenon_status open_table(const tenon_host_t*, tenon_bytes_t name, tenon_table_t** table) {
  // Lives as long as its host.
  static core::OpenTable only;
  if (!only.definition) {
    core::Definition definition;
    definition.fields.resize(3);
    for (core::Field& field : definition.fields) field.name = "field";
    only.definition = std::make_shared<const core::Definition>(std::move(definition));
  }
  take(name);
  *table = &only;
  return result<tenon_status>();
}
tenon_status begin_batch(const tenon_host_t*, tenon_batch_t** batch) { return open_thing(batch); }
tenon_status commit_batch(tenon_batch_t* batch, tenon_table_problem_t* problem) {
  close_thing(batch);
  take(problem);
  return result<tenon_status>();
}
template <typename Thing, typename... Arguments>
tenon_status use_thing(Thing* thing, Arguments... arguments) {
  touch(thing, 1);
  (take(arguments), ...);
  return result<tenon_status>();
}
tenon_status batch_put(tenon_batch_t* batch, tenon_table_t* table, tenon_bytes_t json, uint32_t mode) {
  return use_thing(batch, table, json, mode);
}
tenon_status batch_patch(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key, tenon_bytes_t json) {
  return use_thing(batch, table, key, json);
}
tenon_status batch_remove(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key) {
  return use_thing(batch, table, key);
}
tenon_status begin_scan(tenon_table_t* table, const tenon_scan_t* scan, tenon_cursor_t** cursor,
                        tenon_table_problem_t* problem) {
  take(table);
  take(scan);
  take(problem);
  return open_thing(cursor);
}

tenon_status get_record(tenon_table_t* table, const tenon_value_t* key, tenon_record_t* record) {
  take(table);
  take(key);
  const tenon_status status = result<tenon_status>();
  if (status != TENON_OK) return status;
  make_record(record);
  opened++;
  return TENON_OK;
}
tenon_status next_record(tenon_cursor_t* cursor, tenon_record_t* record) {
  // It has an end.
  const uint8_t byte = next();
  if (byte >= 192 && byte < 224) return TENON_ERROR_NOT_FOUND;
  if (byte >= 224) return static_cast<tenon_status>(byte % 16);
  lend_record(cursor, record);
  return TENON_OK;
}
void release_record(tenon_record_t* record) {
  if (record->bytes.data == nullptr) return;
  std::free(const_cast<char*>(record->bytes.data));
  record->bytes = {};
  opened--;
}
tenon_status begin_feed(tenon_table_t* table, uint64_t, tenon_feed_t** feed) {
  take(table);
  return open_thing(feed);
}
tenon_status next_change(tenon_feed_t* feed, uint32_t, tenon_change_t* change) {
  touch(feed, 1);
  const tenon_status status = result<tenon_status>();
  if (status != TENON_OK) return status;
  change->key = some_text();
  change->deleted = next() & 1;
  if (change->deleted == 0) lend_record(feed, &change->record);
  return TENON_OK;
}

// A task runs at once, and ends; so does a request to another host.
tenon_status run_task(const tenon_host_t*, uint64_t, tenon_task_fn work, tenon_task_end_fn end, void* context,
                      uint64_t* task) {
  const tenon_status status = result<tenon_status>();
  if (status != TENON_OK) return status;
  if (task != nullptr) *task = 1;
  if (agrees()) work(context, 1);
  if (end != nullptr) end(context);
  return TENON_OK;
}
tenon_status submit(const tenon_host_t* host, tenon_task_fn work, tenon_task_end_fn end, void* context,
                    uint64_t* task) {
  return run_task(host, 0, work, end, context, task);
}

tenon_status send_request(const tenon_host_t*, const tenon_http_client_request_t* request,
                          tenon_http_client_done_fn done, void* context, uint64_t* number) {
  take(request);
  const tenon_status status = result<tenon_status>();
  if (status != TENON_OK) return status;
  if (number != nullptr) *number = 1;
  static const std::array<tenon_log_field_t, 1> headers = {{{{"a", 1}, {"b", 1}}}};
  tenon_http_client_response_t response = {};
  response.size = sizeof response;
  response.outcome = result<tenon_status>();
  response.status = next() * 2;
  response.header_count = next() & 1u;
  response.headers = headers.data();
  response.body = some_text();
  response.message = some_text();
  done(context, &response);
  return TENON_OK;
}

void write_log(const tenon_host_t*, int32_t, tenon_bytes_t message, const tenon_log_field_t* fields, size_t count) {
  take(message);
  take(fields, count);
}

struct Tables {
  tenon_host_log_t log = {};
  tenon_host_state_t state = {};
  tenon_host_config_t config = {};
  tenon_host_http_t http = {};
  tenon_host_tasks_t tasks = {};
  tenon_host_events_t events = {};
  tenon_host_metrics_t metrics = {};
  tenon_host_http_client_t http_client = {};
  tenon_host_auth_t auth = {};
  tenon_host_middleware_t middleware = {};
  tenon_host_hooks_t hooks = {};
  tenon_host_tables_t tables = {};
  tenon_host_t host = {};

  Tables() {
    using Log = tenon_host_log_t;
    log = {sizeof log, write_log, nullptr};
    answer<&Log::enabled>(log);
    using State = tenon_host_state_t;
    state = {sizeof state, nullptr, get_state, nullptr};
    answer<&State::put, &State::remove>(state);
    config = {sizeof config, own_config, consumers};
    using Http = tenon_host_http_t;
    http.size = sizeof http;
    answer<&Http::method, &Http::path, &Http::query, &Http::query_value, &Http::param, &Http::header,
           &Http::header_count, &Http::header_at, &Http::body, &Http::request_id, &Http::time_left_ms, &Http::cancelled,
           &Http::set_status, &Http::set_header, &Http::add_header, &Http::set_body, &Http::fail, &Http::write,
           &Http::defer, &Http::complete, &Http::find_route>(http);
    using Tasks = tenon_host_tasks_t;
    tasks = {sizeof tasks, submit, run_task, run_task, nullptr, nullptr};
    answer<&Tasks::cancel, &Tasks::cancelled>(tasks);
    using Events = tenon_host_events_t;
    events.size = sizeof events;
    answer<&Events::publish, &Events::span, &Events::subscribe, &Events::unsubscribe, &Events::wanted>(events);
    using Metrics = tenon_host_metrics_t;
    metrics = {sizeof metrics, nullptr, nullptr, nullptr, collect};
    answer<&Metrics::series, &Metrics::add, &Metrics::set>(metrics);
    using Client = tenon_host_http_client_t;
    http_client = {sizeof http_client, send_request, nullptr};
    answer<&Client::cancel>(http_client);
    using Auth = tenon_host_auth_t;
    auth = {sizeof auth, nullptr, nullptr, nullptr, hash, nullptr, sign, hash, random_bytes};
    answer<&Auth::identity, &Auth::is_operator, &Auth::forget_decisions, &Auth::verify_password>(auth);
    using Way = tenon_host_middleware_t;
    middleware.size = sizeof middleware;
    answer<&Way::application, &Way::route, &Way::status, &Way::elapsed_us, &Way::keep, &Way::kept>(middleware);
    hooks = {sizeof hooks, run_hooks};
    using Table = tenon_host_tables_t;
    tables.size = sizeof tables;
    answer<&Table::field, &Table::put, &Table::patch, &Table::remove, &Table::count>(tables);
    tables.open = open_table;
    tables.get = get_record;
    tables.release = release_record;
    tables.batch_begin = begin_batch;
    tables.batch_put = batch_put;
    tables.batch_patch = batch_patch;
    tables.batch_remove = batch_remove;
    tables.batch_commit = commit_batch;
    tables.batch_discard = close_thing<tenon_batch_t>;
    tables.scan = begin_scan;
    tables.next = next_record;
    tables.scan_end = close_thing<tenon_cursor_t>;
    tables.feed_begin = begin_feed;
    tables.feed_next = next_change;
    tables.feed_end = close_thing<tenon_feed_t>;
    host = {sizeof host, TENON_ABI_MAJOR, TENON_ABI_MINOR, TENON_SDK_VERSION, this, find};
  }

  static const void* find(const tenon_host_t* host, const char* id) {
    const Tables& own = *static_cast<const Tables*>(host->data);
    const std::string_view name(id);
    if (name == TENON_LOG_ID) return &own.log;
    if (name == TENON_STATE_ID) return &own.state;
    if (name == TENON_CONFIG_ID) return &own.config;
    if (name == TENON_HTTP_ID) return &own.http;
    if (name == TENON_TASKS_ID) return &own.tasks;
    if (name == TENON_EVENTS_ID) return &own.events;
    if (name == TENON_METRICS_ID) return &own.metrics;
    if (name == TENON_HTTP_CLIENT_ID) return &own.http_client;
    if (name == TENON_AUTH_ID) return &own.auth;
    if (name == TENON_MIDDLEWARE_ID) return &own.middleware;
    if (name == TENON_HOOKS_ID) return &own.hooks;
    if (name == TENON_TABLES_ID) return &own.tables;
    return nullptr;
  }
};

}  // namespace

// Linked in place of core::TablesFace::may_add and cancel, which services ask beside the functions of a host.
tenon_status may_add(tenon_table_t&, bool, const tenon_value_t*) __asm__(
    "__wrap__ZN5tenon4core10TablesFace7may_addER11tenon_tablebPK11tenon_value");
void cancel(tenon_feed_t&) __asm__("__wrap__ZN5tenon4core10TablesFace6cancelER10tenon_feed");

tenon_status may_add(tenon_table_t& table, bool, const tenon_value_t* key) {
  take(&table);
  take(key);
  return result<tenon_status>();
}
void cancel(tenon_feed_t& feed) { touch(&feed, 1); }

const tenon_host_t& scripted_host() {
  static const Tables tables;
  return tables.host;
}

void set_script(Script* script) { script_of_thread = script; }

long left_open() { return opened; }

}  // namespace tenon::fuzz
