/*
 * Tenon for authors in C++17: declarations, no glue.
 *
 *     #include <tenon/tenon.hpp>
 *
 *     struct Greeting : tenon::Resource {
 *       tenon::Response get(const tenon::Request& request) override { return tenon::text("Hello"); }
 *     };
 *
 * Tenon finds every `struct X : tenon::Resource` at namespace scope that is compiled in the sources of resources/ and
 * in the headers of the application, and serves it at /{app_id}/{x-in-kebab-case}. Only the methods a resource
 * overrides become routes. One object of each resource exists per generation; its handlers may run in parallel, so its
 * members need their own protection.
 *
 * An exception that leaves a handler answers 500 with its message. Works with -fno-exceptions and -fno-rtti too.
 * Every std::string_view that a Request returns lives as long as the handler runs.
 */
#ifndef TENON_TENON_HPP
#define TENON_TENON_HPP

#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "entry.h"
#include "ext/auth.h"
#include "ext/config.h"
#include "ext/events.h"
#include "ext/hooks.h"
#include "ext/http.h"
#include "ext/http_client.h"
#include "ext/log.h"
#include "ext/metrics.h"
#include "ext/middleware.h"
#include "ext/state.h"
#include "ext/tables.h"
#include "ext/tasks.h"

namespace tenon {

class Extension;
class Json;
class JsonView;

namespace detail {
struct Edge;
struct Offered;
}  // namespace detail

enum class Method : tenon_http_method {
  Get = TENON_HTTP_GET,
  Head = TENON_HTTP_HEAD,
  Post = TENON_HTTP_POST,
  Put = TENON_HTTP_PUT,
  Patch = TENON_HTTP_PATCH,
  Delete = TENON_HTTP_DELETE,
  Options = TENON_HTTP_OPTIONS
};

/* Where a resource's handlers run: on threads of their own, or (work of a few microseconds only) on the event loop. */
enum class Execution : uint32_t { Pool = TENON_EXECUTION_POOL, Inline = TENON_EXECUTION_INLINE };

/* Who may call a resource: everybody, or whoever is known. Unsaid, `auth` of config.yaml decides. */
enum class Auth : uint32_t { Unsaid = TENON_AUTH_NONE, Open = TENON_AUTH_OPEN, Identity = TENON_AUTH_IDENTITY };

namespace detail {

inline std::string_view view(tenon_bytes_t bytes) noexcept {
  return bytes.size == 0 ? std::string_view() : std::string_view(bytes.data, bytes.size);
}

inline tenon_bytes_t bytes(std::string_view text) noexcept { return {text.data(), text.size()}; }

/* The host's services. A library has one instance at a time; its `create` sets them before anything else runs. */
struct Services {
  const tenon_host_t* host;
  const tenon_host_http_t* http;
  const tenon_host_log_t* log;
  const tenon_host_state_t* state;
  const tenon_host_tables_t* tables;
  const tenon_host_auth_t* auth;
  const tenon_host_middleware_t* middleware;
  const tenon_host_tasks_t* tasks;
  const tenon_host_events_t* events;
  const tenon_host_metrics_t* metrics;
  const tenon_host_config_t* config;
  const tenon_host_http_client_t* http_client;
  const tenon_host_hooks_t* hooks;
  Extension* extension;
  const Offered* offered;
};
__attribute__((visibility("hidden"))) inline Services services{};

/* Decimal digits of an integer, without locale or allocation. */
class Digits {
 public:
  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  explicit Digits(Integer number) noexcept {
    auto rest = static_cast<unsigned long long>(number);
    bool negative = false;
    if constexpr (std::is_signed_v<Integer>) negative = number < 0;
    if (negative) rest = 0 - rest;
    do {
      text_[--begin_] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (negative) text_[--begin_] = '-';
  }
  std::string_view view() const noexcept { return {text_ + begin_, sizeof text_ - begin_}; }

 private:
  char text_[24] = {};
  size_t begin_ = sizeof text_;
};

}  // namespace detail

/* Somebody. What is returned lives as long as what the identity was got from: a request, or the call of a hook. */
class Identity {
 public:
  explicit Identity(const tenon_identity_t& identity) noexcept : identity_(identity) {}

  /* Who it is, for programs; stays the same. */
  std::string_view subject() const noexcept { return detail::view(identity_.subject); }
  /* For people; may be empty. */
  std::string_view name() const noexcept { return detail::view(identity_.name); }
  /* Of the provider that knew the credential, such as "Basic", and the id of its extension. */
  std::string_view scheme() const noexcept { return detail::view(identity_.scheme); }
  std::string_view extension() const noexcept { return detail::view(identity_.extension); }
  /* A JSON object, or empty. */
  std::string_view claims() const noexcept { return detail::view(identity_.claims); }
  bool has_role(std::string_view role) const noexcept {
    for (uint32_t index = 0; index < identity_.role_count; ++index)
      if (detail::view(identity_.roles[index]) == role) return true;
    return false;
  }
  /* Calls `visit(role)` for every role. */
  template <typename Visit>
  void roles(Visit&& visit) const {
    for (uint32_t index = 0; index < identity_.role_count; ++index) visit(detail::view(identity_.roles[index]));
  }

 private:
  tenon_identity_t identity_;
};

/* A request while its handler runs. Nothing is copied: every view points into the request as it arrived. */
class Request {
 public:
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Method method() const noexcept { return static_cast<Method>(http().method(request_)); }
  /* As it arrived: percent-encoded, without the query, with the application's prefix. */
  std::string_view path() const noexcept { return detail::view(http().path(request_)); }
  /* As it arrived, without the "?". */
  std::string_view query() const noexcept { return detail::view(http().query(request_)); }
  /* Decoded value of the first query parameter `name`. */
  std::optional<std::string_view> query(std::string_view name) const noexcept {
    tenon_bytes_t value{};
    if (!http().query_value(request_, detail::bytes(name), &value)) return std::nullopt;
    return detail::view(value);
  }
  /* Decoded path parameter `name` of the resource's `path`; empty when the path has none of that name. */
  std::string_view param(std::string_view name) const noexcept {
    tenon_bytes_t value{};
    return http().param(request_, detail::bytes(name), &value) ? detail::view(value) : std::string_view();
  }
  /* Value of the first header `name`, whatever its case. */
  std::optional<std::string_view> header(std::string_view name) const noexcept {
    tenon_bytes_t value{};
    if (!http().header(request_, detail::bytes(name), &value)) return std::nullopt;
    return detail::view(value);
  }
  /* Calls `visit(name, value)` for every header in the order of arrival. */
  template <typename Visit>
  void headers(Visit&& visit) const {
    const uint32_t count = http().header_count(request_);
    for (uint32_t index = 0; index < count; ++index) {
      tenon_bytes_t name{};
      tenon_bytes_t value{};
      if (http().header_at(request_, index, &name, &value)) visit(detail::view(name), detail::view(value));
    }
  }
  std::string_view body() const noexcept { return detail::view(http().body(request_)); }
  /* The host's id of this request, as in its log and error answers. */
  std::string_view request_id() const noexcept { return detail::view(http().request_id(request_)); }
  /* Milliseconds until the deadline; 0 when it has passed. */
  uint32_t time_left_ms() const noexcept { return http().time_left_ms(request_); }
  /* True when nobody waits for the answer any more. */
  bool cancelled() const noexcept { return http().cancelled(request_); }
  /* Who the request is from; nothing for nobody, and while a provider is being asked. */
  std::optional<Identity> identity() const noexcept {
    const tenon_host_auth_t* const auth = detail::services.auth;
    tenon_identity_t identity{};
    identity.size = sizeof identity;
    if (auth == nullptr || !auth->identity(request_, &identity)) return std::nullopt;
    return Identity(identity);
  }
  /* Id of the application that it is for: in a provider, a hook or a middleware one that lists the extension. */
  std::string_view application() const noexcept {
    const tenon_host_middleware_t* const middleware = detail::services.middleware;
    return middleware == nullptr ? std::string_view() : detail::view(middleware->application(request_));
  }
  /* Whether it carries the admin token of the host. */
  bool is_operator() const noexcept {
    return detail::services.auth != nullptr && detail::services.auth->is_operator(request_);
  }

 private:
  friend struct detail::Edge;
  explicit Request(tenon_request_t* request) noexcept : request_(request) {}
  static const tenon_host_http_t& http() noexcept { return *detail::services.http; }

  tenon_request_t* request_;
};

/* Text that lives as long as the library, such as a string literal: it goes out without a copy. Made by literal(). */
class Literal {
 public:
  std::string_view view() const noexcept { return text_; }

 private:
  template <size_t Size>
  friend constexpr Literal literal(const char (&text)[Size]) noexcept;
  constexpr explicit Literal(std::string_view text) noexcept : text_(text) {}
  std::string_view text_;
};

/* `tenon::html(tenon::literal("<!doctype html>…"))`: for string literals, and for static arrays of text. */
template <size_t Size>
constexpr Literal literal(const char (&text)[Size]) noexcept {
  return Literal(std::string_view(text, Size - 1));
}

/* What a response body is made of: a literal() stays where it is, a std::string is moved, other text is copied. */
class Body {
 public:
  Body() = default;
  Body(Literal text) noexcept : constant_(text.view()) {}
  Body(const char* text) : owned_(text) {}
  Body(std::string_view text) : owned_(text) {}
  Body(std::string&& text) noexcept : owned_(std::move(text)) {}
  Body(const std::string& text) : owned_(text) {}

 private:
  friend struct detail::Edge;
  std::string_view constant_;
  std::string owned_;
};

/* Where a streamed response is written. */
class Writer {
 public:
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /* Send a chunk, waiting while the client is behind. False: nobody listens any more, so return. */
  bool write(std::string_view chunk) noexcept {
    constexpr size_t limit = size_t{1} << 20;
    do {
      const std::string_view part = chunk.substr(0, limit);
      if (status_ == TENON_OK) status_ = detail::services.http->write(response_, detail::bytes(part));
      chunk.remove_prefix(part.size());
    } while (status_ == TENON_OK && !chunk.empty());
    return status_ == TENON_OK;
  }

 private:
  friend struct detail::Edge;
  explicit Writer(tenon_response_t* response) noexcept : response_(response) {}

  tenon_response_t* response_;
  tenon_status status_ = TENON_OK;
};

/* An answer: 200 without a body until told otherwise. Made by text(), json(), html(), status() and stream(). */
class Response {
 public:
  Response() = default;
  explicit Response(Body body, std::string_view literal_type = {}) noexcept
      : type_(literal_type), body_(std::move(body)) {}
  Response(Response&& other) noexcept
      : status_(other.status_),
        type_(other.type_),
        body_(std::move(other.body_)),
        headers_(std::move(other.headers_)),
        producer_(std::exchange(other.producer_, nullptr)) {}
  Response& operator=(Response&& other) noexcept {
    status_ = other.status_;
    type_ = other.type_;
    body_ = std::move(other.body_);
    headers_ = std::move(other.headers_);
    std::swap(producer_, other.producer_);
    return *this;
  }
  ~Response() { delete producer_; }

  /* 200 to 599. */
  Response& status(int code) & noexcept { return status_ = code, *this; }
  Response&& status(int code) && noexcept { return std::move(status(code)); }
  /* Set a header, replacing one of the same name. */
  Response& header(std::string_view name, std::string_view value) & { return pack('=', name, value); }
  Response&& header(std::string_view name, std::string_view value) && { return std::move(header(name, value)); }
  /* Add a header beside those of the same name. */
  Response& add_header(std::string_view name, std::string_view value) & { return pack('+', name, value); }
  Response&& add_header(std::string_view name, std::string_view value) && { return std::move(add_header(name, value)); }
  /* Set the content type. */
  Response& type(std::string_view value) & { return pack('=', "content-type", value); }
  Response&& type(std::string_view value) && { return std::move(type(value)); }

 private:
  friend struct detail::Edge;
  template <typename Produce>
  friend Response stream(Produce&& produce);

  struct Producer {
    Producer() = default;
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;
    virtual ~Producer() = default;
    virtual void run(Writer& writer) = 0;
  };

  /* Headers wait in one string: kind, size of name, size of value, name, value. */
  Response& pack(char kind, std::string_view name, std::string_view value) {
    const size_t sizes[2] = {name.size(), value.size()};
    headers_.reserve(headers_.size() + 1 + sizeof sizes + name.size() + value.size());
    headers_.push_back(kind);
    headers_.append(reinterpret_cast<const char*>(sizes), sizeof sizes);
    headers_.append(name).append(value);
    return *this;
  }

  int status_ = 200;
  std::string_view type_;
  Body body_;
  std::string headers_;
  Producer* producer_ = nullptr;
};

inline Response text(Body body) { return Response(std::move(body), "text/plain; charset=utf-8"); }
inline Response html(Body body) { return Response(std::move(body), "text/html; charset=utf-8"); }
/* `body` is JSON already. */
inline Response json(Body body) { return Response(std::move(body), "application/json"); }
/* Takes the text out of `json`, closing what is still open. */
inline Response json(Json& json);
inline Response json(Json&& json);
inline Response status(int code) { return Response().status(code); }

/*
 * A body that is written while it is made: `produce(tenon::Writer&)` runs after the handler returned, on the same
 * thread, with the request still there; what it captured by value it owns. For resources that run in the pool.
 */
template <typename Produce>
Response stream(Produce&& produce) {
  struct Holder final : Response::Producer {
    explicit Holder(Produce&& work) : work_(std::forward<Produce>(work)) {}
    void run(Writer& writer) override { work_(writer); }
    std::decay_t<Produce> work_;
  };
  Response response(Body(), "text/plain; charset=utf-8");
  response.producer_ = new Holder(std::forward<Produce>(produce));
  return response;
}

/*
 * Appends JSON: `Json().object().field("name", name).key("tags").array().value("a").end().end()`. Text is escaped,
 * bytes that are not UTF-8 become U+FFFD, numbers that JSON does not have become null. Commas come by themselves; it is
 * up to the caller that an object gets keys and an array does not.
 */
class Json {
 public:
  Json& object() { return open('{', '}'); }
  Json& array() { return open('[', ']'); }
  /* Close the innermost object or array; nothing when none is open. */
  Json& end() {
    if (open_.empty()) return *this;
    text_.push_back(open_.back());
    open_.pop_back();
    comma_ = true;
    return *this;
  }
  Json& key(std::string_view name) {
    before();
    quote(name);
    text_.push_back(':');
    comma_ = false;
    return *this;
  }
  Json& value(std::string_view text) {
    before();
    quote(text);
    return *this;
  }
  Json& value(const char* text) { return value(std::string_view(text)); }
  Json& value(char character) { return value(std::string_view(&character, 1)); }
  Json& value(bool truth) { return raw(truth ? "true" : "false"); }
  Json& value(std::nullptr_t) { return raw("null"); }
  Json& value(double number) {
    if (!(number - number == 0)) return raw("null");
    char digits[40];
    int size = std::snprintf(digits, sizeof digits, "%.15g", number);
    if (std::strtod(digits, nullptr) != number) size = std::snprintf(digits, sizeof digits, "%.17g", number);
    for (int index = 0; index < size; ++index) {
      const char at = digits[index];
      if (!(at >= '0' && at <= '9') && at != '-' && at != '+' && at != 'e') digits[index] = '.';
    }
    return raw({digits, static_cast<size_t>(size)});
  }
  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  Json& value(Integer number) {
    return raw(detail::Digits(number).view());
  }
  template <typename Value>
  Json& field(std::string_view name, const Value& content) {
    return key(name).value(content);
  }
  /* Append what is JSON already. */
  Json& raw(std::string_view json) {
    before();
    text_.append(json);
    return *this;
  }

  std::string_view view() const noexcept { return text_; }
  /* The text, everything closed; the writer is empty afterwards. */
  std::string take() {
    while (!open_.empty()) end();
    comma_ = false;
    return std::exchange(text_, std::string());
  }

 private:
  Json& open(char opening, char closing) {
    before();
    text_.push_back(opening);
    open_.push_back(closing);
    comma_ = false;
    return *this;
  }

  void before() {
    if (comma_) text_.push_back(',');
    comma_ = true;
  }

  void quote(std::string_view text) {
    text_.push_back('"');
    size_t clean = 0;
    for (size_t at = 0; at < text.size();) {
      const auto byte = static_cast<unsigned char>(text[at]);
      const size_t length = byte >= 0x80 ? sequence(text.substr(at)) : size_t{1};
      if (length > 1 || (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\')) {
        at += length;
        continue;
      }
      text_.append(text, clean, at - clean);
      escape(byte);
      clean = ++at;
    }
    text_.append(text, clean, text.size() - clean);
    text_.push_back('"');
  }

  void escape(unsigned char byte) {
    static constexpr char hex[] = "0123456789abcdef";
    switch (byte) {
      case '"':
        text_.append("\\\"");
        break;
      case '\\':
        text_.append("\\\\");
        break;
      case '\n':
        text_.append("\\n");
        break;
      case '\r':
        text_.append("\\r");
        break;
      case '\t':
        text_.append("\\t");
        break;
      default:
        if (byte >= 0x80) {
          text_.append("\xEF\xBF\xBD");
          break;
        }
        text_.append("\\u00").push_back(hex[byte >> 4]);
        text_.push_back(hex[byte & 15]);
    }
  }

  friend class JsonView;
  /* Length of the UTF-8 sequence that `text` begins with, 0 when it is none. */
  static size_t sequence(std::string_view text) noexcept {
    const auto at = [text](size_t index) { return index < text.size() ? static_cast<unsigned char>(text[index]) : 0u; };
    const auto more = [&at](size_t index) { return (at(index) & 0xC0u) == 0x80u; };
    const unsigned first = at(0);
    const unsigned second = at(1);
    if (first >= 0xC2 && first <= 0xDF) return more(1) ? 2 : 0;
    if ((first & 0xF0u) == 0xE0u) {
      const bool fits = (first != 0xE0 || second >= 0xA0) && (first != 0xED || second < 0xA0);
      return fits && more(1) && more(2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
      const bool fits = (first != 0xF0 || second >= 0x90) && (first != 0xF4 || second < 0x90);
      return fits && more(1) && more(2) && more(3) ? 4 : 0;
    }
    return 0;
  }

  std::string text_;
  std::string open_;
  bool comma_ = false;
};

inline Response json(Json& json) { return tenon::json(Body(json.take())); }
inline Response json(Json&& json) { return tenon::json(Body(json.take())); }

/* Records in the host's own log, tagged with plugin and generation: `log::info("saved", {{"id", id}, {"size", 12}})`.
 */
namespace log {

class Field {
 public:
  Field(std::string_view key, std::string_view value) noexcept : key_(key), value_(value) {}
  Field(std::string_view key, const char* value) noexcept : key_(key), value_(value) {}
  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  Field(std::string_view key, Integer value) noexcept : key_(key), digits_(value) {}

  tenon_log_field_t bytes() const noexcept {
    return {detail::bytes(key_), detail::bytes(value_.data() == nullptr ? digits_.view() : value_)};
  }

 private:
  std::string_view key_;
  std::string_view value_;
  detail::Digits digits_{0};
};

/* True when a record of `level` (TENON_LOG_…) would be kept. */
inline bool enabled(int32_t level) noexcept {
  const detail::Services& to = detail::services;
  return to.log != nullptr && to.log->enabled(to.host, level);
}

inline void write(int32_t level, std::string_view message) noexcept {
  const detail::Services& to = detail::services;
  if (to.log != nullptr) to.log->write(to.host, level, detail::bytes(message), nullptr, 0);
}

template <size_t Count>
void write(int32_t level, std::string_view message, const Field (&fields)[Count]) noexcept {
  const detail::Services& to = detail::services;
  if (to.log == nullptr) return;
  tenon_log_field_t list[Count];
  for (size_t index = 0; index < Count; ++index) list[index] = fields[index].bytes();
  to.log->write(to.host, level, detail::bytes(message), list, Count);
}

inline void debug(std::string_view message) noexcept { write(TENON_LOG_DEBUG, message); }
inline void info(std::string_view message) noexcept { write(TENON_LOG_INFO, message); }
inline void warn(std::string_view message) noexcept { write(TENON_LOG_WARN, message); }
inline void error(std::string_view message) noexcept { write(TENON_LOG_ERROR, message); }

template <size_t Count>
void debug(std::string_view message, const Field (&fields)[Count]) noexcept {
  write(TENON_LOG_DEBUG, message, fields);
}
template <size_t Count>
void info(std::string_view message, const Field (&fields)[Count]) noexcept {
  write(TENON_LOG_INFO, message, fields);
}
template <size_t Count>
void warn(std::string_view message, const Field (&fields)[Count]) noexcept {
  write(TENON_LOG_WARN, message, fields);
}
template <size_t Count>
void error(std::string_view message, const Field (&fields)[Count]) noexcept {
  write(TENON_LOG_ERROR, message, fields);
}

}  // namespace log

/* Values kept per plugin, across generations and, when the host was closed in order, across its restarts. */
namespace state {

/* Store a copy of `value` under `key` (1 to 255 bytes). False: the host does not keep it. */
inline bool put(std::string_view key, std::string_view value) noexcept {
  const detail::Services& to = detail::services;
  return to.state != nullptr && to.state->put(to.host, detail::bytes(key), detail::bytes(value)) == TENON_OK;
}

/* The value of `key`, or nothing. */
inline std::optional<std::string> get(std::string_view key) {
  const detail::Services& to = detail::services;
  if (to.state == nullptr) return std::nullopt;
  std::string value;
  for (;;) {
    size_t size = 0;
    const tenon_status status = to.state->get(to.host, detail::bytes(key), value.data(), value.size(), &size);
    if (status != TENON_OK && status != TENON_ERROR_TOO_LARGE) return std::nullopt;
    value.resize(size);
    if (status == TENON_OK) return value;
  }
}

/* Forget `key`. False: there was none. */
inline bool remove(std::string_view key) noexcept {
  const detail::Services& to = detail::services;
  return to.state != nullptr && to.state->remove(to.host, detail::bytes(key)) == TENON_OK;
}

}  // namespace state

/*
 * Something with an address. Override the methods it serves. Options, all optional, as static constexpr members:
 *     path         std::string_view   below /{app_id}; ":name" stands for a segment, "*" at the end for the rest
 *     execution    tenon::Execution   Pool
 *     deadline_ms  uint32_t           the host's setting
 *     body_limit   uint64_t           bytes; the host's setting
 *     auth         tenon::Auth        of config.yaml; Open: everybody, Identity: whoever is known
 *     roles        std::string_view   "admin,editor": whoever has one of them
 *     summary      std::string_view   what it does, in one line, for the document that the host serves at
 * /openapi.json; get_summary, post_summary, put_summary, patch_summary, del_summary: of one method description
 * std::string_view   more of it, CommonMark openapi      std::string_view   JSON: an operation of OpenAPI 3.1, or an
 * object with one for each method, as
 *                                     {"get": {...}, "post": {...}}; limits and what is read are in ext/http.h
 * Two resources may share a `path` when their methods differ, so that reading is open and writing is not.
 */
class Resource {
 public:
  Resource() = default;
  Resource(const Resource&) = delete;
  Resource& operator=(const Resource&) = delete;
  virtual ~Resource() = default;

  virtual Response get(const Request&) { return tenon::status(405); }
  virtual Response post(const Request&) { return tenon::status(405); }
  virtual Response put(const Request&) { return tenon::status(405); }
  virtual Response patch(const Request&) { return tenon::status(405); }
  virtual Response del(const Request&) { return tenon::status(405); }
};

/* Whether a step went well: `return tenon::ok();` or `return tenon::refuse("no licence file");`. */
class [[nodiscard]] Result {
 public:
  Result() = default;
  explicit Result(std::string reason) noexcept : refused_(true), reason_(std::move(reason)) {}
  bool refused() const noexcept { return refused_; }
  std::string_view reason() const noexcept { return reason_; }

 private:
  bool refused_ = false;
  std::string reason_;
};

inline Result ok() noexcept { return {}; }
inline Result refuse(std::string reason) noexcept { return Result(std::move(reason)); }

/* What the compiler's generated glue knows of one resource. */
struct ResourceEntry {
  const char* name;
  std::string_view path; /* empty: from the name */
  Execution execution;
  uint32_t deadline_ms;
  uint64_t body_limit;
  Auth auth;
  std::string_view roles; /* not empty: one of them is needed */
  bool get, post, put, patch, del;
  Resource* (*make)(); /* NULL: nothing to serve */
  std::string_view get_summary, post_summary, put_summary, patch_summary, del_summary;
  std::string_view description;
  std::string_view openapi; /* JSON */
};

namespace detail {

template <typename Type, typename = void>
struct IsComplete : std::false_type {};
template <typename Type>
struct IsComplete<Type, std::void_t<decltype(sizeof(Type))>> : std::true_type {};

/* `Handler` is the type of &T::get: a handler of its own, or the inherited one. Any other signature is a slip. */
template <typename Handler>
struct Overridden {
  static constexpr bool right = false;
  static constexpr bool value = false;
};
template <typename Owner>
struct Overridden<Response (Owner::*)(const Request&)> {
  static constexpr bool right = true;
  static constexpr bool value = !std::is_same_v<Owner, Resource>;
};
template <typename Owner>
struct Overridden<Response (Owner::*)(const Request&) noexcept> : Overridden<Response (Owner::*)(const Request&)> {};

#define TENON_OVERRIDDEN(method)                                                                                       \
  template <typename Type, typename = void>                                                                            \
  struct Has_##method : std::true_type {}; /* private or overloaded: there is one, but no pointer to be had */         \
  template <typename Type>                                                                                             \
  struct Has_##method<Type, std::void_t<decltype(&Type::method)>>                                                      \
      : std::bool_constant<Overridden<decltype(&Type::method)>::value> {                                               \
    static_assert(Overridden<decltype(&Type::method)>::right,                                                          \
                  "a handler is: tenon::Response " #method "(const tenon::Request& request) override");                \
  };
TENON_OVERRIDDEN(get)
TENON_OVERRIDDEN(post)
TENON_OVERRIDDEN(put)
TENON_OVERRIDDEN(patch)
TENON_OVERRIDDEN(del)
#undef TENON_OVERRIDDEN

#define TENON_OPTION(option, Value, otherwise)                                                                         \
  template <typename Type, typename = void>                                                                            \
  struct Option_##option {                                                                                             \
    static constexpr Value value = otherwise;                                                                          \
  };                                                                                                                   \
  template <typename Type>                                                                                             \
  struct Option_##option<Type, std::void_t<decltype(Type::option)>> {                                                  \
    static constexpr Value value = Type::option;                                                                       \
  };
TENON_OPTION(path, std::string_view, std::string_view())
TENON_OPTION(execution, Execution, Execution::Pool)
TENON_OPTION(deadline_ms, uint32_t, 0)
TENON_OPTION(body_limit, uint64_t, 0)
TENON_OPTION(auth, Auth, Auth::Unsaid)
TENON_OPTION(roles, std::string_view, std::string_view())
TENON_OPTION(summary, std::string_view, std::string_view())
TENON_OPTION(get_summary, std::string_view, Option_summary<Type>::value)
TENON_OPTION(post_summary, std::string_view, Option_summary<Type>::value)
TENON_OPTION(put_summary, std::string_view, Option_summary<Type>::value)
TENON_OPTION(patch_summary, std::string_view, Option_summary<Type>::value)
TENON_OPTION(del_summary, std::string_view, Option_summary<Type>::value)
TENON_OPTION(description, std::string_view, std::string_view())
TENON_OPTION(openapi, std::string_view, std::string_view())
#undef TENON_OPTION

template <typename Base, typename Type>
Base* make() {
  return new (std::nothrow) Type();
}

}  // namespace detail

/* The entry of resource `Type`; of nothing when `Type` is abstract, or was not compiled in. */
template <typename Type>
constexpr ResourceEntry resource(const char* name) {
  if constexpr (!detail::IsComplete<Type>::value) {
    return {name,  {},    Execution::Pool, 0,  0,  Auth::Unsaid, {}, false, false, false,
            false, false, nullptr,         {}, {}, {},           {}, {},    {},    {}};
  } else {
    static_assert(std::is_base_of_v<Resource, Type>, "a resource must derive from tenon::Resource");
    static_assert(std::is_convertible_v<Type*, Resource*>, "a resource must derive publicly from tenon::Resource");
    if constexpr (std::is_abstract_v<Type>) {
      return {name,  {},    Execution::Pool, 0,  0,  Auth::Unsaid, {}, false, false, false,
              false, false, nullptr,         {}, {}, {},           {}, {},    {},    {}};
    } else {
      static_assert(std::is_default_constructible_v<Type>, "a resource needs a constructor without arguments");
      constexpr std::string_view path = detail::Option_path<Type>::value;
      static_assert(path.empty() || path.front() == '/', "the path of a resource begins with \"/\"");
      static_assert(detail::Option_roles<Type>::value.empty() || detail::Option_auth<Type>::value != Auth::Open,
                    "a resource is open, or for some roles only");
      static_assert(detail::Has_get<Type>::value || detail::Has_post<Type>::value || detail::Has_put<Type>::value ||
                        detail::Has_patch<Type>::value || detail::Has_del<Type>::value,
                    "a resource overrides get, post, put, patch or del; one that is only a base of others is abstract");
      return {name,
              path,
              detail::Option_execution<Type>::value,
              detail::Option_deadline_ms<Type>::value,
              detail::Option_body_limit<Type>::value,
              detail::Option_auth<Type>::value,
              detail::Option_roles<Type>::value,
              detail::Has_get<Type>::value,
              detail::Has_post<Type>::value,
              detail::Has_put<Type>::value,
              detail::Has_patch<Type>::value,
              detail::Has_del<Type>::value,
              &detail::make<Resource, Type>,
              detail::Option_get_summary<Type>::value,
              detail::Option_post_summary<Type>::value,
              detail::Option_put_summary<Type>::value,
              detail::Option_patch_summary<Type>::value,
              detail::Option_del_summary<Type>::value,
              detail::Option_description<Type>::value,
              detail::Option_openapi<Type>::value};
    }
  }
}

}  // namespace tenon

#include "tables.hpp"

#include "edge.hpp"

#include "extension.hpp"

#endif
