// GET /tenon-telemetry/logs, /requests, /spans, /metrics: the newest first.
#include <algorithm>
#include <initializer_list>
#include <vector>

#include "query.hpp"

namespace {

enum class Match { AtLeast, Equal, Contains };

/* A parameter that only one of the lists has: `field` matches its value. */
struct Parameter {
  std::string_view name;
  std::string_view field;
  Match match;
  std::optional<int64_t> (*number)(std::string_view text) = nullptr; /* of AtLeast */
  const char* values = nullptr;                                      /* which there are, of AtLeast */
};

/* What a record is asked for here and not by the table: whoever asks for a rare word in a long log is answered in time.
 */
struct Condition {
  std::string_view field;
  Match match;
  std::string text;
  int64_t number = 0;

  bool holds(const tenon::Record& record) const {
    if (match == Match::AtLeast) return record.integer(field) >= number;
    const std::string value = record.text(field);
    return match == Match::Equal ? value == text : value.find(text) != std::string::npos;
  }
};

/* Before the newest of all records, at first; then behind the last one that was looked at. */
struct Place {
  int64_t time = 999999999999999;
  std::string id;

  /* As `next` has it. */
  static std::optional<Place> read(std::string_view text) {
    const size_t dot = std::min(text.find('.'), text.size());
    const auto time = number_of(text.substr(0, dot));
    if (!time || dot == text.size() || text.size() > 128) return std::nullopt;
    return Place{*time, std::string(text.substr(dot + 1))};
  }
  std::string written() const { return std::to_string(time) + "." + id; }
  /* Of one millisecond there may be more records than fit an answer. */
  bool is_past(int64_t record_time, std::string_view record_id) const { return record_time == time && record_id >= id; }
};

tenon::Response answer(const tenon::Request& request, tenon::Scan scan, const std::vector<Condition>& conditions,
                       size_t limit, Place place) {
  constexpr size_t most_bytes = 4 * 1024 * 1024;
  constexpr uint32_t time_to_answer_ms = 500;
  tenon::Json json;
  json.object().key("records").array();
  size_t seen = 0;
  size_t count = 0;
  int64_t reached = 0;
  bool complete = true;
  for (const tenon::Record& record : scan) {
    const int64_t time = record.date("time");
    std::string id = record.text("id");
    if (place.is_past(time, id)) continue;
    reached = time;
    complete = seen++ < most_seen && request.time_left_ms() > time_to_answer_ms;
    if (!complete) break;
    if (std::all_of(conditions.begin(), conditions.end(), [&](const Condition& each) { return each.holds(record); })) {
      complete = count < limit && json.view().size() < most_bytes;
      if (!complete) break;
      json.raw(record.json());
      ++count;
    }
    place = {time, std::move(id)};
  }
  const std::string cause = cause_of(scan.problem());
  json.end().field("complete", complete && cause.empty());
  if (!complete) json.field("reached", reached);
  if (!complete || !cause.empty()) json.field("next", place.written());
  if (!cause.empty()) json.field("cause", cause);
  return tenon::json(json);
}

tenon::Response newest(const tenon::Request& request, std::string_view table, std::initializer_list<Parameter> own) {
  if (auto refusal = tenon::extension<TelemetryExtension>().refusal(request)) return std::move(*refusal);
  std::vector<std::string_view> names = {"limit", "since", "until", "next", "plugin"};
  for (const Parameter& each : own) names.push_back(each.name);
  if (auto refusal = unknown_parameter(request, names)) return std::move(*refusal);
  const auto limit = number_of(request.query("limit").value_or("100"));
  if (!limit || *limit < 1 || *limit > 1000)
    return bad_request(request, "limit has to be a whole number from 1 to 1000");
  tenon::Scan scan = tenon::table(table).scan().by("time").reverse();
  int64_t until = Place().time;
  for (const std::string_view name : {"since", "until"}) {
    const auto given = request.query(name);
    if (!given) continue;
    const auto time = time_of(*given);
    if (!time)
      return bad_request(request, "since and until are milliseconds since 1970, or how long ago: 90s, 15m, 2h, 7d");
    if (name == "until")
      until = *time;
    else
      scan = std::move(scan).from(tenon::Operand::date(*time));
  }
  Place place;
  if (const auto given = request.query("next")) {
    const auto read = Place::read(*given);
    if (!read) return bad_request(request, "next is what an answer that was not complete has given as next");
    place = *read;
    until = std::min(until, place.time);
  }
  scan = std::move(scan).to(tenon::Operand::date(until));
  std::vector<Condition> conditions;
  if (const auto plugin = request.query("plugin")) conditions.push_back({"plugin", Match::Equal, std::string(*plugin)});
  for (const auto& [name, field, match, number, values] : own) {
    const auto given = request.query(name);
    if (!given) continue;
    const auto value = number == nullptr ? std::nullopt : number(*given);
    if (number != nullptr && !value) return bad_request(request, std::string(name) + values);
    conditions.push_back({field, match, std::string(*given), value.value_or(0)});
  }
  return answer(request, std::move(scan), conditions, static_cast<size_t>(*limit), std::move(place));
}

}  // namespace

struct Logs : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return newest(request, "Log",
                  {{"level", "level", Match::AtLeast, level_of, level_values}, {"text", "message", Match::Contains}});
  }
};

struct Requests : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return newest(request, "Request",
                  {{"status", "status", Match::AtLeast, number_of, " is a whole number, such as 500"},
                   {"text", "request", Match::Contains}});
  }
};

struct Spans : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return newest(request, "Span",
                  {{"name", "name", Match::Equal},
                   {"longerUs", "durationUs", Match::AtLeast, number_of, " is a whole number of microseconds"}});
  }
};

struct Metrics : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return newest(request, "Metric", {{"name", "name", Match::Equal}});
  }
};
