/*
 * What the host does for an application's code, beside log, state and tables: tasks and timers, events, metrics,
 * config, requests to other servers, hooks, passwords and tokens.
 *
 *     #include <tenon/services.hpp>
 *
 *     tenon::tasks::every(60'000, [] { sweep(); });
 *     tenon::events::publish("todo.done", id);
 *
 * All of it ends with the generation: nothing here has to be undone. From Extension::ready on unless said otherwise.
 * Nothing here throws; what fails says so in what it returns, with TENON_ERROR_UNSUPPORTED on a host that does not
 * offer the service. What a callback throws is logged. [any] thread unless said otherwise.
 */
#ifndef TENON_SERVICES_HPP
#define TENON_SERVICES_HPP

#include <time.h>

#include <condition_variable>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <vector>

#include "json_view.hpp"
#include "tenon.hpp"

namespace tenon {

/* Work and timers on threads of the generation's; at most two tasks run at once, and none while it is not serving. */
namespace tasks {

/* One task. A copy is the same task; it goes on when this is gone. */
class Task {
 public:
  Task() = default;
  Task(tenon_status status, uint64_t number) noexcept : status_(status), number_(number) {}
  /* False: it was not begun, see status(): TENON_ERROR_STATE before ready, TENON_ERROR_TOO_LARGE for too many,
   * TENON_ERROR_MEMORY where no thread could be started. */
  explicit operator bool() const noexcept { return status_ == TENON_OK; }
  tenon_status status() const noexcept { return status_; }
  uint64_t number() const noexcept { return number_; }
  /* No run of it begins from now on; also from within. False: it is over. */
  bool cancel() const noexcept {
    const detail::Services& to = detail::services;
    return status_ == TENON_OK && to.tasks->cancel(to.host, number_) == TENON_OK;
  }

 private:
  tenon_status status_ = TENON_ERROR_STATE;
  uint64_t number_ = 0;
};

/* One run of a task, for work that takes it: `tenon::tasks::submit([](const tenon::tasks::Turn& turn) { … })`. */
class Turn {
 public:
  explicit Turn(uint64_t task) noexcept : task_(task) {}
  /* Whether the work should return soon: it was cancelled, or its generation is to end. */
  bool cancelled() const noexcept { return detail::services.tasks->cancelled(detail::services.host, task_); }
  Task task() const noexcept { return {TENON_OK, task_}; }

 private:
  uint64_t task_;
};

}  // namespace tasks

namespace detail {

/* The work of a task; the host frees it once, after the last run or in place of it. */
template <typename Work>
struct TaskWork {
  static void run(void* context, uint64_t task) {
    static_cast<void>(Edge::guard(Edge::log_failure, [&]() -> tenon_status {
      Work& own = static_cast<TaskWork*>(context)->work;
      if constexpr (std::is_invocable_v<Work&, const tasks::Turn&>) {
        own(tasks::Turn(task));
      } else {
        own();
      }
      return TENON_OK;
    }));
  }
  static void end(void* context) { delete static_cast<TaskWork*>(context); }

  Work work;
};

/* Begins a task by `begin(run, end, context, &number)`. */
template <typename Work, typename Begin>
tasks::Task begin_task(Work&& work, Begin&& begin) {
  using Holder = TaskWork<std::decay_t<Work>>;
  if (services.tasks == nullptr) return {TENON_ERROR_UNSUPPORTED, 0};
  auto* const holder = new (std::nothrow) Holder{std::forward<Work>(work)};
  if (holder == nullptr) return {TENON_ERROR_MEMORY, 0};
  uint64_t number = 0;
  const tenon_status status = begin(&Holder::run, &Holder::end, holder, &number);
  if (status != TENON_OK) delete holder;
  return {status, number};
}

}  // namespace detail

namespace tasks {

/* Do `work()` once, as soon as a thread is free. What it captured is freed after its last run, or in place of it. */
template <typename Work>
Task submit(Work&& work) {
  return detail::begin_task(std::forward<Work>(work), [](auto run, auto end, void* context, uint64_t* number) {
    return detail::services.tasks->submit(detail::services.host, run, end, context, number);
  });
}

/* The same in `delay_ms`, at most TENON_TASKS_DELAY_MS. */
template <typename Work>
Task once(uint64_t delay_ms, Work&& work) {
  return detail::begin_task(std::forward<Work>(work), [=](auto run, auto end, void* context, uint64_t* number) {
    return detail::services.tasks->once(detail::services.host, delay_ms, run, end, context, number);
  });
}

/* Again and again, first in `period_ms` (1 to TENON_TASKS_DELAY_MS); never twice at once. */
template <typename Work>
Task every(uint64_t period_ms, Work&& work) {
  return detail::begin_task(std::forward<Work>(work), [=](auto run, auto end, void* context, uint64_t* number) {
    return detail::services.tasks->every(detail::services.host, period_ms, run, end, context, number);
  });
}

}  // namespace tasks

/* What happens, for those who want to know: Extension::on_event is given it. */
namespace events {

/* Tell all subscribers of `topic` ([a-z0-9_.-], not beginning with "tenon."). False: it is outside its bounds. That
 * nobody subscribes is no error. Copies; waits for no subscriber. */
inline bool publish(std::string_view topic, std::string_view payload) noexcept {
  const detail::Services& to = detail::services;
  return to.events != nullptr && to.events->publish(to.host, detail::bytes(topic), detail::bytes(payload)) == TENON_OK;
}
inline bool publish(std::string_view topic, Json json) noexcept {
  const std::string payload = json.take();
  return publish(topic, std::string_view(payload));
}
/* Have on_event() called with the events of `pattern`: a topic, or what topics begin with and a "*". */
inline bool subscribe(std::string_view pattern) noexcept {
  const detail::Services& to = detail::services;
  return to.events != nullptr && to.events->subscribe(to.host, detail::bytes(pattern)) == TENON_OK;
}
inline bool unsubscribe(std::string_view pattern) noexcept {
  const detail::Services& to = detail::services;
  return to.events != nullptr && to.events->unsubscribe(to.host, detail::bytes(pattern)) == TENON_OK;
}
/* Whether anybody is subscribed to `topic`: ask before making an expensive payload. */
inline bool wanted(std::string_view topic) noexcept {
  const detail::Services& to = detail::services;
  return to.events != nullptr && to.events->wanted(to.host, detail::bytes(topic));
}

}  // namespace events

/*
 * Tells how long a part of some work took: subscribers of tenon.span are given it when the scope ends.
 *     tenon::Span span("load report");
 *     span.field("rows", rows);
 */
class Span {
 public:
  /* `name`: 1 to 255 bytes; copied. */
  explicit Span(std::string_view name) : name_(name), begin_us_(now_us(CLOCK_REALTIME)), from_us_(now_us(clock)) {}
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span() { end(); }

  /* A field of its event; key (1 to 63 bytes) and value are copied. */
  template <typename Value>
  Span& field(std::string_view key, const Value& value) {
    const log::Field field(key, value);
    fields_.push_back({std::string(key), std::string(detail::view(field.bytes().value))});
    return *this;
  }
  /* Ends it before its scope does. */
  void end() noexcept {
    const detail::Services& to = detail::services;
    if (std::exchange(ended_, true) || to.events == nullptr) return;
    constexpr size_t most = 32;
    tenon_log_field_t fields[most];
    const size_t count = fields_.size() < most ? fields_.size() : most;
    for (size_t at = 0; at < count; ++at)
      fields[at] = {detail::bytes(fields_[at].key), detail::bytes(fields_[at].value)};
    const tenon_span_t span = {static_cast<uint32_t>(sizeof span),
                               detail::bytes(name_),
                               begin_us_,
                               static_cast<uint64_t>(now_us(clock) - from_us_),
                               fields,
                               count};
    to.events->span(to.host, &span);
  }

 private:
  struct Field {
    std::string key;
    std::string value;
  };
  static constexpr clockid_t clock = CLOCK_MONOTONIC;
  static int64_t now_us(clockid_t of) noexcept {
    timespec now{};
    clock_gettime(of, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
  }

  std::string name_;
  int64_t begin_us_;
  int64_t from_us_;
  std::vector<Field> fields_;
  bool ended_ = false;
};

/*
 * Numbers that operators watch. A series is found or made by the constructor: make it a member of the extension or of a
 * resource, not a static, since those are there before the host is. Labels: `{{"route", "/x"}}`. Names: the host's
 * rules are in ext/metrics.h. A series that was refused is false and counts nothing.
 */
namespace metrics {

using Labels = std::initializer_list<log::Field>;

class Series {
 public:
  explicit operator bool() const noexcept { return status_ == TENON_OK; }
  /* TENON_ERROR_EXISTS: the name is of another kind; TENON_ERROR_TOO_LARGE: too many series. */
  tenon_status status() const noexcept { return status_; }

 protected:
  Series(uint32_t kind, std::string_view name, std::string_view help, Labels labels,
         std::initializer_list<double> buckets) noexcept {
    const detail::Services& to = detail::services;
    if (to.metrics == nullptr) return;
    tenon_log_field_t list[TENON_METRICS_LABELS + 1];
    size_t count = 0;
    for (const log::Field& each : labels)
      if (count <= TENON_METRICS_LABELS) list[count++] = each.bytes();
    tenon_metric_t metric{};
    metric.size = sizeof metric;
    metric.kind = kind;
    metric.name = detail::bytes(name);
    metric.help = detail::bytes(help);
    metric.labels = list;
    metric.label_count = count;
    metric.buckets = buckets.size() == 0 ? nullptr : buckets.begin();
    metric.bucket_count = buckets.size();
    status_ = to.metrics->series(to.host, &metric, &number_);
  }
  void put(double value) const noexcept {
    if (status_ == TENON_OK) detail::services.metrics->add(detail::services.host, number_, value);
  }
  void replace(double value) const noexcept {
    if (status_ == TENON_OK) detail::services.metrics->set(detail::services.host, number_, value);
  }

 private:
  tenon_status status_ = TENON_ERROR_UNSUPPORTED;
  uint64_t number_ = 0;
};

/* Only grows; its name ends with "_total" by custom. */
class Counter : public Series {
 public:
  Counter(std::string_view name, std::string_view help, Labels labels = {}) noexcept
      : Series(TENON_METRIC_COUNTER, name, help, labels, {}) {}
  void add(double amount = 1) const noexcept { put(amount); }
};

class Gauge : public Series {
 public:
  Gauge(std::string_view name, std::string_view help, Labels labels = {}) noexcept
      : Series(TENON_METRIC_GAUGE, name, help, labels, {}) {}
  void add(double amount) const noexcept { put(amount); }
  void set(double value) const noexcept { replace(value); }
};

/* `buckets`: 1 to 32 upper bounds, rising. */
class Histogram : public Series {
 public:
  Histogram(std::string_view name, std::string_view help, std::initializer_list<double> buckets,
            Labels labels = {}) noexcept
      : Series(TENON_METRIC_HISTOGRAM, name, help, labels, buckets) {}
  void observe(double value) const noexcept { put(value); }
};

/* Calls `visit(const tenon_metric_value_t&)` for every series of every plugin; it must use no metrics. Not on [main].
 */
template <typename Visit>
tenon_status collect(Visit&& visit) {
  const detail::Services& to = detail::services;
  if (to.metrics == nullptr) return TENON_ERROR_UNSUPPORTED;
  const auto pass_on = [](void* context, const tenon_metric_value_t* value) {
    static_cast<void>(detail::Edge::guard(detail::Edge::log_failure, [&]() -> tenon_status {
      (*static_cast<std::remove_reference_t<Visit>*>(context))(*value);
      return TENON_OK;
    }));
  };
  return to.metrics->collect(to.host, pass_on, const_cast<void*>(static_cast<const void*>(&visit)));
}

}  // namespace metrics

/* What the operator has set, as JSON (see JsonView); from the constructor of the extension on. */
namespace config {

/* `custom` of config.yaml: an object, "{}" when nothing is set. */
inline std::string own() {
  const detail::Services& to = detail::services;
  std::string json;
  const auto copy = [](void* context, tenon_bytes_t bytes) {
    static_cast<void>(detail::Edge::guard(detail::Edge::log_failure, [&]() -> tenon_status {
      static_cast<std::string*>(context)->assign(detail::view(bytes));
      return TENON_OK;
    }));
  };
  if (to.config != nullptr) to.config->own(to.host, copy, &json);
  return json.empty() ? "{}" : json;
}

/* An application that lists this extension, with the settings it gives it. */
struct Consumer {
  std::string application;
  std::string settings;
};
inline std::vector<Consumer> consumers() {
  std::vector<Consumer> list;
  Context{{}, {}, 0}.consumers([&list](std::string_view application, std::string_view settings) {
    list.push_back({std::string(application), std::string(settings)});
  });
  return list;
}

}  // namespace config

/* Requests to other servers, made by the host with its connections and its TLS. Redirects are not followed. */
namespace http_client {

struct Header {
  std::string name;
  std::string value;
};

/* What to ask. Bounds are in ext/http_client.h. */
struct Request {
  std::string url; /* http: or https: */
  std::string method = "GET";
  std::vector<Header> headers;
  std::string body;
  uint32_t deadline_ms = 0; /* for all of it; 0: 30,000 */
};

/* What came, as long as the callback runs. */
class Response {
 public:
  explicit Response(const tenon_http_client_response_t& response) noexcept : response_(&response) {}
  /* Whether an answer came, of whatever status. */
  explicit operator bool() const noexcept { return response_->outcome == TENON_OK; }
  /* TENON_OK, TENON_ERROR_CANCELLED (also: past the deadline), or TENON_ERROR, and then one sentence why. */
  tenon_status outcome() const noexcept { return response_->outcome; }
  std::string_view message() const noexcept { return detail::view(response_->message); }
  int status() const noexcept { return response_->status; }
  std::string_view body() const noexcept { return detail::view(response_->body); }
  /* The first header `name`, in lower case. */
  std::optional<std::string_view> header(std::string_view name) const noexcept {
    for (uint32_t at = 0; at < response_->header_count; ++at)
      if (detail::view(response_->headers[at].key) == name) return detail::view(response_->headers[at].value);
    return std::nullopt;
  }
  /* Calls `visit(name, value)` for every header. */
  template <typename Visit>
  void headers(Visit&& visit) const {
    for (uint32_t at = 0; at < response_->header_count; ++at)
      visit(detail::view(response_->headers[at].key), detail::view(response_->headers[at].value));
  }

 private:
  const tenon_http_client_response_t* response_;
};

/* A request under way. */
class Call {
 public:
  Call(tenon_status status, uint64_t number) noexcept : status_(status), number_(number) {}
  /* False: it was not sent, see status(): TENON_ERROR_ARGUMENT, TENON_ERROR_TOO_LARGE … */
  explicit operator bool() const noexcept { return status_ == TENON_OK; }
  tenon_status status() const noexcept { return status_; }
  /* Give it up: its callback is told. False: it is over. */
  bool cancel() const noexcept {
    const detail::Services& to = detail::services;
    return status_ == TENON_OK && to.http_client->cancel(to.host, number_) == TENON_OK;
  }

 private:
  tenon_status status_;
  uint64_t number_;
};

/* Send it; `done(const Response&)` runs once on a task's thread, if it was sent, and is freed either way. */
template <typename Done>
Call send(const Request& request, Done&& done) {
  struct Holder {
    std::decay_t<Done> done;
  };
  const detail::Services& to = detail::services;
  if (to.http_client == nullptr) return {TENON_ERROR_UNSUPPORTED, 0};
  std::vector<tenon_log_field_t> headers;
  headers.reserve(request.headers.size());
  for (const Header& each : request.headers) headers.push_back({detail::bytes(each.name), detail::bytes(each.value)});
  const tenon_http_client_request_t asked = {
      static_cast<uint32_t>(sizeof asked), request.deadline_ms, detail::bytes(request.method),
      detail::bytes(request.url),          headers.data(),      headers.size(),
      detail::bytes(request.body)};
  auto* const holder = new (std::nothrow) Holder{std::forward<Done>(done)};
  if (holder == nullptr) return {TENON_ERROR_MEMORY, 0};
  const auto run = [](void* context, const tenon_http_client_response_t* response) {
    const std::unique_ptr<Holder> own(static_cast<Holder*>(context));
    static_cast<void>(detail::Edge::guard(detail::Edge::log_failure, [&]() -> tenon_status {
      own->done(Response(*response));
      return TENON_OK;
    }));
  };
  uint64_t number = 0;
  const tenon_status status = to.http_client->send(to.host, &asked, run, holder, &number);
  if (status != TENON_OK) delete holder;
  return {status, number};
}

/* What came of fetch(). */
struct Fetched {
  tenon_status outcome = TENON_ERROR; /* as Response::outcome, or why it was not sent */
  std::string message;
  int status = 0;
  std::vector<Header> headers;
  std::string body;
  explicit operator bool() const noexcept { return outcome == TENON_OK; }
};

/*
 * Send it and wait for what comes, at most for its deadline. For handlers that run in the pool: an inline one would
 * stop the host, a task or ready() would wait for a thread that may be its own.
 */
inline Fetched fetch(const Request& request) {
  struct Wait {
    std::mutex mutex;
    std::condition_variable came;
    bool over = false;
    Fetched fetched;
  };
  const std::shared_ptr<Wait> wait(new Wait);
  const Call call = send(request, [wait](const Response& response) {
    Fetched fetched;
    fetched.outcome = response.outcome();
    fetched.message = response.message();
    fetched.status = response.status();
    fetched.body = response.body();
    response.headers([&fetched](std::string_view name, std::string_view value) {
      fetched.headers.push_back({std::string(name), std::string(value)});
    });
    const std::lock_guard<std::mutex> lock(wait->mutex);
    wait->fetched = std::move(fetched);
    wait->over = true;
    wait->came.notify_all();
  });
  std::unique_lock<std::mutex> lock(wait->mutex);
  if (!call) {
    wait->fetched.outcome = call.status();
    wait->fetched.message = "the request was not sent";
    return std::move(wait->fetched);
  }
  constexpr uint32_t grace_ms = 1000;
  const uint32_t deadline_ms = request.deadline_ms == 0 ? 30000 : request.deadline_ms;
  if (!wait->came.wait_for(lock, std::chrono::milliseconds(deadline_ms + grace_ms), [&] { return wait->over; })) {
    lock.unlock();
    call.cancel();
    Fetched late;
    late.outcome = TENON_ERROR_CANCELLED;
    late.message = "no answer came in time";
    return late;
  }
  return std::move(wait->fetched);
}

}  // namespace http_client

/* How other plugins extend this one. */
namespace hooks {

/* What came out of a chain. */
struct Output {
  tenon_status status; /* TENON_ERROR_AGAIN: an extension that is required does not run */
  std::string bytes;   /* the input itself when nobody has a hook of it */
  std::string message; /* one sentence when a hook failed */
  explicit operator bool() const noexcept { return status == TENON_OK; }
};

/* Run the chain `name` of `version` in the order in which the application lists extensions. In handlers, tasks and
 * on_event. */
inline Output run(std::string_view name, uint32_t version, std::string_view input) {
  Output out{TENON_ERROR_UNSUPPORTED, {}, {}};
  const detail::Services& to = detail::services;
  if (to.hooks == nullptr) return out;
  const tenon_hook_output_t taken = {
      static_cast<uint32_t>(sizeof taken), &out,
      [](const tenon_hook_output_t* output, tenon_bytes_t bytes) {
        return detail::Edge::guard(detail::Edge::log_failure, [&]() -> tenon_status {
          static_cast<Output*>(output->data)->bytes.append(detail::view(bytes));
          return TENON_OK;
        });
      },
      [](const tenon_hook_output_t* output, tenon_bytes_t message) {
        static_cast<void>(detail::Edge::guard(detail::Edge::log_failure, [&]() -> tenon_status {
          static_cast<Output*>(output->data)->message.assign(detail::view(message));
          return TENON_OK;
        }));
      }};
  out.status = to.hooks->run(to.host, detail::bytes(name), version, detail::bytes(input), &taken);
  return out;
}

}  // namespace hooks

/* Forget every decision that was kept of this extension's providers: a password was changed, a token revoked. */
inline void forget_decisions() noexcept {
  const detail::Services& to = detail::services;
  if (to.auth != nullptr) to.auth->forget_decisions(to.host);
}

namespace detail {

/* What `fill(buffer, capacity, &size)` writes, in a buffer of `guess` bytes or, when that is too small, as many as it
 * says. */
template <typename Fill>
std::optional<std::string> filled(size_t guess, Fill&& fill) {
  std::string text(guess, '\0');
  for (;;) {
    size_t size = 0;
    const tenon_status status = fill(text.data(), text.size(), &size);
    const bool longer = status == TENON_ERROR_TOO_LARGE && size > text.size();
    if (status != TENON_OK && !longer) return std::nullopt;
    text.resize(size);
    if (status == TENON_OK) return text;
  }
}

}  // namespace detail

/* Hashes of passwords; each call takes some 60 ms of a processor, so not for inline handlers. */
namespace passwords {

/* A hash of `password` (1 to 1,024 bytes) with a salt of its own, at most 160 bytes of text. When there is none,
 * `status` tells why: TENON_ERROR_ARGUMENT for a password outside its bounds, TENON_ERROR_AGAIN when too many wait,
 * TENON_ERROR_MEMORY, TENON_ERROR_UNSUPPORTED without OpenSSL or its scrypt, TENON_ERROR_STATE on an inline route. */
inline std::optional<std::string> hash(std::string_view password, tenon_status& status) {
  const detail::Services& to = detail::services;
  status = TENON_ERROR_UNSUPPORTED;
  if (to.auth == nullptr) return std::nullopt;
  return detail::filled(160, [&](char* buffer, size_t capacity, size_t* size) {
    status = to.auth->hash_password(to.host, detail::bytes(password), buffer, capacity, size);
    return status;
  });
}
inline std::optional<std::string> hash(std::string_view password) {
  tenon_status status;
  return hash(password, status);
}

/* Whether `hash` is of this password; false also when that cannot be said. As long as hash(), whatever the answer.
 * `status` tells why not: TENON_ERROR_DENIED when it is of another one, else see ext/auth.h. */
inline bool verify(std::string_view password, std::string_view hash, tenon_status& status) noexcept {
  const detail::Services& to = detail::services;
  status = to.auth == nullptr ? TENON_ERROR_UNSUPPORTED
                              : to.auth->verify_password(to.host, detail::bytes(password), detail::bytes(hash));
  return status == TENON_OK;
}
inline bool verify(std::string_view password, std::string_view hash) noexcept {
  tenon_status status;
  return verify(password, hash, status);
}

}  // namespace passwords

/* JSON Web Tokens (HS256) with a key of this plugin's that outlives restarts. */
namespace tokens {

/* A token of `claims`, a JSON object; the host sets iss, iat and exp (now + `lifetime_s`, 1 to 31,536,000). */
inline std::optional<std::string> sign(std::string_view claims, uint32_t lifetime_s) {
  const detail::Services& to = detail::services;
  if (to.auth == nullptr) return std::nullopt;
  return detail::filled(512 + claims.size() * 2, [&](char* buffer, size_t capacity, size_t* size) {
    return to.auth->sign_token(to.host, detail::bytes(claims), lifetime_s, buffer, capacity, size);
  });
}

/* The claims of a token that this plugin has signed and that has not expired; nothing for any other. */
inline std::optional<std::string> verify(std::string_view token) {
  const detail::Services& to = detail::services;
  if (to.auth == nullptr) return std::nullopt;
  return detail::filled(token.size(), [&](char* buffer, size_t capacity, size_t* size) {
    return to.auth->verify_token(to.host, detail::bytes(token), buffer, capacity, size);
  });
}

}  // namespace tokens

/* `size` random bytes fit for keys; nothing where there are none. */
inline std::optional<std::string> random_bytes(size_t size) {
  const detail::Services& to = detail::services;
  std::string text(size, '\0');
  if (to.auth == nullptr || to.auth->random(to.host, text.data(), size) != TENON_OK) return std::nullopt;
  return text;
}

}  // namespace tenon

#endif
