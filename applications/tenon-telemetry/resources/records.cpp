// GET /tenon-telemetry/logs, /requests, /spans, /metrics: the newest first.
#include <initializer_list>

#include "query.hpp"

namespace {

/* A parameter that only one of the lists has: `field` `op` its value. */
struct Parameter {
  std::string_view name;
  std::string_view field;
  std::string_view op;
  std::optional<int64_t> (*number)(std::string_view text); /* nullptr: the value is text */
};

/* Whoever asks for a rare word in a long log gets what was found in time. */
tenon::Response answer(const tenon::Request& request, tenon::Scan scan, size_t limit) {
  constexpr size_t most_bytes = 4 * 1024 * 1024;
  constexpr uint32_t time_to_answer_ms = 500;
  tenon::Json json;
  json.object().key("records").array();
  size_t count = 0;
  bool complete = true;
  for (const tenon::Record& record : scan) {
    complete = count < limit && json.view().size() < most_bytes && request.time_left_ms() > time_to_answer_ms;
    if (!complete) break;
    json.raw(record.json());
    ++count;
  }
  if (!scan.problem()) return bad_request(scan.problem().message());
  return tenon::json(json.end().field("complete", complete));
}

tenon::Response newest(const tenon::Request& request, std::string_view table, std::initializer_list<Parameter> own) {
  if (auto refusal = tenon::extension<TelemetryExtension>().refusal(request)) return std::move(*refusal);
  const auto limit = number_of(request.query("limit").value_or("100"));
  if (!limit || *limit < 1 || *limit > 1000) return bad_request("limit has to be a whole number from 1 to 1000");
  tenon::Scan scan = tenon::table(table).scan().by("time").reverse();
  for (const std::string_view name : {"since", "until"}) {
    const auto given = request.query(name);
    if (!given) continue;
    const auto time = time_of(*given);
    if (!time) return bad_request("since and until are milliseconds since 1970, or how long ago: 90s, 15m, 2h, 7d");
    const tenon::Operand bound = tenon::Operand::date(*time);
    scan = name == "since" ? std::move(scan).from(bound) : std::move(scan).to(bound);
  }
  if (const auto plugin = request.query("plugin")) scan = std::move(scan).where("plugin", *plugin);
  for (const auto& [name, field, op, number] : own) {
    const auto given = request.query(name);
    if (!given) continue;
    const auto value = number == nullptr ? std::nullopt : number(*given);
    if (number != nullptr && !value) return bad_request(std::string(name) + " is not what it can be");
    scan = std::move(scan).where(field, op, value ? tenon::Operand(*value) : tenon::Operand(*given));
  }
  const auto count = static_cast<size_t>(*limit);
  return answer(request, std::move(scan).limit(count + 1), count);
}

}  // namespace

struct Logs : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return newest(request, "Log", {{"level", "level", "ge", level_of}, {"text", "message", "contains", nullptr}});
  }
};

struct Requests : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return newest(request, "Request",
                  {{"status", "status", "ge", number_of}, {"text", "request", "contains", nullptr}});
  }
};

struct Spans : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return newest(request, "Span", {{"name", "name", "eq", nullptr}, {"longerUs", "durationUs", "ge", number_of}});
  }
};

struct Metrics : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return newest(request, "Metric", {{"name", "name", "eq", nullptr}});
  }
};
