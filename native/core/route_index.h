#ifndef TENON_CORE_ROUTE_INDEX_H
#define TENON_CORE_ROUTE_INDEX_H

#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "route.h"

namespace tenon::core {

// Which plugin serves a path now, for plugins that ask. Requests find their way in another router, which is the host's.
class RouteIndex {
 public:
  struct Entry {
    tenon_http_method method;
    std::string_view pattern;  // with the prefix; lives as long as the index
  };

  // What `plugin` serves from now on; its id lives as long as the index. [front]
  void replace(std::string_view plugin, const std::vector<Entry>& entries);
  // A literal segment goes before a parameter, that before the rest. HEAD is served by GET. [any]
  bool find(tenon_http_method method, std::string_view path, std::string_view& plugin, std::string_view& pattern) const;

 private:
  struct Served {
    tenon_http_method method;
    std::string_view pattern;
    std::vector<Segment> segments;
  };
  using Routes = std::vector<Served>;

  mutable std::mutex mutex_;
  std::map<std::string_view, std::shared_ptr<const Routes>> plugins_;
};

}  // namespace tenon::core

#endif
