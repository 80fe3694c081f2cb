#include "inert_host.h"

#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

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
#include "tenon/plugin.h"

namespace tenon::runner {
namespace {

constexpr size_t kMessageBytes = 1024;
constexpr size_t kKeyBytes = 255;

// Made once and never destroyed: a thread of the plugin may still use it while the process ends.
struct Services {
  std::mutex mutex;
  std::string last_message;
  std::map<std::string, std::string> values;
  size_t value_bytes = 0;
};
Services& services() {
  static auto* const instance = std::make_unique<Services>().release();
  return *instance;
}

std::string copy(tenon_bytes_t bytes) {
  return bytes.data == nullptr ? std::string() : std::string(bytes.data, bytes.size);
}

void log_write(const tenon_host_t*, int32_t, tenon_bytes_t message, const tenon_log_field_t*, size_t) {
  if (message.size > kMessageBytes) message.size = kMessageBytes;
  std::string line = copy(message);
  {
    const std::lock_guard<std::mutex> lock(services().mutex);
    services().last_message = line;
  }
  line += '\n';
  // A plugin may have closed its standard error; then only the last message is known.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}
bool log_enabled(const tenon_host_t*, int32_t) { return true; }

tenon_status state_put(const tenon_host_t*, tenon_bytes_t key, tenon_bytes_t value) {
  if (key.data == nullptr || key.size == 0 || key.size > kKeyBytes || (value.data == nullptr && value.size != 0))
    return TENON_ERROR_ARGUMENT;
  Services& own = services();
  const std::lock_guard<std::mutex> lock(own.mutex);
  const auto old = own.values.find(copy(key));
  const size_t freed = old == own.values.end() ? 0 : key.size + old->second.size();
  if (value.size > TENON_STATE_LIMIT || own.value_bytes - freed + key.size + value.size > TENON_STATE_LIMIT)
    return TENON_ERROR_TOO_LARGE;
  own.value_bytes += key.size + value.size - freed;
  own.values[copy(key)] = copy(value);
  return TENON_OK;
}
tenon_status state_get(const tenon_host_t*, tenon_bytes_t key, void* buffer, size_t capacity, size_t* value_size) {
  if (value_size == nullptr || (buffer == nullptr && capacity != 0)) return TENON_ERROR_ARGUMENT;
  Services& own = services();
  const std::lock_guard<std::mutex> lock(own.mutex);
  const auto found = own.values.find(copy(key));
  if (found == own.values.end()) return TENON_ERROR_NOT_FOUND;
  *value_size = found->second.size();
  if (capacity < found->second.size()) return TENON_ERROR_TOO_LARGE;
  if (!found->second.empty()) std::memcpy(buffer, found->second.data(), found->second.size());
  return TENON_OK;
}
tenon_status state_remove(const tenon_host_t*, tenon_bytes_t key) {
  Services& own = services();
  const std::lock_guard<std::mutex> lock(own.mutex);
  const auto found = own.values.find(copy(key));
  if (found == own.values.end()) return TENON_ERROR_NOT_FOUND;
  own.value_bytes -= found->first.size() + found->second.size();
  own.values.erase(found);
  return TENON_OK;
}

// No request ever comes to a trial: these are here to be found, and safe to call all the same.
constexpr tenon_bytes_t kNothing = {nullptr, 0};
tenon_status refuse(tenon_response_t*, tenon_bytes_t) { return TENON_ERROR_STATE; }

constexpr tenon_host_log_t kLog = {sizeof(tenon_host_log_t), log_write, log_enabled};
constexpr tenon_host_state_t kState = {sizeof(tenon_host_state_t), state_put, state_get, state_remove};
const tenon_host_http_t kHttp = {
    sizeof(tenon_host_http_t),
    /* method */ [](const tenon_request_t*) -> tenon_http_method { return TENON_HTTP_GET; },
    /* path */ [](const tenon_request_t*) { return kNothing; },
    /* query */ [](const tenon_request_t*) { return kNothing; },
    /* query_value */ [](tenon_request_t*, tenon_bytes_t, tenon_bytes_t*) { return false; },
    /* param */ [](tenon_request_t*, tenon_bytes_t, tenon_bytes_t*) { return false; },
    /* header */ [](const tenon_request_t*, tenon_bytes_t, tenon_bytes_t*) { return false; },
    /* header_count */ [](const tenon_request_t*) { return uint32_t{0}; },
    /* header_at */ [](const tenon_request_t*, uint32_t, tenon_bytes_t*, tenon_bytes_t*) { return false; },
    /* body */ [](const tenon_request_t*) { return kNothing; },
    /* request_id */ [](tenon_request_t*) { return kNothing; },
    /* time_left_ms */ [](const tenon_request_t*) { return uint32_t{0}; },
    /* cancelled */ [](const tenon_request_t*) { return true; },
    /* set_status */ [](tenon_response_t*, int32_t) -> tenon_status { return TENON_ERROR_STATE; },
    /* set_header */
    [](tenon_response_t*, tenon_bytes_t, tenon_bytes_t) -> tenon_status { return TENON_ERROR_STATE; },
    /* add_header */
    [](tenon_response_t*, tenon_bytes_t, tenon_bytes_t) -> tenon_status { return TENON_ERROR_STATE; },
    /* set_body */ refuse,
    /* give_body */
    [](tenon_response_t*, const void* data, size_t size, tenon_free_fn free_body, void* context) -> tenon_status {
      if (free_body != nullptr) free_body(const_cast<void*>(data), size, context);
      return TENON_ERROR_STATE;
    },
    /* fail */ [](tenon_response_t*, tenon_bytes_t) {},
    /* write */ refuse,
    /* defer */ [](tenon_response_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* complete */ [](tenon_response_t*, tenon_status) {},
    /* find_route */
    [](const tenon_host_t*, tenon_http_method, tenon_bytes_t, tenon_bytes_t*, tenon_bytes_t*) { return false; },
};

// A trial ends before `ready`: until then tables may not be used.
tenon_status refuse_problem(tenon_table_problem_t* problem) {
  constexpr char kSentence[] = "tables are there from ready on";
  if (problem != nullptr && problem->size >= sizeof(tenon_table_problem_t)) {
    problem->field[0] = '\0';
    std::memcpy(problem->message, kSentence, sizeof kSentence);
  }
  return TENON_ERROR_STATE;
}

const tenon_host_tables_t kTables = {
    sizeof(tenon_host_tables_t),
    /* open */ [](const tenon_host_t*, tenon_bytes_t, tenon_table_t**) -> tenon_status { return TENON_ERROR_STATE; },
    /* field */ [](const tenon_table_t*, tenon_bytes_t) { return int32_t{-1}; },
    /* get */
    [](tenon_table_t*, const tenon_value_t*, tenon_record_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* release */ [](tenon_record_t*) {},
    /* put */
    [](tenon_table_t*, tenon_bytes_t, uint32_t, tenon_table_problem_t* problem) { return refuse_problem(problem); },
    /* patch */
    [](tenon_table_t*, const tenon_value_t*, tenon_bytes_t, tenon_table_problem_t* problem) {
      return refuse_problem(problem);
    },
    /* remove */
    [](tenon_table_t*, const tenon_value_t*, tenon_table_problem_t* problem) { return refuse_problem(problem); },
    /* batch_begin */ [](const tenon_host_t*, tenon_batch_t**) -> tenon_status { return TENON_ERROR_STATE; },
    /* batch_put */
    [](tenon_batch_t*, tenon_table_t*, tenon_bytes_t, uint32_t) -> tenon_status { return TENON_ERROR_STATE; },
    /* batch_patch */
    [](tenon_batch_t*, tenon_table_t*, const tenon_value_t*, tenon_bytes_t) -> tenon_status {
      return TENON_ERROR_STATE;
    },
    /* batch_remove */
    [](tenon_batch_t*, tenon_table_t*, const tenon_value_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* batch_commit */ [](tenon_batch_t*, tenon_table_problem_t* problem) { return refuse_problem(problem); },
    /* batch_discard */ [](tenon_batch_t*) {},
    /* scan */
    [](tenon_table_t*, const tenon_scan_t*, tenon_cursor_t**, tenon_table_problem_t* problem) {
      return refuse_problem(problem);
    },
    /* next */ [](tenon_cursor_t*, tenon_record_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* scan_end */ [](tenon_cursor_t*) {},
    /* count */ [](tenon_table_t*, bool, uint64_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* feed_begin */ [](tenon_table_t*, uint64_t, tenon_feed_t**) -> tenon_status { return TENON_ERROR_STATE; },
    /* feed_next */ [](tenon_feed_t*, uint32_t, tenon_change_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* feed_end */ [](tenon_feed_t*) {},
};

// Nor does anybody have to be known, and nothing may begin: a plugin that tries is told that it is too early.
const tenon_host_auth_t kAuth = {
    sizeof(tenon_host_auth_t),
    /* identity */ [](const tenon_request_t*, tenon_identity_t*) { return false; },
    /* is_operator */ [](const tenon_request_t*) { return false; },
    /* forget_decisions */ [](const tenon_host_t*) {},
    /* hash_password */
    [](const tenon_host_t*, tenon_bytes_t, void*, size_t, size_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* verify_password */
    [](const tenon_host_t*, tenon_bytes_t, tenon_bytes_t) -> tenon_status { return TENON_ERROR_STATE; },
    /* sign_token */
    [](const tenon_host_t*, tenon_bytes_t, uint32_t, void*, size_t, size_t*) -> tenon_status {
      return TENON_ERROR_STATE;
    },
    /* verify_token */
    [](const tenon_host_t*, tenon_bytes_t, void*, size_t, size_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* random */ [](const tenon_host_t*, void*, size_t) -> tenon_status { return TENON_ERROR_STATE; },
};
const tenon_host_middleware_t kMiddleware = {
    sizeof(tenon_host_middleware_t),
    /* application */ [](const tenon_request_t*) { return kNothing; },
    /* route */ [](const tenon_request_t*) { return kNothing; },
    /* status */ [](const tenon_response_t*) { return int32_t{0}; },
    /* elapsed_us */ [](const tenon_request_t*) { return uint64_t{0}; },
    /* keep */ [](tenon_request_t*, uint64_t) {},
    /* kept */ [](const tenon_request_t*) { return uint64_t{0}; },
};
const tenon_host_tasks_t kTasks = {
    sizeof(tenon_host_tasks_t),
    /* submit */
    [](const tenon_host_t*, tenon_task_fn, tenon_task_end_fn, void*, uint64_t*) -> tenon_status {
      return TENON_ERROR_STATE;
    },
    /* once */
    [](const tenon_host_t*, uint64_t, tenon_task_fn, tenon_task_end_fn, void*, uint64_t*) -> tenon_status {
      return TENON_ERROR_STATE;
    },
    /* every */
    [](const tenon_host_t*, uint64_t, tenon_task_fn, tenon_task_end_fn, void*, uint64_t*) -> tenon_status {
      return TENON_ERROR_STATE;
    },
    /* cancel */ [](const tenon_host_t*, uint64_t) -> tenon_status { return TENON_ERROR_NOT_FOUND; },
    /* cancelled */ [](const tenon_host_t*, uint64_t) { return true; },
};
const tenon_host_events_t kEvents = {
    sizeof(tenon_host_events_t),
    /* publish */ [](const tenon_host_t*, tenon_bytes_t, tenon_bytes_t) -> tenon_status { return TENON_ERROR_STATE; },
    /* span */ [](const tenon_host_t*, const tenon_span_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* subscribe */ [](const tenon_host_t*, tenon_bytes_t) -> tenon_status { return TENON_ERROR_STATE; },
    /* unsubscribe */ [](const tenon_host_t*, tenon_bytes_t) -> tenon_status { return TENON_ERROR_STATE; },
    /* wanted */ [](const tenon_host_t*, tenon_bytes_t) { return false; },
};
// Series may be made from create on: all are one that nobody reads.
const tenon_host_metrics_t kMetrics = {
    sizeof(tenon_host_metrics_t),
    /* series */
    [](const tenon_host_t*, const tenon_metric_t*, uint64_t* series) -> tenon_status {
      if (series == nullptr) return TENON_ERROR_ARGUMENT;
      *series = 1;
      return TENON_OK;
    },
    /* add */ [](const tenon_host_t*, uint64_t, double) {},
    /* set */ [](const tenon_host_t*, uint64_t, double) {},
    /* collect */
    [](const tenon_host_t*, void (*)(void*, const tenon_metric_value_t*), void*) -> tenon_status {
      return TENON_ERROR_STATE;
    },
};
// What an operator sets is not known to a trial: nothing is set.
const tenon_host_config_t kConfig = {
    sizeof(tenon_host_config_t),
    /* own */
    [](const tenon_host_t*, void (*visit)(void*, tenon_bytes_t), void* context) {
      visit(context, {"{}", 2});
    },
    /* consumers */ [](const tenon_host_t*, void (*)(void*, tenon_bytes_t, tenon_bytes_t), void*) {},
};
const tenon_host_http_client_t kHttpClient = {
    sizeof(tenon_host_http_client_t),
    /* send */
    [](const tenon_host_t*, const tenon_http_client_request_t*, tenon_http_client_done_fn, void*,
       uint64_t*) -> tenon_status { return TENON_ERROR_STATE; },
    /* cancel */ [](const tenon_host_t*, uint64_t) -> tenon_status { return TENON_ERROR_NOT_FOUND; },
};
const tenon_host_hooks_t kHooks = {
    sizeof(tenon_host_hooks_t),
    /* run */
    [](const tenon_host_t*, tenon_bytes_t, uint32_t, tenon_bytes_t, const tenon_hook_output_t*) -> tenon_status {
      return TENON_ERROR_STATE;
    },
};

const void* get_extension(const tenon_host_t*, const char* id) {
  if (id == nullptr) return nullptr;
  if (std::strcmp(id, TENON_LOG_ID) == 0) return &kLog;
  if (std::strcmp(id, TENON_STATE_ID) == 0) return &kState;
  if (std::strcmp(id, TENON_HTTP_ID) == 0) return &kHttp;
  if (std::strcmp(id, TENON_TABLES_ID) == 0) return &kTables;
  if (std::strcmp(id, TENON_AUTH_ID) == 0) return &kAuth;
  if (std::strcmp(id, TENON_MIDDLEWARE_ID) == 0) return &kMiddleware;
  if (std::strcmp(id, TENON_TASKS_ID) == 0) return &kTasks;
  if (std::strcmp(id, TENON_EVENTS_ID) == 0) return &kEvents;
  if (std::strcmp(id, TENON_METRICS_ID) == 0) return &kMetrics;
  if (std::strcmp(id, TENON_CONFIG_ID) == 0) return &kConfig;
  if (std::strcmp(id, TENON_HTTP_CLIENT_ID) == 0) return &kHttpClient;
  if (std::strcmp(id, TENON_HOOKS_ID) == 0) return &kHooks;
  return nullptr;
}

}  // namespace

const tenon_host_t* inert_host() {
  static const tenon_host_t host = {sizeof(tenon_host_t), TENON_ABI_MAJOR, TENON_ABI_MINOR,
                                    TENON_SDK_VERSION,    nullptr,         get_extension};
  return &host;
}

std::string last_log_message() {
  const std::lock_guard<std::mutex> lock(services().mutex);
  return services().last_message;
}

}  // namespace tenon::runner
