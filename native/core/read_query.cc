#include "read_query.h"

#include <charconv>
#include <string>

#include "json.h"
#include "record.h"

namespace tenon::core {

namespace {

class QueryReader {
 public:
  QueryReader(const Definition& definition, std::string_view json, TableProblem& problem)
      : definition_(definition), json_(json), problem_(problem) {}

  std::optional<Query> read() {
    Query query;
    std::string_view name;
    bool escaped = false;
    if (!json_.begin_object()) return wrong("a query is an object");
    while (json_.member(name, escaped)) {
      if (!read_member(name, query)) return wrong("the query cannot be read");
    }
    if (json_.failed() || !json_.end()) return wrong("the query cannot be read");
    return query;
  }

 private:
  // The first problem is the one that is told.
  std::nullopt_t wrong(std::string_view otherwise) {
    if (problem_.message.empty()) problem_.message = json_.failed() ? json_.error() : std::string(otherwise);
    return std::nullopt;
  }

  bool fail(std::string field, std::string message) {
    problem_ = {std::move(field), std::move(message)};
    return false;
  }

  bool read_member(std::string_view name, Query& query) {
    if (name == "filter") return read_condition(query);
    if (name == "order") return read_order(query);
    if (name == "fields") return read_fields(query);
    if (name == "limit") {
      if (!whole(name, query.limit)) return false;
      return (query.limit >= 1 && query.limit <= kQueryLimit) ||
             fail("limit", "a limit is 1 to " + std::to_string(kQueryLimit));
    }
    if (name == "offset") return whole(name, query.offset);
    if (name == "after") return text(query.after);
    if (name == "backwards") return json_.boolean(query.backwards);
    if (name == "lines") return json_.boolean(query.lines);
    if (name == "cursors") return json_.boolean(query.cursors);
    return fail(std::string(name), "a query has no such member");
  }

  bool read_condition(Query& query) {
    std::string_view raw;
    if (!json_.skip(raw)) return false;
    std::optional<Filter> filter = read_filter(definition_, raw, problem_);
    if (filter) query.filter = std::move(*filter);
    return filter.has_value();
  }

  bool read_order(Query& query) {
    if (!json_.begin_list()) return false;
    while (json_.item()) {
      Query::Order order;
      bool named = false;
      std::string_view name;
      bool escaped = false;
      if (!json_.begin_object()) return false;
      while (json_.member(name, escaped)) {
        if (name == "field") {
          if (!field(order.field)) return false;
          named = true;
        } else if (name != "descending" || !json_.boolean(order.descending)) {
          return json_.failed() ? false : fail("order", "it has field and descending, nothing else");
        }
      }
      if (json_.failed()) return false;
      if (!named) return fail("order", "each needs a field");
      if (query.order.size() == kQueryOrders) return fail("order", "more fields than a query may sort by");
      query.order.push_back(order);
    }
    return !json_.failed();
  }

  bool read_fields(Query& query) {
    if (!json_.begin_list()) return false;
    while (json_.item()) {
      uint32_t number = 0;
      if (!field(number)) return false;
      if (query.fields.size() == Definition::kFields) return fail("fields", "more fields than a table may have");
      query.fields.push_back(number);
    }
    return !json_.failed();
  }

  bool field(uint32_t& number) {
    std::string name;
    if (!text(name)) return false;
    const std::optional<uint32_t> found = definition_.number_of(name);
    if (!found) return fail(name, definition_.name + " has no such field");
    number = *found;
    return true;
  }

  bool text(std::string& value) {
    std::string_view raw;
    bool escaped = false;
    if (!json_.text(raw, escaped)) return false;
    value = escaped ? unescaped(raw) : std::string(raw);
    return true;
  }

  bool whole(std::string_view name, uint64_t& value) {
    std::string_view digits;
    if (!json_.number(digits)) return false;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return (error == std::errc() && end == digits.data() + digits.size()) ||
           fail(std::string(name), "a whole number is needed");
  }

  const Definition& definition_;
  JsonReader json_;
  TableProblem& problem_;
};

}  // namespace

std::optional<Query> read_query(const Definition& definition, std::string_view json, TableProblem& problem) {
  problem = {};
  if (json.size() > kQueryBytes) {
    problem.message = "the query has more than " + std::to_string(kQueryBytes) + " bytes";
    return std::nullopt;
  }
  return QueryReader(definition, json, problem).read();
}

}  // namespace tenon::core
