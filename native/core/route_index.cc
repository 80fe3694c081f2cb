#include "route_index.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace tenon::core {

namespace {

// The kind of each segment that `path` was matched with: the smaller goes first.
using Rank = std::vector<Segment::Kind>;

std::optional<Rank> match(const std::vector<Segment>& segments, const std::vector<std::string>& path) {
  Rank rank;
  for (size_t index = 0; index < segments.size(); index++) {
    const Segment& segment = segments[index];
    if (index >= path.size()) return std::nullopt;
    rank.push_back(segment.kind);
    if (segment.kind == Segment::Kind::Rest) return rank;
    if (segment.kind == Segment::Kind::Literal ? segment.text != path[index] : path[index].empty()) return std::nullopt;
  }
  if (path.size() != segments.size()) return std::nullopt;
  return rank;
}

std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> segments;
  if (path == "/") return segments;
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    segments.push_back(percent_decoded(path.substr(begin, end - begin), false));
    begin = end + 1;
  }
  return segments;
}

}  // namespace

void RouteIndex::replace(std::string_view plugin, const std::vector<Entry>& entries) {
  auto routes = std::make_shared<Routes>();
  for (const Entry& entry : entries) {
    std::optional<Route> route = gate_route(entry.method, entry.pattern, 0);
    if (route) routes->push_back({entry.method, entry.pattern, std::move(route->segments)});
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  plugins_[plugin] = std::move(routes);
}

bool RouteIndex::find(tenon_http_method method, std::string_view path, std::string_view& plugin,
                      std::string_view& pattern) const {
  if (path.empty() || path.front() != '/') return false;
  if (method == TENON_HTTP_HEAD) method = TENON_HTTP_GET;
  const std::vector<std::string> segments = segments_of(path);
  std::map<std::string_view, std::shared_ptr<const Routes>> plugins;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    plugins = plugins_;
  }
  std::optional<Rank> best;
  for (const auto& [id, routes] : plugins) {
    for (const Served& served : *routes) {
      if (served.method != method) continue;
      std::optional<Rank> rank = match(served.segments, segments);
      if (!rank || (best && !(*rank < *best))) continue;
      best = std::move(rank);
      plugin = id;
      pattern = served.pattern;
    }
  }
  return best.has_value();
}

}  // namespace tenon::core
