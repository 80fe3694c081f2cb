/*
 * Tests of a plugin without a server: a small host inside the test program opens the built library, takes it through
 * its life and calls its routes. C++17, header-only; the plugin itself may be written in any language.
 *
 *     // test/greeting.cpp, built and run by `tenon build --test`
 *     #include <tenon/testing.hpp>
 *
 *     TENON_TEST("greets by name") {
 *       tenon::testing::Plugin plugin;
 *       const auto answer = plugin.get("/greeting/Ada?word=Hi");
 *       TENON_CHECK_EQUAL(answer.status, 200);
 *       TENON_CHECK_EQUAL(answer.body, "Hi, Ada\n");
 *     }
 *
 * All files of test/ make one program, which `tenon build --test` gives its main(); its argument is the library.
 * Elsewhere main() is `return tenon::testing::run(argc, argv);`. It prints TAP and ends with 0, 1 when a test failed, 2
 * when it was called wrongly.
 *
 * What this host checks as the real one does: routes and their parameters, body limits, deadlines of deferred answers,
 * status codes, header names and values, the order of a life, the hand-over of state. What it does not have: threads of
 * its own (every call runs on the caller's thread, in time or not), back-pressure, admission, isolation, tables: none
 * of them can be opened (TENON_ERROR_UNSUPPORTED, with a warning in the log). Nor other applications: a test sets who
 * asks, plays those that list an extension, and says when tasks run (see the members of Plugin).
 */
#ifndef TENON_TESTING_HPP
#define TENON_TESTING_HPP

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "entry.h"
#include "ext/http.h"
#include "ext/log.h"
#include "ext/state.h"
#include "ext/tables.h"
#include "testing_services.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define TENON_TESTING_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TENON_TESTING_SANITIZED
#endif
#endif

namespace tenon::testing {

/* What is sent. `target` is below the application's prefix: "/greeting/Ada?word=Hi". */
struct Request {
  std::string method = "GET";
  std::string target = "/";
  std::string body;
  std::vector<Header> headers;
  /* The client goes away after so many chunks of a streamed answer; 0: it is gone before the handler begins. */
  size_t chunks_wanted = static_cast<size_t>(-1);
  /* Who it is from; nothing: nobody. */
  std::optional<Identity> identity = std::nullopt;
  /* It carries the admin token of the host. */
  bool is_operator = false;
};

/* What came back. */
struct Answer {
  int status = 200;
  std::vector<Header> headers;
  std::string body;
  /* Chunks of a streamed answer, in order; `body` has them all. */
  std::vector<std::string> chunks;
  /* Why it is no answer of the plugin's: of a 500, what the plugin said; of 401, 403, 404, 405, 413, 504, what this
   * host says. */
  std::string failure;

  /* Value of the first header `name`, whatever its case; empty when there is none. */
  std::string header(std::string_view name) const;
};

/* What providers and hooks decided. */
struct Decided {
  tenon_status status = TENON_OK; /* TENON_ERROR_NOT_FOUND: nobody; TENON_ERROR_DENIED, TENON_ERROR_AGAIN, other: 503 */
  Identity identity;
  std::string message;
  uint32_t retry_after_s = 0;
  uint32_t cache_ms = 0;
};

/* What became of the input of a hook. */
struct Hooked {
  tenon_status status = TENON_OK; /* TENON_ERROR_NOT_FOUND: it stays as it is, or there is no such hook */
  std::string bytes;
  std::string message;
};

/* The plugin refused a step of its life, or its library could not be used. */
class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

inline char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}
inline bool same_name(std::string_view one, std::string_view other) {
  if (one.size() != other.size()) return false;
  for (size_t at = 0; at < one.size(); ++at)
    if (lower(one[at]) != lower(other[at])) return false;
  return true;
}

inline int hex(char digit) {
  const char low = lower(digit);
  if (low >= '0' && low <= '9') return low - '0';
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}
inline std::string decode(std::string_view encoded, bool plus_is_space) {
  std::string out;
  for (size_t at = 0; at < encoded.size(); ++at) {
    if (encoded[at] == '%' && at + 2 < encoded.size() && hex(encoded[at + 1]) >= 0 && hex(encoded[at + 2]) >= 0) {
      out.push_back(static_cast<char>(hex(encoded[at + 1]) * 16 + hex(encoded[at + 2])));
      at += 2;
    } else {
      out.push_back(plus_is_space && encoded[at] == '+' ? ' ' : encoded[at]);
    }
  }
  return out;
}
inline std::vector<std::string_view> split(std::string_view whole, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = whole.find(at);
    parts.push_back(whole.substr(0, end));
    if (end == std::string_view::npos) return parts;
    whole.remove_prefix(end + 1);
  }
}

constexpr uint32_t default_deadline_ms = 30'000;
constexpr uint64_t default_body_limit = 1024 * 1024;

}  // namespace detail
}  // namespace tenon::testing

/* The contract's opaque types, as this host has them. */
struct tenon_request {
  tenon_http_method method;
  std::string path;
  std::string query;
  std::string body;
  std::string id;
  std::vector<tenon::testing::Header> headers;
  std::vector<tenon::testing::Header> params; /* decoded */
  std::vector<tenon::testing::Header> values; /* of the query, decoded */
  std::chrono::steady_clock::time_point deadline;
  size_t chunks_wanted;
  size_t chunks_taken;
  std::optional<tenon::testing::Identity> identity;
  std::vector<tenon_bytes_t> roles; /* of identity */
  bool is_operator;
  std::string application;
  std::string route;
  uint64_t kept;

  bool gone() const { return chunks_taken >= chunks_wanted; }
};

struct tenon_response {
  tenon::testing::Answer answer;
  tenon_request* request = nullptr;
  bool deferred = false;
  bool completed = false;
  tenon_status outcome = TENON_OK;
  std::mutex mutex;
  std::condition_variable completion;
};

namespace tenon::testing {

inline std::string Answer::header(std::string_view name) const {
  for (const Header& each : headers)
    if (detail::same_name(each.name, name)) return each.value;
  return {};
}

namespace detail {

inline bool find(const std::vector<Header>& list, tenon_bytes_t name, tenon_bytes_t* value, bool exact) {
  const std::string_view wanted(name.data, name.size);
  for (const Header& each : list) {
    if (exact ? each.name != wanted : !same_name(each.name, wanted)) continue;
    *value = bytes(each.value);
    return true;
  }
  return false;
}

inline bool is_token(const std::string& name) {
  if (name.empty()) return false;
  for (const char each : name) {
    const bool letter = (lower(each) >= 'a' && lower(each) <= 'z') || (each >= '0' && each <= '9');
    if (!letter && std::strchr("!#$%&'*+-.^_`|~", each) == nullptr) return false;
  }
  return true;
}
inline bool is_field_value(const std::string& value) {
  for (const char each : value)
    if ((static_cast<unsigned char>(each) < 0x20 && each != '\t') || each == 0x7f) return false;
  return true;
}
inline bool is_of_host(const std::string& name) {
  for (const char* each : {"connection", "keep-alive", "transfer-encoding", "content-length", "trailer", "upgrade",
                           "proxy-connection", "te", "date"})
    if (same_name(name, each)) return true;
  return false;
}

inline tenon_status add_header(tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value, bool replace) {
  Header header{text(name), text(value)};
  if (!is_token(header.name) || !is_field_value(header.value) || is_of_host(header.name)) return TENON_ERROR_ARGUMENT;
  std::vector<Header>& headers = response->answer.headers;
  for (size_t at = headers.size(); replace && at-- > 0;)
    if (same_name(headers[at].name, header.name)) headers.erase(headers.begin() + static_cast<std::ptrdiff_t>(at));
  size_t size = header.name.size() + header.value.size();
  for (const Header& each : headers) size += each.name.size() + each.value.size();
  if (headers.size() >= 100 || size > 32 * 1024) return TENON_ERROR_TOO_LARGE;
  headers.push_back(std::move(header));
  return TENON_OK;
}

/* Of the plugin's own routes, by their patterns alone. */
inline bool find_route(const tenon_host* host, tenon_http_method method, tenon_bytes_t path, tenon_bytes_t* plugin,
                       tenon_bytes_t* pattern);

constexpr size_t body_limit_of_answers = 64 * 1024 * 1024;

inline const tenon_host_http_t& host_http() {
  static const tenon_host_http_t table = [] {
    tenon_host_http_t http{};
    http.size = sizeof http;
    http.method = [](const tenon_request_t* request) { return request->method; };
    http.path = [](const tenon_request_t* request) { return bytes(request->path); };
    http.query = [](const tenon_request_t* request) { return bytes(request->query); };
    http.query_value = [](tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
      return find(request->values, name, value, true);
    };
    http.param = [](tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
      return find(request->params, name, value, true);
    };
    http.header = [](const tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
      return find(request->headers, name, value, false);
    };
    http.header_count = [](const tenon_request_t* request) { return static_cast<uint32_t>(request->headers.size()); };
    http.header_at = [](const tenon_request_t* request, uint32_t index, tenon_bytes_t* name, tenon_bytes_t* value) {
      if (index >= request->headers.size()) return false;
      *name = bytes(request->headers[index].name);
      *value = bytes(request->headers[index].value);
      return true;
    };
    http.body = [](const tenon_request_t* request) { return bytes(request->body); };
    http.request_id = [](tenon_request_t* request) { return bytes(request->id); };
    http.time_left_ms = [](const tenon_request_t* request) -> uint32_t {
      const auto left = request->deadline - std::chrono::steady_clock::now();
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
      return ms > 0 ? static_cast<uint32_t>(ms) : 0;
    };
    http.cancelled = [](const tenon_request_t* request) {
      return request->gone() || std::chrono::steady_clock::now() > request->deadline;
    };
    http.set_status = [](tenon_response_t* response, int32_t status) -> tenon_status {
      if (status < 200 || status > 599) return TENON_ERROR_ARGUMENT;
      response->answer.status = status;
      return TENON_OK;
    };
    http.set_header = [](tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value) {
      return add_header(response, name, value, true);
    };
    http.add_header = [](tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value) {
      return add_header(response, name, value, false);
    };
    http.set_body = [](tenon_response_t* response, tenon_bytes_t body) -> tenon_status {
      if (body.size > body_limit_of_answers) return TENON_ERROR_TOO_LARGE;
      response->answer.body = text(body);
      return TENON_OK;
    };
    http.give_body = [](tenon_response_t* response, const void* data, size_t size, tenon_free_fn free_body,
                        void* context) -> tenon_status {
      const bool fits = size <= body_limit_of_answers;
      if (fits) response->answer.body.assign(static_cast<const char*>(data), size);
      if (free_body != nullptr) free_body(const_cast<void*>(data), size, context);
      return fits ? TENON_OK : TENON_ERROR_TOO_LARGE;
    };
    http.fail = [](tenon_response_t* response, tenon_bytes_t message) {
      response->answer.failure = text(message).substr(0, 1024);
    };
    http.write = [](tenon_response_t* response, tenon_bytes_t chunk) -> tenon_status {
      if (chunk.size > 1024 * 1024) return TENON_ERROR_TOO_LARGE;
      if (response->request->gone()) return TENON_ERROR_CANCELLED;
      response->request->chunks_taken += 1;
      response->answer.chunks.push_back(text(chunk));
      response->answer.body += response->answer.chunks.back();
      return TENON_OK;
    };
    http.defer = [](tenon_response_t* response) -> tenon_status {
      const std::lock_guard<std::mutex> lock(response->mutex);
      if (response->deferred) return TENON_ERROR_STATE;
      response->deferred = true;
      return TENON_OK;
    };
    http.complete = [](tenon_response_t* response, tenon_status status) {
      const std::lock_guard<std::mutex> lock(response->mutex);
      response->completed = true;
      response->outcome = status;
      response->completion.notify_all();
    };
    http.find_route = find_route;
    return http;
  }();
  return table;
}

inline const tenon_host_log_t& host_log() {
  static const tenon_host_log_t table = [] {
    tenon_host_log_t log{};
    log.size = sizeof log;
    log.write = [](const tenon_host* host, int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields,
                   size_t count) {
      Record record{level, text(message), {}};
      for (size_t at = 0; at < count; ++at) record.fields[text(fields[at].key)] = text(fields[at].value);
      const std::lock_guard<std::mutex> lock(world_of(host).mutex);
      world_of(host).log.push_back(std::move(record));
    };
    log.enabled = [](const tenon_host*, int32_t) { return true; };
    return log;
  }();
  return table;
}

inline const tenon_host_state_t& host_state() {
  static const tenon_host_state_t table = [] {
    tenon_host_state_t state{};
    state.size = sizeof state;
    state.put = [](const tenon_host* host, tenon_bytes_t key, tenon_bytes_t value) -> tenon_status {
      if (key.size == 0 || key.size > 255) return TENON_ERROR_ARGUMENT;
      World& world = world_of(host);
      const std::lock_guard<std::mutex> lock(world.mutex);
      size_t size = key.size + value.size;
      for (const auto& [name, content] : world.kept)
        if (name != text(key)) size += name.size() + content.size();
      if (size > TENON_STATE_LIMIT) return TENON_ERROR_TOO_LARGE;
      world.kept[text(key)] = text(value);
      return TENON_OK;
    };
    state.get = [](const tenon_host* host, tenon_bytes_t key, void* buffer, size_t capacity,
                   size_t* size) -> tenon_status {
      World& world = world_of(host);
      const std::lock_guard<std::mutex> lock(world.mutex);
      const auto found = world.kept.find(text(key));
      if (found == world.kept.end()) return TENON_ERROR_NOT_FOUND;
      *size = found->second.size();
      if (*size > capacity) return TENON_ERROR_TOO_LARGE;
      if (*size > 0) std::memcpy(buffer, found->second.data(), *size);
      return TENON_OK;
    };
    state.remove = [](const tenon_host* host, tenon_bytes_t key) -> tenon_status {
      World& world = world_of(host);
      const std::lock_guard<std::mutex> lock(world.mutex);
      return world.kept.erase(text(key)) == 0 ? TENON_ERROR_NOT_FOUND : TENON_OK;
    };
    return state;
  }();
  return table;
}

/* Nothing can be opened, so nothing but these two is ever asked; the others refuse all the same. */
inline const tenon_host_tables_t& host_tables() {
  static const tenon_host_tables_t table = [] {
    static constexpr auto say = [](const tenon_host* host) -> tenon_status {
      static constexpr char sentence[] = "the host of a test has no tables: test what uses them against `tenon start`";
      host_log().write(host, TENON_LOG_WARN, {sentence, sizeof sentence - 1}, nullptr, 0);
      return TENON_ERROR_UNSUPPORTED;
    };
    tenon_host_tables_t tables{};
    tables.size = sizeof tables;
    tables.open = [](const tenon_host* host, tenon_bytes_t, tenon_table_t**) { return say(host); };
    tables.batch_begin = [](const tenon_host* host, tenon_batch_t**) { return say(host); };
    tables.field = [](const tenon_table_t*, tenon_bytes_t) -> int32_t { return -1; };
    tables.get = [](tenon_table_t*, const tenon_value_t*, tenon_record_t*) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.release = [](tenon_record_t*) {};
    tables.put = [](tenon_table_t*, tenon_bytes_t, uint32_t, tenon_table_problem_t*) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.patch = [](tenon_table_t*, const tenon_value_t*, tenon_bytes_t, tenon_table_problem_t*) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.remove = [](tenon_table_t*, const tenon_value_t*, tenon_table_problem_t*) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.batch_put = [](tenon_batch_t*, tenon_table_t*, tenon_bytes_t, uint32_t) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.batch_patch = [](tenon_batch_t*, tenon_table_t*, const tenon_value_t*, tenon_bytes_t) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.batch_remove = [](tenon_batch_t*, tenon_table_t*, const tenon_value_t*) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.batch_commit = [](tenon_batch_t*, tenon_table_problem_t*) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.batch_discard = [](tenon_batch_t*) {};
    tables.scan = [](tenon_table_t*, const tenon_scan_t*, tenon_cursor_t**, tenon_table_problem_t*) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.next = [](tenon_cursor_t*, tenon_record_t*) -> tenon_status { return TENON_ERROR_UNSUPPORTED; };
    tables.scan_end = [](tenon_cursor_t*) {};
    tables.count = [](tenon_table_t*, bool, uint64_t*) -> tenon_status { return TENON_ERROR_UNSUPPORTED; };
    tables.feed_begin = [](tenon_table_t*, uint64_t, tenon_feed_t**) -> tenon_status {
      return TENON_ERROR_UNSUPPORTED;
    };
    tables.feed_next = [](tenon_feed_t*, uint32_t, tenon_change_t*) -> tenon_status { return TENON_ERROR_UNSUPPORTED; };
    tables.feed_end = [](tenon_feed_t*) {};
    return tables;
  }();
  return table;
}

inline void view_of(const tenon_request_t* request, tenon_identity_t* identity) {
  const Identity& who = *request->identity;
  *identity = {static_cast<uint32_t>(sizeof *identity),
               static_cast<uint32_t>(request->roles.size()),
               bytes(who.subject),
               bytes(who.name),
               bytes(who.scheme),
               bytes(who.extension),
               request->roles.data(),
               bytes(who.claims)};
}

inline const tenon_host_auth_t& host_auth() {
  static const tenon_host_auth_t table = [] {
    static const std::string mark = "testing$";
    tenon_host_auth_t auth{};
    auth.size = sizeof auth;
    auth.identity = [](const tenon_request_t* request, tenon_identity_t* identity) {
      if (request->identity) view_of(request, identity);
      return request->identity.has_value();
    };
    auth.is_operator = [](const tenon_request_t* request) { return request->is_operator; };
    auth.forget_decisions = [](const tenon_host* host) {
      const std::lock_guard<std::mutex> lock(world_of(host).mutex);
      world_of(host).forgotten += 1;
    };
    auth.hash_password = [](const tenon_host*, tenon_bytes_t password, void* buffer, size_t capacity,
                            size_t* size) -> tenon_status {
      if (password.size == 0 || password.size > 1024) return TENON_ERROR_ARGUMENT;
      return give(mark + std::to_string(std::hash<std::string>()(text(password))), buffer, capacity, size);
    };
    auth.verify_password = [](const tenon_host*, tenon_bytes_t password, tenon_bytes_t hash) -> tenon_status {
      if (text(hash).rfind(mark, 0) != 0) return TENON_ERROR_ARGUMENT;
      const bool right = text(hash) == mark + std::to_string(std::hash<std::string>()(text(password)));
      return right ? TENON_OK : TENON_ERROR_DENIED;
    };
    auth.sign_token = sign;
    auth.verify_token = verify;
    auth.random = [](const tenon_host*, void* buffer, size_t size) -> tenon_status {
      std::ifstream source("/dev/urandom", std::ios::binary);
      const bool all = static_cast<bool>(source.read(static_cast<char*>(buffer), static_cast<std::streamsize>(size)));
      return all ? TENON_OK : TENON_ERROR_UNSUPPORTED;
    };
    return auth;
  }();
  return table;
}

inline const tenon_host_middleware_t& host_middleware() {
  static const tenon_host_middleware_t table = [] {
    tenon_host_middleware_t middleware{};
    middleware.size = sizeof middleware;
    middleware.application = [](const tenon_request_t* request) { return bytes(request->application); };
    middleware.route = [](const tenon_request_t* request) { return bytes(request->route); };
    middleware.status = [](const tenon_response_t* response) -> int32_t { return response->answer.status; };
    middleware.elapsed_us = [](const tenon_request_t*) -> uint64_t { return 1; };
    middleware.keep = [](tenon_request_t* request, uint64_t number) { request->kept = number; };
    middleware.kept = [](const tenon_request_t* request) { return request->kept; };
    return middleware;
  }();
  return table;
}

inline const void* host_extension(const tenon_host*, const char* id) {
  if (std::strcmp(id, TENON_HTTP_ID) == 0) return &host_http();
  if (std::strcmp(id, TENON_LOG_ID) == 0) return &host_log();
  if (std::strcmp(id, TENON_STATE_ID) == 0) return &host_state();
  if (std::strcmp(id, TENON_TABLES_ID) == 0) return &host_tables();
  if (std::strcmp(id, TENON_AUTH_ID) == 0) return &host_auth();
  if (std::strcmp(id, TENON_MIDDLEWARE_ID) == 0) return &host_middleware();
  if (std::strcmp(id, TENON_TASKS_ID) == 0) return &host_tasks();
  if (std::strcmp(id, TENON_EVENTS_ID) == 0) return &host_events();
  if (std::strcmp(id, TENON_METRICS_ID) == 0) return &host_metrics();
  if (std::strcmp(id, TENON_CONFIG_ID) == 0) return &host_config();
  if (std::strcmp(id, TENON_HTTP_CLIENT_ID) == 0) return &host_http_client();
  if (std::strcmp(id, TENON_HOOKS_ID) == 0) return &host_hooks();
  return nullptr;
}

/* One life of the plugin, in an image of its own. */
class Generation {
 public:
  Generation(const std::string& library, World& world, uint64_t number) : life(world), world_(world), number_(number) {
    /* The same path would give the same image again. The first one is opened where it is: debuggers know it there. */
    std::string file = library;
    if (images()++ > 0) file = copy_ = copy_of(library);
    image_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (image_ == nullptr) {
      const std::string why = dlerror();
      forget();
      throw Refused("the library could not be opened: " + why);
    }
    try {
      create();
    } catch (...) {
      forget();
      throw;
    }
  }
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;
  ~Generation() {
    life.end_tasks();
    if (ready_ && plugin->shutdown != nullptr) plugin->shutdown(plugin);
    plugin->destroy(plugin);
    forget();
  }

  void ready() {
    context_.size = sizeof context_;
    context_.app_id = {descriptor->id, std::strlen(descriptor->id)};
    context_.generation = number_;
    ready_ = true; /* shutdown follows whatever comes of it */
    life.serving = true;
    if (plugin->ready != nullptr) need("ready", plugin->ready(plugin, &context_));
  }

  void need(const char* step, tenon_status status) const {
    if (status == TENON_OK) return;
    const std::lock_guard<std::mutex> lock(world_.mutex);
    const std::string said = world_.log.empty() ? "" : ": " + world_.log.back().message;
    throw Refused(std::string(descriptor->id) + " refused " + step + " (" + std::to_string(status) + ")" + said);
  }

  /* The plugin's side of a capability, or NULL. */
  template <typename Table>
  const Table* offered(const char* id) const {
    return static_cast<const Table*>(plugin->get_extension(plugin, id));
  }

  Life life;
  const tenon_plugin_descriptor_t* descriptor = nullptr;
  tenon_plugin_t* plugin = nullptr;
  const tenon_plugin_http_t* http = nullptr;
  const tenon_plugin_state_t* state = nullptr;

 private:
  void create() {
    void* const symbol = dlsym(image_, TENON_ENTRY_SYMBOL);
    if (symbol == nullptr) throw Refused("the library does not export " TENON_ENTRY_SYMBOL);
    const tenon_plugin_descriptor_t* (*entry)(void) = nullptr;
    std::memcpy(&entry, &symbol, sizeof entry);
    descriptor = entry();
    if (descriptor->abi_major != TENON_ABI_MAJOR || descriptor->abi_minor > TENON_ABI_MINOR)
      throw Refused("the plugin was built for ABI " + std::to_string(descriptor->abi_major) + "." +
                    std::to_string(descriptor->abi_minor));
    host_.size = sizeof host_;
    host_.abi_major = TENON_ABI_MAJOR;
    host_.abi_minor = TENON_ABI_MINOR;
    host_.version = TENON_SDK_VERSION;
    host_.data = &life;
    life.descriptor = descriptor;
    host_.get_extension = host_extension;
    need("create", descriptor->create(&host_, &plugin));
    life.plugin = plugin;
    try {
      if (plugin->initialize != nullptr) need("initialize", plugin->initialize(plugin));
      http = static_cast<const tenon_plugin_http_t*>(plugin->get_extension(plugin, TENON_HTTP_ID));
      state = static_cast<const tenon_plugin_state_t*>(plugin->get_extension(plugin, TENON_STATE_ID));
    } catch (...) {
      plugin->destroy(plugin);
      throw;
    }
  }

  static std::atomic<int>& images() {
    static std::atomic<int> count{0};
    return count;
  }

  static std::string copy_of(const std::string& library) {
    const char* const folder = std::getenv("TMPDIR");
    std::string name = std::string(folder == nullptr ? P_tmpdir : folder) + "/tenon-testing-XXXXXX";
    const int file = mkstemp(name.data());
    if (file < 0) throw Refused("no copy of the library could be made at " + name);
    close(file);
    std::ofstream(name, std::ios::binary) << std::ifstream(library, std::ios::binary).rdbuf();
    return name;
  }

  void forget() {
#if !defined(TENON_TESTING_SANITIZED) /* its report needs the image at the end of the program */
    if (image_ != nullptr && dlclose(image_) == 0) --images();
#endif
    if (!copy_.empty()) unlink(copy_.c_str());
  }

  World& world_;
  tenon_host_t host_{};
  tenon_context_t context_{};
  uint64_t number_;
  bool ready_ = false;
  void* image_ = nullptr;
  std::string copy_;
};

inline std::string& library_under_test() {
  static std::string path;
  return path;
}

struct Method {
  const char* name;
  tenon_http_method value;
};
inline const Method* methods(size_t* count) {
  static const Method list[] = {{"GET", TENON_HTTP_GET},        {"HEAD", TENON_HTTP_HEAD},
                                {"POST", TENON_HTTP_POST},      {"PUT", TENON_HTTP_PUT},
                                {"PATCH", TENON_HTTP_PATCH},    {"DELETE", TENON_HTTP_DELETE},
                                {"OPTIONS", TENON_HTTP_OPTIONS}};
  *count = sizeof list / sizeof list[0];
  return list;
}

/* Whether `path` is one of `pattern`; `rank` orders the patterns that it is one of, the smallest comes first. */
inline bool matches(std::string_view pattern, std::string_view path, std::vector<Header>* params, std::string* rank) {
  const std::vector<std::string_view> wanted = split(pattern, '/');
  const std::vector<std::string_view> given = split(path, '/');
  for (size_t at = 0; at < wanted.size(); ++at) {
    if (wanted[at] == "*") {
      size_t from = 0;
      for (size_t part = 0; part < at && part < given.size(); ++part) from += given[part].size() + 1;
      if (at >= given.size()) return false;
      params->push_back({"*", decode(path.substr(from), false)});
      rank->push_back('2');
      return true;
    }
    if (at >= given.size()) return false;
    if (!wanted[at].empty() && wanted[at][0] == ':') {
      if (given[at].empty()) return false;
      params->push_back({std::string(wanted[at].substr(1)), decode(given[at], false)});
      rank->push_back('1');
    } else if (wanted[at] == given[at]) {
      rank->push_back('0');
    } else {
      return false;
    }
  }
  return wanted.size() == given.size();
}

inline bool find_route(const tenon_host* host, tenon_http_method method, tenon_bytes_t path, tenon_bytes_t* plugin,
                       tenon_bytes_t* pattern) {
  Life& life = life_of(host);
  const auto* const http =
      static_cast<const tenon_plugin_http_t*>(life.plugin->get_extension(life.plugin, TENON_HTTP_ID));
  const std::string prefix = "/" + std::string(life.descriptor->id);
  const std::string wanted = text(path);
  for (uint32_t at = 0; http != nullptr && at < http->route_count(life.plugin); ++at) {
    const tenon_route_t* const route = http->route(life.plugin, at);
    std::vector<Header> params;
    std::string rank;
    if (route->method != method || !matches(prefix + text(route->pattern), wanted, &params, &rank)) continue;
    life.found = prefix + text(route->pattern);
    *plugin = {life.descriptor->id, std::strlen(life.descriptor->id)};
    *pattern = bytes(life.found);
    return true;
  }
  return false;
}

}  // namespace detail

/*
 * The plugin under test, ready to serve: created, initialized, its context given. Throws Refused when it refuses that.
 * ask() and what is built on it may be called from several threads at once.
 */
class Plugin {
 public:
  explicit Plugin(std::string library = detail::library_under_test()) : Plugin(Setup(), std::move(library)) {}
  explicit Plugin(Setup setup, std::string library = detail::library_under_test()) : library_(std::move(library)) {
    world_.setup = std::move(setup);
    generation_ = std::make_unique<detail::Generation>(library_, world_, ++generations_);
    generation_->ready();
  }

  Answer get(std::string target) const { return ask({"GET", std::move(target), {}, {}}); }
  Answer post(std::string target, std::string body = {}) const {
    return ask({"POST", std::move(target), std::move(body), {}});
  }
  Answer put(std::string target, std::string body = {}) const {
    return ask({"PUT", std::move(target), std::move(body), {}});
  }
  Answer patch(std::string target, std::string body = {}) const {
    return ask({"PATCH", std::move(target), std::move(body), {}});
  }
  Answer del(std::string target) const { return ask({"DELETE", std::move(target), {}, {}}); }

  /* Send a request and wait for its answer. */
  Answer ask(const Request& wanted) const {
    tenon_request request{};
    const size_t mark = wanted.target.find('?');
    const std::string below = wanted.target.substr(0, mark);
    const tenon_plugin_http_t* const http = generation_->http;
    tenon_plugin_t* const plugin = generation_->plugin;
    const tenon_route_t* route = nullptr;
    uint32_t index = 0;
    bool known = false;
    std::string best;
    const tenon_http_method method = method_of(wanted.method);
    for (uint32_t at = 0; http != nullptr && at < http->route_count(plugin); ++at) {
      const tenon_route_t* const each = http->route(plugin, at);
      std::vector<Header> params;
      std::string rank;
      if (!detail::matches({each->pattern.data, each->pattern.size}, below, &params, &rank)) continue;
      known = true;
      if (each->method != method && !(each->method == TENON_HTTP_GET && method == TENON_HTTP_HEAD)) continue;
      if (route != nullptr && rank >= best) continue;
      route = each;
      index = at;
      best = rank;
      request.params = std::move(params);
    }
    if (route == nullptr) return refusal(known ? 405 : 404, wanted.method + " " + below + " is not served");
    const uint64_t limit = route->body_limit == 0 ? detail::default_body_limit : route->body_limit;
    if (wanted.body.size() > limit) return refusal(413, "the body is over " + std::to_string(limit) + " bytes");

    if (route->auth == TENON_AUTH_IDENTITY || route->auth == TENON_AUTH_ROLES) {
      if (!wanted.identity) return refusal(401, below + " is for those who are known");
      if (route->auth == TENON_AUTH_ROLES && !has_one_of(*wanted.identity, detail::text(route->roles)))
        return refusal(403, below + " is for the roles " + detail::text(route->roles));
    }
    fill(request, wanted, generation_->descriptor->id);
    const std::chrono::milliseconds time(route->deadline_ms == 0 ? detail::default_deadline_ms : route->deadline_ms);
    request.deadline = std::chrono::steady_clock::now() + time;
    tenon_response response;
    response.request = &request;
    tenon_status status = http->handle(plugin, index, &request, &response);
    {
      std::unique_lock<std::mutex> lock(response.mutex);
      if (response.deferred && status == TENON_OK) {
        const bool late = !response.completion.wait_until(lock, request.deadline, [&] { return response.completed; });
        // Whoever completes it later would write into what is gone: wait on, then call it late.
        response.completion.wait(lock, [&] { return response.completed; });
        if (late) return refusal(504, "the answer was completed after its deadline");
        status = response.outcome;
      }
    }
    Answer& answer = response.answer;
    if (status != TENON_OK) {
      const std::string failure = std::move(answer.failure);
      return refusal(500, failure.empty() ? "the handler returned " + std::to_string(status) : failure);
    }
    if (method == TENON_HTTP_HEAD || answer.status == 204 || answer.status == 205 || answer.status == 304)
      answer.body.clear();
    return std::move(answer);
  }

  /* Services: what the plugin has begun, and what it would do for applications that list it. */

  /* Run the tasks that are due, on this thread; how many runs there were. */
  size_t run_tasks() const { return generation_->life.run_tasks(world_.now_ms); }
  /* The same while the plugin's clock goes on by `ms`: timers, and the expiry of tokens. */
  size_t advance(uint64_t ms) const { return generation_->life.run_tasks(world_.now_ms + ms); }

  /* What it has published, and its spans, so far. */
  std::vector<Event> events() const {
    const std::lock_guard<std::mutex> lock(world_.mutex);
    return world_.events;
  }
  /* Give it an event. False: it has not subscribed to it. */
  bool give(const Event& event) const {
    const auto* const offered = generation_->offered<tenon_plugin_events_t>(TENON_EVENTS_ID);
    if (offered == nullptr || !generation_->life.wants(event.topic)) return false;
    std::vector<tenon_log_field_t> fields;
    for (const auto& [key, value] : event.fields) fields.push_back({detail::bytes(key), detail::bytes(value)});
    tenon_event_t view{};
    view.size = sizeof view;
    view.level = event.level;
    view.time_us = static_cast<int64_t>(world_.now_ms) * 1000;
    view.duration_us = event.duration_us;
    view.status = event.status;
    view.field_count = static_cast<uint32_t>(fields.size());
    view.topic = detail::bytes(event.topic);
    view.source = detail::bytes(event.source);
    view.message = detail::bytes(event.message);
    view.fields = fields.data();
    offered->on_event(generation_->plugin, &view, 1, 0);
    return true;
  }

  /* A series of the plugin's; one of kind 0 when there is none. */
  Metric metric(const std::string& name, const std::map<std::string, std::string>& labels = {}) const {
    const std::lock_guard<std::mutex> lock(world_.mutex);
    const auto found = world_.metrics.find(detail::series_key(name, labels));
    return found == world_.metrics.end() ? Metric() : found->second;
  }

  /* Answers the requests that it sends to other servers, within the call that sends them. */
  void on_fetch(std::function<Incoming(const Outgoing&)> answers) { world_.answers = std::move(answers); }
  /* What comes of the chains that it runs, in place of other extensions; what is thrown is their failure. */
  void on_hook(const std::string& name, uint32_t version, std::function<std::string(const std::string&)> work) {
    world_.chains[{name, version}] = std::move(work);
  }

  /* Change its config (`application` empty) or the settings of an application that lists it; `json` empty: that is
   * gone. TENON_OK: taken; TENON_ERROR_UNSUPPORTED: the host would reload it now, so call reload(); other: refused. */
  tenon_status configure(const std::string& application, const std::string& json) {
    const auto* const offered = generation_->offered<tenon_plugin_config_t>(TENON_CONFIG_ID);
    const tenon_status status =
        offered == nullptr ? TENON_ERROR_UNSUPPORTED
                           : offered->changed(generation_->plugin, detail::bytes(application), detail::bytes(json));
    if (status != TENON_OK && status != TENON_ERROR_UNSUPPORTED) return status;
    if (application.empty()) {
      world_.setup.config = json;
    } else if (json.empty()) {
      world_.setup.consumers.erase(application);
    } else {
      world_.setup.consumers[application] = json;
    }
    return status;
  }

  /* Ask its providers who a request is from, and its hooks for their roles, as for an application that lists it. */
  Decided authenticate(const Request& wanted) const {
    Decided decided;
    decided.status = TENON_ERROR_NOT_FOUND;
    const auto* const offered = generation_->offered<tenon_plugin_auth_t>(TENON_AUTH_ID);
    tenon_plugin_t* const plugin = generation_->plugin;
    tenon_request request{};
    fill(request, wanted, "application");
    request.identity.reset(); /* is what is being asked for */
    const uint32_t count =
        offered == nullptr || offered->provider_count == nullptr ? 0 : offered->provider_count(plugin);
    const tenon_auth_answer_t answer = answer_to(decided);
    for (uint32_t at = 0; at < count && decided.status == TENON_ERROR_NOT_FOUND; ++at) {
      const tenon_auth_provider_t* const provider = offered->provider(plugin, at);
      const std::string scheme = detail::text(provider->scheme);
      tenon_bytes_t value{};
      if (!detail::find(request.headers, provider->header, &value, false)) continue;
      std::string credential = detail::text(value);
      if (detail::text(provider->header) == "authorization") {
        if (!detail::same_name(credential.substr(0, scheme.size() + 1), scheme + " ")) continue;
        credential.erase(0, scheme.size() + 1);
      }
      decided.status = offered->authenticate(plugin, at, &request, detail::bytes(credential), &answer);
      decided.identity.scheme = scheme;
      decided.identity.extension = generation_->descriptor->id;
    }
    if (decided.status != TENON_OK || offered->resolve_roles == nullptr) return decided;
    tenon_request known{};
    Request with = wanted;
    with.identity = decided.identity;
    fill(known, with, "application");
    tenon_identity_t identity{};
    detail::view_of(&known, &identity);
    decided.status = offered->resolve_roles(plugin, &known, &identity, &answer);
    return decided;
  }

  /* Ask its hooks whether a request of `wanted.identity` may go on. */
  Decided authorize(const Request& wanted) const {
    Decided decided;
    const auto* const offered = generation_->offered<tenon_plugin_auth_t>(TENON_AUTH_ID);
    if (offered == nullptr || offered->authorize == nullptr) return decided;
    tenon_request request{};
    fill(request, wanted, "application");
    tenon_identity_t identity{};
    if (wanted.identity) detail::view_of(&request, &identity);
    const tenon_auth_answer_t answer = answer_to(decided);
    decided.status = offered->authorize(generation_->plugin, &request, wanted.identity ? &identity : nullptr, &answer);
    return decided;
  }

  /* Its middleware around a handler of another application, "application", which answers with `handled`. */
  Answer around(const Request& wanted, const Answer& handled = {}) const {
    const auto* const offered = generation_->offered<tenon_plugin_middleware_t>(TENON_MIDDLEWARE_ID);
    tenon_request request{};
    fill(request, wanted, "application");
    tenon_response response;
    response.request = &request;
    bool answered = false;
    tenon_status status = TENON_OK;
    if (offered != nullptr && offered->before != nullptr)
      status = offered->before(generation_->plugin, &request, &response, &answered);
    if (status != TENON_OK) return refusal(500, response.answer.failure);
    if (answered) return response.answer;
    response.answer.status = handled.status;
    response.answer.body = handled.body;
    for (const Header& each : handled.headers)
      detail::add_header(&response, detail::bytes(each.name), detail::bytes(each.value), true);
    if (offered != nullptr && offered->after != nullptr) offered->after(generation_->plugin, &request, &response);
    return response.answer;
  }

  /* Call its hook of that name and version. */
  Hooked call_hook(const std::string& name, uint32_t version, const std::string& input) const {
    Hooked hooked;
    hooked.status = TENON_ERROR_NOT_FOUND;
    const auto* const offered = generation_->offered<tenon_plugin_hooks_t>(TENON_HOOKS_ID);
    const uint32_t count = offered == nullptr ? 0 : offered->hook_count(generation_->plugin);
    for (uint32_t at = 0; at < count; ++at) {
      const tenon_hook_t* const hook = offered->hook(generation_->plugin, at);
      if (detail::text(hook->name) != name || hook->version != version) continue;
      const tenon_hook_output_t output = {static_cast<uint32_t>(sizeof output), &hooked,
                                          [](const tenon_hook_output_t* to, tenon_bytes_t bytes) -> tenon_status {
                                            static_cast<Hooked*>(to->data)->bytes += detail::text(bytes);
                                            return TENON_OK;
                                          },
                                          [](const tenon_hook_output_t* to, tenon_bytes_t message) {
                                            static_cast<Hooked*>(to->data)->message = detail::text(message);
                                          }};
      hooked.status = offered->call(generation_->plugin, at, detail::bytes(input), &output);
      return hooked;
    }
    return hooked;
  }

  /* Capabilities it offers, of those that an extension may, by their ids. */
  std::vector<std::string> offers() const {
    std::vector<std::string> list;
    for (const char* id : {TENON_AUTH_ID, TENON_MIDDLEWARE_ID, TENON_EVENTS_ID, TENON_CONFIG_ID, TENON_HOOKS_ID})
      if (generation_->plugin->get_extension(generation_->plugin, id) != nullptr) list.push_back(id);
    return list;
  }

  /* What the plugin says of its health; true when it says nothing. */
  bool healthy() const {
    tenon_plugin_t* const plugin = generation_->plugin;
    return plugin->health == nullptr || plugin->health(plugin) == TENON_OK;
  }

  /* Its routes, e.g. "GET /greeting/:name". */
  std::vector<std::string> routes() const {
    std::vector<std::string> list;
    const tenon_plugin_http_t* const http = generation_->http;
    size_t count = 0;
    const detail::Method* const known = detail::methods(&count);
    for (uint32_t at = 0; http != nullptr && at < http->route_count(generation_->plugin); ++at) {
      const tenon_route_t* const route = http->route(generation_->plugin, at);
      for (size_t method = 0; method < count; ++method)
        if (known[method].value == route->method)
          list.push_back(std::string(known[method].name) + " " + detail::text(route->pattern));
    }
    return list;
  }

  /* The state as a successor would get it. Throws Refused when the plugin refuses, or has none. */
  std::string save() const { return save(*generation_); }
  /* Version of the format that save() writes; 0 when the plugin has no state to hand over. */
  uint32_t state_version() const { return generation_->state == nullptr ? 0 : generation_->state->version; }
  /* Give it a state, in a dry run first. Throws Refused when the plugin refuses it. For a plugin that has not served.
   */
  void load(const std::string& state, uint32_t version) const { load(*generation_, state, version); }

  /*
   * What the host does when the library has changed: open it beside the running one, hand the state over, swap, end the
   * old one. Throws Refused when the plugin refuses a step; the old generation goes on then.
   */
  void reload() {
    auto next = std::make_unique<detail::Generation>(library_, world_, ++generations_);
    tenon_plugin_t* const old = generation_->plugin;
    if (old->quiesce != nullptr) generation_->need("quiesce", old->quiesce(old));
    try {
      if (generation_->state != nullptr && next->state != nullptr)
        load(*next, save(*generation_), generation_->state->version);
      next->ready();
    } catch (...) {
      next.reset();
      if (old->resume != nullptr) generation_->need("resume", old->resume(old));
      throw;
    }
    generation_ = std::move(next);
  }

  /* What it has logged so far. */
  std::vector<Record> log() const {
    const std::lock_guard<std::mutex> lock(world_.mutex);
    return world_.log;
  }
  /* Whether a message it logged contains `part`. */
  bool logged(std::string_view part) const {
    for (const Record& record : log())
      if (record.message.find(part) != std::string::npos) return true;
    return false;
  }

 private:
  static tenon_http_method method_of(std::string_view name) {
    size_t count = 0;
    const detail::Method* const known = detail::methods(&count);
    for (size_t at = 0; at < count; ++at)
      if (known[at].name == name) return known[at].value;
    return 0;
  }

  static void fill(tenon_request& request, const Request& wanted, const std::string& application) {
    const size_t mark = wanted.target.find('?');
    request.application = application;
    request.method = method_of(wanted.method);
    request.route = request.path = "/" + application + wanted.target.substr(0, mark);
    request.body = wanted.body;
    request.id = "test";
    request.headers = wanted.headers;
    request.chunks_wanted = wanted.chunks_wanted;
    request.is_operator = wanted.is_operator;
    request.identity = wanted.identity;
    if (request.identity)
      for (const std::string& role : request.identity->roles) request.roles.push_back(detail::bytes(role));
    request.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(detail::default_deadline_ms);
    if (mark != std::string::npos) request.query = wanted.target.substr(mark + 1);
    for (const std::string_view pair : detail::split(request.query, '&')) {
      const size_t equals = pair.find('=');
      const std::string_view value = equals == std::string_view::npos ? "" : pair.substr(equals + 1);
      request.values.push_back({detail::decode(pair.substr(0, equals), true), detail::decode(value, true)});
    }
  }

  static bool has_one_of(const Identity& identity, const std::string& roles) {
    for (const std::string_view wanted : detail::split(roles, ','))
      for (const std::string& role : identity.roles)
        if (role == wanted) return true;
    return false;
  }

  static tenon_auth_answer_t answer_to(Decided& decided) {
    const auto accept = [](const tenon_auth_answer_t* answer, const tenon_identity_t* identity,
                           uint32_t cache_ms) -> tenon_status {
      Decided& to = *static_cast<Decided*>(answer->data);
      if (identity->subject.size == 0 || identity->subject.size > 255 || identity->name.size > 255 ||
          identity->role_count > TENON_AUTH_ROLE_LIMIT || identity->claims.size > TENON_AUTH_CLAIMS_LIMIT ||
          cache_ms > TENON_AUTH_CACHE_MS)
        return TENON_ERROR_ARGUMENT;
      to.identity.subject = detail::text(identity->subject);
      to.identity.name = detail::text(identity->name);
      to.identity.claims = detail::text(identity->claims);
      for (uint32_t at = 0; at < identity->role_count; ++at)
        to.identity.roles.push_back(detail::text(identity->roles[at]));
      to.cache_ms = cache_ms;
      return TENON_OK;
    };
    const auto add_role = [](const tenon_auth_answer_t* answer, tenon_bytes_t role) -> tenon_status {
      std::vector<std::string>& roles = static_cast<Decided*>(answer->data)->identity.roles;
      if (role.size == 0 || role.size > 63) return TENON_ERROR_ARGUMENT;
      if (roles.size() >= TENON_AUTH_ROLE_LIMIT) return TENON_ERROR_TOO_LARGE;
      roles.push_back(detail::text(role));
      return TENON_OK;
    };
    const auto refuse = [](const tenon_auth_answer_t* answer, tenon_bytes_t message, uint32_t retry_after_s) {
      static_cast<Decided*>(answer->data)->message = detail::text(message);
      static_cast<Decided*>(answer->data)->retry_after_s = retry_after_s;
    };
    return {static_cast<uint32_t>(sizeof(tenon_auth_answer_t)), &decided, accept, add_role, refuse};
  }

  static Answer refusal(int status, std::string why) {
    Answer answer;
    answer.status = status;
    answer.failure = std::move(why);
    return answer;
  }

  static std::string save(const detail::Generation& from) {
    if (from.state == nullptr) throw Refused("the plugin has no state to hand over");
    struct Saved {
      std::string bytes;
      std::string failure;
    } saved;
    const tenon_state_writer_t writer{sizeof writer, &saved,
                                      [](const tenon_state_writer_t* to, tenon_bytes_t part) -> tenon_status {
                                        std::string& all = static_cast<Saved*>(to->data)->bytes;
                                        if (all.size() + part.size > TENON_STATE_LIMIT) return TENON_ERROR_TOO_LARGE;
                                        all += detail::text(part);
                                        return TENON_OK;
                                      },
                                      [](const tenon_state_writer_t* to, tenon_bytes_t message) {
                                        static_cast<Saved*>(to->data)->failure = detail::text(message);
                                      }};
    const tenon_status status = from.state->save(from.plugin, &writer);
    if (status != TENON_OK) throw Refused("save answered " + std::to_string(status) + ": " + saved.failure);
    return saved.bytes;
  }

  static void load(const detail::Generation& into, const std::string& state, uint32_t version) {
    if (into.state == nullptr) throw Refused("the plugin takes no state over");
    std::string failure;
    for (const bool dry_run : {true, false}) {
      const tenon_state_reader_t reader{sizeof reader,
                                        dry_run,
                                        version,
                                        detail::bytes(state),
                                        &failure,
                                        [](const tenon_state_reader_t* from, tenon_bytes_t message) {
                                          *static_cast<std::string*>(from->data) = detail::text(message);
                                        }};
      const tenon_status status = into.state->load(into.plugin, &reader);
      if (status != TENON_OK) throw Refused("load answered " + std::to_string(status) + ": " + failure);
    }
  }

  std::string library_;
  mutable detail::World world_;
  uint64_t generations_ = 0;
  std::unique_ptr<detail::Generation> generation_;
};

namespace detail {

struct Test {
  const char* name;
  void (*body)();
};
inline std::vector<Test>& tests() {
  static std::vector<Test> list;
  return list;
}
inline bool add(const char* name, void (*body)()) { return tests().push_back({name, body}), true; }

/* What the running test has complained of. */
struct Complaints {
  std::mutex mutex;
  std::vector<std::string> list;
};
inline Complaints& complaints() {
  static Complaints all;
  return all;
}
inline void complain(const std::string& what) {
  const std::lock_guard<std::mutex> lock(complaints().mutex);
  complaints().list.push_back(what);
}
inline void complain(const char* file, int line, const std::string& what) {
  complain(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <typename Value>
std::string shown(const Value& value) {
  if constexpr (std::is_same_v<Value, bool>)
    return value ? "true" : "false";
  else if constexpr (std::is_enum_v<Value>)
    return std::to_string(static_cast<std::underlying_type_t<Value>>(value));
  else if constexpr (std::is_arithmetic_v<Value>)
    return std::to_string(value);
  else
    return "\"" + std::string(std::string_view(value)) + "\"";
}

template <typename One, typename Other>
bool equal(const One& one, const Other& other) {
  if constexpr (std::is_enum_v<One>) {
    return equal(static_cast<std::underlying_type_t<One>>(one), other);
  } else if constexpr (std::is_enum_v<Other>) {
    return equal(one, static_cast<std::underlying_type_t<Other>>(other));
  } else if constexpr (std::is_integral_v<One> && std::is_integral_v<Other>) {
    if constexpr (std::is_signed_v<One> == std::is_signed_v<Other>)
      return one == other;
    else if constexpr (std::is_signed_v<One>)
      return one >= 0 && static_cast<std::make_unsigned_t<One>>(one) == other;
    else
      return other >= 0 && one == static_cast<std::make_unsigned_t<Other>>(other);
  } else if constexpr (std::is_arithmetic_v<One> && std::is_arithmetic_v<Other>) {
    return !(one < other) && !(other < one);
  } else {
    return std::string_view(one) == std::string_view(other);
  }
}

template <typename Actual, typename Expected>
void check_equal(const char* file, int line, const char* text, const Actual& actual, const Expected& expected) {
  if (!equal(actual, expected))
    complain(file, line, std::string(text) + " is " + shown(actual) + ", not " + shown(expected));
}

/* The line to print should the process be ended by a signal now. */
inline char (&last_words())[256] {
  static char line[256] = "";
  return line;
}
extern "C" inline void tenon_testing_on_signal(int signal) {
  const char* const line = last_words();
  if (write(STDOUT_FILENO, line, std::strlen(line)) < 0) _exit(1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace detail

/*
 * Run every TENON_TEST of this program on the library argv[1] and print TAP. The exit status: 0 when all passed, 1 when
 * one failed or there is none, 2 when argv is wrong. Every file of tests has it, so that main() needs no header.
 */
__attribute__((used)) inline int run(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s LIBRARY\n", argc > 0 ? argv[0] : "tests");
    return 2;
  }
  detail::library_under_test() = argv[1];
#if !defined(TENON_TESTING_SANITIZED) /* it has words of its own */
  for (const int each : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) std::signal(each, detail::tenon_testing_on_signal);
#endif
  const std::vector<detail::Test>& tests = detail::tests();
  std::printf("1..%zu\n", tests.size());
  size_t failed = 0;
  for (size_t at = 0; at < tests.size(); ++at) {
    std::printf("# running %s\n", tests[at].name);
    std::fflush(stdout);
    std::snprintf(detail::last_words(), sizeof detail::last_words(), "not ok %zu - %.200s # a signal ended it\n",
                  at + 1, tests[at].name);
    detail::complaints().list.clear();
    try {
      tests[at].body();
    } catch (const std::exception& error) {
      detail::complain(std::string("exception: ") + error.what());
    } catch (...) {
      detail::complain("an exception that is not a std::exception");
    }
    const std::vector<std::string>& list = detail::complaints().list;
    std::printf("%s %zu - %s\n", list.empty() ? "ok" : "not ok", at + 1, tests[at].name);
    for (const std::string& each : list) std::printf("# %s\n", each.c_str());
    failed += list.empty() ? 0 : 1;
  }
  std::fflush(stdout);
  detail::last_words()[0] = '\0';
  return failed == 0 && !tests.empty() ? 0 : 1;
}

}  // namespace tenon::testing

#define TENON_TESTING_JOIN_(one, other) one##other
#define TENON_TESTING_JOIN(one, other) TENON_TESTING_JOIN_(one, other)

/* A test, at namespace scope: TENON_TEST("what holds") { … }. It fails by a check that fails, and by an exception. */
#define TENON_TEST(name)                                                                                               \
  static void TENON_TESTING_JOIN(tenon_test_, __LINE__)();                                                             \
  [[maybe_unused]] static const bool TENON_TESTING_JOIN(tenon_test_added_, __LINE__) =                                 \
      ::tenon::testing::detail::add(name, TENON_TESTING_JOIN(tenon_test_, __LINE__));                                  \
  static void TENON_TESTING_JOIN(tenon_test_, __LINE__)()

/* The test fails unless the condition holds; it goes on either way. */
#define TENON_CHECK(...)                                                                                               \
  do {                                                                                                                 \
    if (!(__VA_ARGS__)) ::tenon::testing::detail::complain(__FILE__, __LINE__, #__VA_ARGS__ " does not hold");         \
  } while (false)

/* The same for two numbers, or two texts, showing both. */
#define TENON_CHECK_EQUAL(actual, expected)                                                                            \
  ::tenon::testing::detail::check_equal(__FILE__, __LINE__, #actual, (actual), (expected))

/* The test fails unless the plugin refuses what the statement does. */
#define TENON_CHECK_REFUSED(...)                                                                                       \
  do {                                                                                                                 \
    try {                                                                                                              \
      __VA_ARGS__;                                                                                                     \
      ::tenon::testing::detail::complain(__FILE__, __LINE__, #__VA_ARGS__ " was not refused");                         \
    } catch (const ::tenon::testing::Refused&) {                                                                       \
    }                                                                                                                  \
  } while (false)

#endif
