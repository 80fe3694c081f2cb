/*
 * The services of the host of <tenon/testing.hpp>, which includes this. Nothing happens by itself: tasks run when a
 * test says so, by a clock of its own; what is published is kept for the test to look at; requests to other servers are
 * answered by the test; hashes and tokens are none that keep anybody out.
 */
#ifndef TENON_TESTING_SERVICES_HPP
#define TENON_TESTING_SERVICES_HPP

#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
#include "ext/tasks.h"

namespace tenon::testing {

struct Header {
  std::string name;
  std::string value;
};

/* Who a request is from. */
struct Identity {
  std::string subject;
  std::vector<std::string> roles;
  std::string name;
  std::string scheme;
  std::string extension;
  std::string claims;
};

/* An event that the plugin published, a span of its (topic "tenon.span"), or one that it is given. */
struct Event {
  std::string topic;
  std::string message;
  std::map<std::string, std::string> fields;
  std::string source; /* id of a plugin; empty: the host */
  int level = 0;
  int status = 0;
  uint64_t duration_us = 0;
};

/* One series of the plugin's. */
struct Metric {
  uint32_t kind = 0;  /* TENON_METRIC_… */
  double value = 0;   /* of a histogram the sum */
  uint64_t count = 0; /* of a histogram: observations */
};

/* A request that the plugin sent to another server, and what the test answers. */
struct Outgoing {
  std::string method;
  std::string url;
  std::vector<Header> headers;
  std::string body;
};
struct Incoming {
  int status = 200; /* 0: no answer comes */
  std::string body;
  std::vector<Header> headers;
  std::string message; /* why none comes */
};

/* One record that the plugin logged. */
struct Record {
  int level; /* TENON_LOG_… */
  std::string message;
  std::map<std::string, std::string> fields;
};

/* What the operator has set. */
struct Setup {
  std::string config = "{}";                    /* `custom` of config.yaml, as JSON */
  std::map<std::string, std::string> consumers; /* applications that list this extension, with their settings */
};

namespace detail {

inline std::string text(tenon_bytes_t bytes) {
  return bytes.size == 0 ? std::string() : std::string(bytes.data, bytes.size);
}
inline tenon_bytes_t bytes(const std::string& text) { return {text.data(), text.size()}; }

struct Task {
  tenon_task_fn work;
  tenon_task_end_fn end;
  void* context;
  uint64_t due_ms;
  uint64_t period_ms; /* 0: once */
  bool running = false;
  bool cancelled = false;
};

/* What outlives a generation. */
struct World {
  std::mutex mutex;
  std::vector<Record> log;
  std::map<std::string, std::string> kept;
  Setup setup;
  std::vector<Event> events;
  std::map<std::string, Metric> metrics; /* by name and labels */
  std::vector<std::string> series;       /* their keys, by number less 1 */
  std::map<std::string, std::string> tokens;
  std::map<std::pair<std::string, uint32_t>, std::function<std::string(const std::string&)>> chains;
  std::function<Incoming(const Outgoing&)> answers;
  uint64_t now_ms = 0;
  unsigned forgotten = 0;
};

/* What ends with a generation. */
struct Life {
  explicit Life(World& of) : world(of) {}
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  /* Take no more, and free what tasks have not come to. */
  void end_tasks() {
    std::map<uint64_t, Task> left;
    {
      const std::lock_guard<std::mutex> lock(world.mutex);
      serving = false;
      left.swap(tasks);
    }
    for (const auto& [number, task] : left)
      if (task.end != nullptr) task.end(task.context);
  }

  /* Run what is due up to `until_ms` of the test's clock, in that order; how many runs there were. */
  size_t run_tasks(uint64_t until_ms) {
    size_t runs = 0;
    for (;; ++runs) {
      std::unique_lock<std::mutex> lock(world.mutex);
      auto next = tasks.end();
      for (auto at = tasks.begin(); at != tasks.end(); ++at)
        if (at->second.due_ms <= until_ms && (next == tasks.end() || at->second.due_ms < next->second.due_ms))
          next = at;
      if (next == tasks.end()) {
        if (world.now_ms < until_ms) world.now_ms = until_ms;
        return runs;
      }
      Task& task = next->second; /* stays where it is while it runs: only this function removes one that does */
      const uint64_t number = next->first;
      if (world.now_ms < task.due_ms) world.now_ms = task.due_ms;
      task.running = true;
      lock.unlock();
      task.work(task.context, number);
      lock.lock();
      task.running = false;
      if (task.period_ms != 0 && !task.cancelled) {
        task.due_ms += task.period_ms;
        continue;
      }
      const Task over = task;
      tasks.erase(number);
      lock.unlock();
      if (over.end != nullptr) over.end(over.context);
    }
  }

  bool wants(std::string_view topic) const {
    for (const std::string& each : subscriptions) {
      const bool prefix = !each.empty() && each.back() == '*';
      if (prefix ? topic.substr(0, each.size() - 1) == each.substr(0, each.size() - 1) : topic == each) return true;
    }
    return false;
  }

  World& world;
  const tenon_plugin_descriptor_t* descriptor = nullptr;
  tenon_plugin_t* plugin = nullptr;
  bool serving = false; /* from ready until shutdown */
  uint64_t last_task = 0;
  std::map<uint64_t, Task> tasks;
  std::vector<std::string> subscriptions;
  std::string found; /* the pattern that find_route gave last */
};

inline Life& life_of(const tenon_host* host) { return *static_cast<Life*>(host->data); }
inline World& world_of(const tenon_host* host) { return life_of(host).world; }

inline tenon_status begin(const tenon_host* host, uint64_t delay_ms, uint64_t period_ms, tenon_task_fn work,
                          tenon_task_end_fn end, void* context, uint64_t* number) {
  Life& life = life_of(host);
  const std::lock_guard<std::mutex> lock(life.world.mutex);
  if (!life.serving) return TENON_ERROR_STATE;
  if (work == nullptr || delay_ms > TENON_TASKS_DELAY_MS) return TENON_ERROR_ARGUMENT;
  if (life.tasks.size() >= TENON_TASKS_LIMIT) return TENON_ERROR_TOO_LARGE;
  life.tasks[++life.last_task] = {work, end, context, life.world.now_ms + delay_ms, period_ms};
  if (number != nullptr) *number = life.last_task;
  return TENON_OK;
}

inline const tenon_host_tasks_t& host_tasks() {
  static const tenon_host_tasks_t table = [] {
    tenon_host_tasks_t tasks{};
    tasks.size = sizeof tasks;
    tasks.submit = [](const tenon_host* host, tenon_task_fn work, tenon_task_end_fn end, void* context,
                      uint64_t* task) { return begin(host, 0, 0, work, end, context, task); };
    tasks.once = [](const tenon_host* host, uint64_t delay_ms, tenon_task_fn work, tenon_task_end_fn end, void* context,
                    uint64_t* task) { return begin(host, delay_ms, 0, work, end, context, task); };
    tasks.every = [](const tenon_host* host, uint64_t period_ms, tenon_task_fn work, tenon_task_end_fn end,
                     void* context, uint64_t* task) -> tenon_status {
      if (period_ms == 0) return TENON_ERROR_ARGUMENT;
      return begin(host, period_ms, period_ms, work, end, context, task);
    };
    tasks.cancel = [](const tenon_host* host, uint64_t number) -> tenon_status {
      Life& life = life_of(host);
      std::unique_lock<std::mutex> lock(life.world.mutex);
      const auto found = life.tasks.find(number);
      if (found == life.tasks.end()) return TENON_ERROR_NOT_FOUND;
      found->second.cancelled = true;
      if (found->second.running) return TENON_OK;
      const Task over = found->second;
      life.tasks.erase(found);
      lock.unlock();
      if (over.end != nullptr) over.end(over.context);
      return TENON_OK;
    };
    tasks.cancelled = [](const tenon_host* host, uint64_t number) {
      Life& life = life_of(host);
      const std::lock_guard<std::mutex> lock(life.world.mutex);
      const auto found = life.tasks.find(number);
      return !life.serving || found == life.tasks.end() || found->second.cancelled;
    };
    return tasks;
  }();
  return table;
}

/* Whether `name` is 1 to 127 bytes of [a-z0-9_.-]. */
inline bool is_topic(std::string_view name) {
  return !name.empty() && name.size() <= 127 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") == std::string_view::npos;
}

inline const tenon_host_events_t& host_events() {
  static const tenon_host_events_t table = [] {
    tenon_host_events_t events{};
    events.size = sizeof events;
    events.publish = [](const tenon_host* host, tenon_bytes_t topic, tenon_bytes_t payload) -> tenon_status {
      Life& life = life_of(host);
      const std::lock_guard<std::mutex> lock(life.world.mutex);
      if (!life.serving) return TENON_ERROR_STATE;
      Event event;
      event.topic = text(topic);
      if (!is_topic(event.topic) || event.topic.rfind("tenon.", 0) == 0) return TENON_ERROR_ARGUMENT;
      if (topic.size + payload.size > TENON_EVENT_LIMIT) return TENON_ERROR_TOO_LARGE;
      event.message = text(payload);
      event.source = life.descriptor->id;
      life.world.events.push_back(std::move(event));
      return TENON_OK;
    };
    events.span = [](const tenon_host* host, const tenon_span_t* span) -> tenon_status {
      Life& life = life_of(host);
      const std::lock_guard<std::mutex> lock(life.world.mutex);
      if (!life.serving) return TENON_ERROR_STATE;
      if (span->name.size == 0 || span->name.size > 255) return TENON_ERROR_ARGUMENT;
      Event event;
      event.topic = "tenon.span";
      event.message = text(span->name);
      event.source = life.descriptor->id;
      event.duration_us = span->duration_us;
      for (size_t at = 0; at < span->field_count; ++at)
        event.fields[text(span->fields[at].key)] = text(span->fields[at].value);
      life.world.events.push_back(std::move(event));
      return TENON_OK;
    };
    events.subscribe = [](const tenon_host* host, tenon_bytes_t pattern) -> tenon_status {
      Life& life = life_of(host);
      if (life.plugin->get_extension(life.plugin, TENON_EVENTS_ID) == nullptr) return TENON_ERROR_UNSUPPORTED;
      const std::lock_guard<std::mutex> lock(life.world.mutex);
      if (!life.serving) return TENON_ERROR_STATE;
      const std::string wanted = text(pattern);
      const bool prefix = !wanted.empty() && wanted.back() == '*';
      if (wanted != "*" && !is_topic(prefix ? wanted.substr(0, wanted.size() - 1) : wanted))
        return TENON_ERROR_ARGUMENT;
      if (life.subscriptions.size() >= 64) return TENON_ERROR_TOO_LARGE;
      life.subscriptions.push_back(wanted);
      return TENON_OK;
    };
    events.unsubscribe = [](const tenon_host* host, tenon_bytes_t pattern) -> tenon_status {
      Life& life = life_of(host);
      const std::lock_guard<std::mutex> lock(life.world.mutex);
      for (auto at = life.subscriptions.begin(); at != life.subscriptions.end(); ++at) {
        if (*at != text(pattern)) continue;
        life.subscriptions.erase(at);
        return TENON_OK;
      }
      return TENON_ERROR_NOT_FOUND;
    };
    events.wanted = [](const tenon_host*, tenon_bytes_t) { return true; };
    return events;
  }();
  return table;
}

/* A series by name and labels: "calls_total{of=everything}". */
inline std::string series_key(const std::string& name, const std::map<std::string, std::string>& labels) {
  std::string key = name;
  for (const auto& [label, value] : labels) {
    key.append(key.size() == name.size() ? "{" : ",").append(label).append("=").append(value);
  }
  return labels.empty() ? key : key + "}";
}

inline const tenon_host_metrics_t& host_metrics() {
  static const tenon_host_metrics_t table = [] {
    tenon_host_metrics_t metrics{};
    metrics.size = sizeof metrics;
    metrics.series = [](const tenon_host* host, const tenon_metric_t* metric, uint64_t* series) -> tenon_status {
      World& world = world_of(host);
      const std::lock_guard<std::mutex> lock(world.mutex);
      const bool kind = metric->kind >= TENON_METRIC_COUNTER && metric->kind <= TENON_METRIC_HISTOGRAM;
      if (!kind || metric->name.size == 0 || metric->name.size > 127 || metric->label_count > TENON_METRICS_LABELS ||
          metric->bucket_count > TENON_METRICS_BUCKETS)
        return TENON_ERROR_ARGUMENT;
      std::map<std::string, std::string> labels;
      for (size_t at = 0; at < metric->label_count; ++at)
        labels[text(metric->labels[at].key)] = text(metric->labels[at].value);
      const std::string name = text(metric->name);
      for (const auto& [other, value] : world.metrics)
        if (other.substr(0, other.find('{')) == name && value.kind != metric->kind) return TENON_ERROR_EXISTS;
      const std::string key = series_key(name, labels);
      for (size_t at = 0; at < world.series.size(); ++at)
        if (world.series[at] == key) return *series = at + 1, TENON_OK;
      if (world.series.size() >= TENON_METRICS_SERIES) return TENON_ERROR_TOO_LARGE;
      world.series.push_back(key);
      world.metrics[key].kind = metric->kind;
      *series = world.series.size();
      return TENON_OK;
    };
    metrics.add = [](const tenon_host* host, uint64_t series, double value) {
      World& world = world_of(host);
      const std::lock_guard<std::mutex> lock(world.mutex);
      if (series == 0 || series > world.series.size() || !(value - value == 0)) return;
      Metric& metric = world.metrics[world.series[series - 1]];
      if (metric.kind == TENON_METRIC_COUNTER && value < 0) return;
      metric.value += value;
      metric.count += 1;
    };
    metrics.set = [](const tenon_host* host, uint64_t series, double value) {
      World& world = world_of(host);
      const std::lock_guard<std::mutex> lock(world.mutex);
      if (series == 0 || series > world.series.size() || !(value - value == 0)) return;
      Metric& metric = world.metrics[world.series[series - 1]];
      if (metric.kind == TENON_METRIC_GAUGE) metric.value = value;
    };
    metrics.collect = [](const tenon_host* host, void (*visit)(void* context, const tenon_metric_value_t* value),
                         void* context) -> tenon_status {
      World& world = world_of(host);
      std::map<std::string, Metric> all;
      {
        const std::lock_guard<std::mutex> lock(world.mutex);
        all = world.metrics;
      }
      for (const auto& [key, metric] : all) {
        const std::string name = key.substr(0, key.find('{'));
        const std::string plugin = life_of(host).descriptor->id;
        tenon_metric_value_t value{};
        value.size = sizeof value;
        value.metric.size = sizeof value.metric;
        value.metric.kind = metric.kind;
        value.metric.name = bytes(name);
        value.plugin = bytes(plugin);
        value.value = metric.value;
        value.count = metric.count;
        visit(context, &value);
      }
      return TENON_OK;
    };
    return metrics;
  }();
  return table;
}

inline const tenon_host_config_t& host_config() {
  static const tenon_host_config_t table = [] {
    tenon_host_config_t config{};
    config.size = sizeof config;
    config.own = [](const tenon_host* host, void (*visit)(void* context, tenon_bytes_t json), void* context) {
      const std::string own = world_of(host).setup.config;
      visit(context, bytes(own));
    };
    config.consumers = [](const tenon_host* host,
                          void (*visit)(void* context, tenon_bytes_t application, tenon_bytes_t settings),
                          void* context) {
      const std::map<std::string, std::string> consumers = world_of(host).setup.consumers;
      for (const auto& [application, settings] : consumers) visit(context, bytes(application), bytes(settings));
    };
    return config;
  }();
  return table;
}

inline const tenon_host_http_client_t& host_http_client() {
  static const tenon_host_http_client_t table = [] {
    tenon_host_http_client_t client{};
    client.size = sizeof client;
    client.send = [](const tenon_host* host, const tenon_http_client_request_t* request, tenon_http_client_done_fn done,
                     void* context, uint64_t* number) -> tenon_status {
      Life& life = life_of(host);
      if (!life.serving) return TENON_ERROR_STATE;
      Outgoing outgoing{text(request->method), text(request->url), {}, text(request->body)};
      const bool known = outgoing.url.rfind("http://", 0) == 0 || outgoing.url.rfind("https://", 0) == 0;
      if (!known || request->header_count > 100 || request->deadline_ms > TENON_HTTP_CLIENT_DEADLINE_MS)
        return TENON_ERROR_ARGUMENT;
      for (size_t at = 0; at < request->header_count; ++at)
        outgoing.headers.push_back({text(request->headers[at].key), text(request->headers[at].value)});
      Incoming incoming{0, {}, {}, "this test answers no requests: see Plugin::on_fetch"};
      if (life.world.answers) incoming = life.world.answers(outgoing);
      if (number != nullptr) *number = 1;
      std::vector<tenon_log_field_t> headers;
      for (const Header& each : incoming.headers) headers.push_back({bytes(each.name), bytes(each.value)});
      tenon_http_client_response_t response{};
      response.size = sizeof response;
      response.outcome = incoming.status == 0 ? TENON_ERROR : TENON_OK;
      response.status = incoming.status;
      response.header_count = static_cast<uint32_t>(headers.size());
      response.headers = headers.data();
      response.body = bytes(incoming.body);
      response.message = bytes(incoming.message);
      done(context, &response);
      return TENON_OK;
    };
    client.cancel = [](const tenon_host*, uint64_t) -> tenon_status { return TENON_ERROR_NOT_FOUND; };
    return client;
  }();
  return table;
}

inline const tenon_host_hooks_t& host_hooks() {
  static const tenon_host_hooks_t table = [] {
    tenon_host_hooks_t hooks{};
    hooks.size = sizeof hooks;
    hooks.run = [](const tenon_host* host, tenon_bytes_t name, uint32_t version, tenon_bytes_t input,
                   const tenon_hook_output_t* output) -> tenon_status {
      World& world = world_of(host);
      const auto found = world.chains.find({text(name), version});
      if (found == world.chains.end()) return output->write(output, input);
      std::string out;
      try {
        out = found->second(text(input));
      } catch (const std::exception& error) {
        const std::string message = error.what();
        output->fail(output, bytes(message));
        return TENON_ERROR;
      }
      return output->write(output, bytes(out));
    };
    return hooks;
  }();
  return table;
}

/* Writes `result` as the host's functions do. */
inline tenon_status give(const std::string& result, void* buffer, size_t capacity, size_t* size) {
  *size = result.size();
  if (result.size() > capacity) return TENON_ERROR_TOO_LARGE;
  if (!result.empty()) std::memcpy(buffer, result.data(), result.size());
  return TENON_OK;
}

inline tenon_status sign(const tenon_host* host, tenon_bytes_t claims, uint32_t lifetime_s, void* buffer,
                         size_t capacity, size_t* size) {
  World& world = world_of(host);
  const std::lock_guard<std::mutex> lock(world.mutex);
  std::string json = text(claims);
  if (json.size() < 2 || json.front() != '{' || json.back() != '}' || json.size() > TENON_AUTH_CLAIMS_LIMIT)
    return TENON_ERROR_ARGUMENT;
  if (lifetime_s == 0 || lifetime_s > 31536000) return TENON_ERROR_ARGUMENT;
  const uint64_t now_s = world.now_ms / 1000;
  json.pop_back();
  if (json != "{") json.push_back(',');
  json += "\"iss\":\"" + std::string(life_of(host).descriptor->id) + "\",\"iat\":" + std::to_string(now_s) +
          ",\"exp\":" + std::to_string(now_s + lifetime_s) + "}";
  const std::string token = "testing." + std::to_string(world.tokens.size() + 1);
  const tenon_status status = give(token, buffer, capacity, size);
  if (status == TENON_OK) world.tokens[token] = std::to_string(now_s + lifetime_s) + " " + json;
  return status;
}

inline tenon_status verify(const tenon_host* host, tenon_bytes_t token, void* buffer, size_t capacity, size_t* size) {
  World& world = world_of(host);
  const std::lock_guard<std::mutex> lock(world.mutex);
  const auto found = world.tokens.find(text(token));
  if (found == world.tokens.end()) return TENON_ERROR_DENIED;
  const size_t space = found->second.find(' ');
  if (world.now_ms / 1000 > std::stoull(found->second.substr(0, space)) + 30) return TENON_ERROR_DENIED;
  return give(found->second.substr(space + 1), buffer, capacity, size);
}

}  // namespace detail
}  // namespace tenon::testing

#endif
