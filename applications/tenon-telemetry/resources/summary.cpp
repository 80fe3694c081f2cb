// GET /tenon-telemetry/summary?minutes=5: what was answered, how fast and how well, and what was logged.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "query.hpp"

static constexpr int64_t minute_ms = 60000;

struct Summary : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    const auto& telemetry = tenon::extension<TelemetryExtension>();
    if (auto refusal = telemetry.refusal(request)) return std::move(*refusal);
    constexpr std::string_view names[] = {"minutes"};
    if (auto refusal = unknown_parameter(request, names)) return std::move(*refusal);
    const auto minutes = number_of(request.query("minutes").value_or("5"));
    if (!minutes || *minutes < 1 || *minutes > 1440)
      return bad_request(request, "minutes has to be a whole number from 1 to 1440");
    const int64_t since = *time_of(std::to_string(*minutes) + "m");

    std::map<std::string, Answered> plugins;
    std::string cause;
    const bool all_requests = each_since("Request", since, cause, [&plugins](const tenon::Record& record) {
      Answered& answered = plugins[record.text("plugin")];
      const double weight = record.number("weight", 1);
      answered.requests += weight;
      answered.failed += record.integer("status") >= 500 ? weight : 0;
      answered.by_minute[record.date("time") / minute_ms] += weight;
      answered.durations.emplace_back(record.integer("durationUs"), weight);
    });
    std::map<int64_t, uint64_t> levels;
    const bool all_logs = each_since("Log", since, cause, [&levels](const tenon::Record& record) {
      if (record.text("topic") == "tenon.log") ++levels[record.integer("level")];
    });

    tenon::Json json;
    json.object().field("since", since).field("complete", all_requests && all_logs);
    if (!cause.empty()) json.field("cause", cause);
    json.key("plugins").array();
    for (auto& [plugin, answered] : plugins) write(json, plugin, answered);
    json.end().key("logs").object();
    for (const auto& [level, count] : levels) json.field(std::to_string(level), count);
    return tenon::json(json.end().field("dropped", telemetry.dropped()));
  }

 private:
  struct Answered {
    double requests = 0;
    double failed = 0;
    std::map<int64_t, double> by_minute;
    std::vector<std::pair<int64_t, double>> durations; /* with their weights */

    /* The duration that `share` of the requests did not exceed; of sorted durations. */
    int64_t percentile(double share) const {
      double seen = 0;
      for (const auto& [duration, weight] : durations) {
        seen += weight;
        if (seen >= share * requests) return duration;
      }
      return durations.empty() ? 0 : durations.back().first;
    }
  };

  /* Calls `take(record)` for the newest records since `since`. False: not for all; `cause` says why when it fails. */
  template <typename Take>
  static bool each_since(std::string_view table, int64_t since, std::string& cause, Take&& take) {
    tenon::Scan scan = tenon::table(table).scan().by("time").from(tenon::Operand::date(since)).reverse();
    size_t count = 0;
    for (const tenon::Record& record : scan) {
      if (++count > most_seen) return false;
      take(record);
    }
    if (scan.problem()) return true;
    cause = cause_of(scan.problem());
    return false;
  }

  static void write(tenon::Json& json, const std::string& plugin, Answered& answered) {
    std::sort(answered.durations.begin(), answered.durations.end());
    json.object().field("plugin", plugin).field("requests", answered.requests);
    json.field("errorRate", answered.failed / answered.requests);
    json.field("p50Us", answered.percentile(0.5)).field("p95Us", answered.percentile(0.95));
    json.key("byMinute").array();
    for (const auto& [minute, requests] : answered.by_minute)
      json.object().field("minute", minute * minute_ms).field("requests", requests).end();
    json.end().end();
  }
};
