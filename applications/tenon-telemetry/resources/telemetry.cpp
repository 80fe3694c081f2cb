#include "telemetry.hpp"

#include "problem.hpp"

#include <algorithm>
#include <chrono>

namespace {

int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

/* Plugins say when a span began and how long it took: a table takes years from 1970 to 9999, and 53 bits. */
int64_t date_of(int64_t time_us) { return std::clamp<int64_t>(time_us / 1000, 0, 253402300799999); }
uint64_t whole_of(uint64_t number) { return std::min(number, (uint64_t{1} << 53) - 1); }

void add_field(tenon::Json& json, std::string_view key, std::string_view value) {
  json.object().field("key", key).field("value", value).end();
}

/* What all records have. The host gives each an id by which they sort as they came. */
tenon::Json record_of(const tenon::Event& event, int64_t keep_ms) {
  tenon::Json json;
  json.object().field("time", date_of(event.time_us())).field("expires", now_ms() + keep_ms);
  json.field("plugin", event.source()).field("generation", event.generation());
  json.key("fields").array();
  event.fields([&json](std::string_view key, std::string_view value) { add_field(json, key, value); });
  json.end();
  return json;
}

const char* kind_of(uint32_t kind) {
  if (kind == TENON_METRIC_COUNTER) return "counter";
  return kind == TENON_METRIC_GAUGE ? "gauge" : "histogram";
}

tenon::Json record_of(const tenon_metric_value_t& value, int64_t now, int64_t keep_ms) {
  const tenon_metric_t& metric = value.metric;
  tenon::Json json;
  json.object().field("time", now).field("expires", now + keep_ms);
  json.field("plugin", tenon::detail::view(value.plugin)).field("name", tenon::detail::view(metric.name));
  json.field("kind", kind_of(metric.kind)).field("value", value.value);
  json.key("labels").array();
  for (size_t at = 0; at < metric.label_count; ++at)
    add_field(json, tenon::detail::view(metric.labels[at].key), tenon::detail::view(metric.labels[at].value));
  json.end();
  if (metric.kind != TENON_METRIC_HISTOGRAM) return json;
  json.field("count", whole_of(value.count)).key("buckets").array();
  for (size_t at = 0; at < metric.bucket_count; ++at)
    json.object().field("upTo", metric.buckets[at]).field("count", whole_of(value.bucket_counts[at])).end();
  json.end();
  return json;
}

}  // namespace

tenon::Result TelemetryExtension::initialize() {
  const tenon::Result own = read_own(tenon::config::own());
  if (own.refused()) return own;
  for (const auto& [application, settings] : tenon::config::consumers()) {
    const tenon::Result read = set_policy(application, settings);
    /* Whoever has wrong settings must not keep the telemetry of all others from being there. */
    if (read.refused()) tenon::log::warn(read.reason(), {{"application", application}});
  }
  return tenon::ok();
}

tenon::Result TelemetryExtension::read_own(const std::string& custom) {
  const auto json = tenon::JsonView::parse(custom);
  if (!json) return tenon::refuse("custom is no JSON");
  int64_t keep_hours = 72;
  metrics_ms_ = 10000;
  std::string mistake;
  json->each_member([&](std::string_view key, tenon::JsonView value) {
    if (key == "keepHours") {
      keep_hours = value.integer().value_or(0);
      if (keep_hours < 1 || keep_hours > 8760) mistake = "keepHours has to be a whole number from 1 to 8760";
    } else if (key == "metricsMs") {
      metrics_ms_ = value.integer().value_or(-1);
      if (metrics_ms_ < 0 || metrics_ms_ > 3600000) mistake = "metricsMs has to be a whole number from 0 to 3600000";
    } else if (key == "readers") {
      if (!value.is_array()) mistake = "readers has to be a list of roles";
      value.each([this](tenon::JsonView role) { readers_.push_back(role.text().value_or("")); });
    } else if (!everybody_.set(key, value, mistake)) {
      mistake = "there is no " + std::string(key) + " in the custom config of telemetry";
    }
  });
  keep_ms_ = keep_hours * 3600000;
  return mistake.empty() ? tenon::ok() : tenon::refuse(mistake);
}

tenon::Result TelemetryExtension::set_policy(std::string_view application, std::string_view settings) {
  const auto json = tenon::JsonView::parse(settings);
  if (!json) return tenon::refuse("settings are no JSON");
  Policy policy = everybody_;
  std::string mistake;
  json->each_member([&](std::string_view key, tenon::JsonView value) {
    if (!policy.set(key, value, mistake)) mistake = "there is no " + std::string(key) + " in settings of telemetry";
  });
  if (!mistake.empty()) return tenon::refuse(mistake);
  const std::lock_guard<std::mutex> lock(mutex_);
  policies_.insert_or_assign(std::string(application), policy);
  return tenon::ok();
}

tenon::ConfigResult TelemetryExtension::config_changed(std::string_view application, std::string_view settings) {
  if (application.empty()) return tenon::reload();
  if (!settings.empty()) return set_policy(application, settings);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto gone = policies_.find(application);
  if (gone != policies_.end()) policies_.erase(gone);
  return tenon::ok();
}

Policy TelemetryExtension::policy_of(std::string_view application) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto own = policies_.find(application);
  return own == policies_.end() ? everybody_ : own->second;
}

tenon::Result TelemetryExtension::ready(const tenon::Context& context) {
  logs_ = context.table("Log");
  requests_ = context.table("Request");
  spans_ = context.table("Span");
  metrics_ = context.table("Metric");
  for (const char* topic : {"tenon.log", "tenon.request", "tenon.span", "tenon.plugin"})
    if (!context.subscribe(topic)) return tenon::refuse("the host gives no events of " + std::string(topic));
  if (metrics_ms_ > 0 && !tenon::tasks::every(static_cast<uint64_t>(metrics_ms_), [this] { collect(); }))
    return tenon::refuse("the host gives no timer to collect metrics by");
  return tenon::ok();
}

void TelemetryExtension::on_event(const tenon::Events& batch) {
  if (batch.dropped() > 0) {
    dropped_ += batch.dropped();
    dropped_total_.add(static_cast<double>(batch.dropped()));
    tenon::log::warn("events came faster than they were kept", {{"dropped", batch.dropped()}});
  }
  tenon::Batch writes;
  size_t count = 0;
  for (const tenon::Event& event : batch) count += add(event, writes) ? 1 : 0;
  commit(writes, count);
}

bool TelemetryExtension::add(const tenon::Event& event, tenon::Batch& writes) {
  const Policy policy = policy_of(event.source());
  if (event.topic() == "tenon.request") return add_request(event, policy, writes);
  if (event.topic() == "tenon.span") return add_span(event, policy, writes);
  return add_log(event, policy, writes);
}

bool TelemetryExtension::add_log(const tenon::Event& event, const Policy& policy, tenon::Batch& writes) {
  const bool logged = event.topic() == "tenon.log";
  if (logged && event.level() < policy.level) return false;
  tenon::Json record = record_of(event, keep_ms_);
  record.field("topic", event.topic()).field("level", logged ? event.level() : TENON_LOG_INFO);
  writes.put(logs_, record.field("message", event.message()));
  return true;
}

bool TelemetryExtension::add_request(const tenon::Event& event, const Policy& policy, tenon::Batch& writes) {
  const double share = event.status() >= 500 ? 1 : policy.requests;
  if (!chosen(share)) return false;
  tenon::Json record = record_of(event, keep_ms_);
  record.field("request", event.message()).field("status", event.status());
  writes.put(requests_, record.field("durationUs", whole_of(event.duration_us())).field("weight", 1 / share));
  return true;
}

bool TelemetryExtension::add_span(const tenon::Event& event, const Policy& policy, tenon::Batch& writes) {
  if (!chosen(policy.spans)) return false;
  tenon::Json record = record_of(event, keep_ms_);
  writes.put(spans_, record.field("name", event.message()).field("durationUs", whole_of(event.duration_us())));
  return true;
}

bool TelemetryExtension::chosen(double share) {
  return share >= 1 || std::uniform_real_distribution<double>(0, 1)(random_) < share;
}

void TelemetryExtension::collect() {
  const int64_t now = now_ms();
  const int64_t keep_ms = keep_ms_ / 8;
  tenon::Batch writes;
  size_t count = 0;
  tenon::metrics::collect([&](const tenon_metric_value_t& value) {
    writes.put(metrics_, record_of(value, now, keep_ms));
    ++count;
  });
  commit(writes, count);
}

/* All of them come true together or not at all. What is lost is counted, and told once until a write succeeds again. */
void TelemetryExtension::commit(tenon::Batch& writes, size_t count) {
  if (count == 0) return;
  const tenon::Written written = writes.commit();
  (written ? kept_total_ : lost_total_).add(static_cast<double>(count));
  if (!failing_.exchange(!written) && !written)
    tenon::log::error("records were lost",
                      {{"count", count}, {"status", written.status()}, {"why", written.message()}});
}

std::optional<tenon::Response> TelemetryExtension::refusal(const tenon::Request& request) const {
  if (request.is_operator()) return std::nullopt;
  const auto identity = request.identity();
  for (const std::string& role : readers_)
    if (role == "anyone" || (identity && identity->has_role(role))) return std::nullopt;
  const std::string_view why = "telemetry is for the operator, and for the roles among its readers";
  if (identity) return problem(request, {403, "Forbidden", "forbidden", "Who asks may not do this"}, why);
  return problem(request, {401, "Unauthenticated", "unauthenticated", "It is not known who asks"}, why)
      .header("www-authenticate", "Bearer realm=\"tenon\"");
}
