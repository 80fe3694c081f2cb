#ifndef TENON_CORE_FILTER_H
#define TENON_CORE_FILTER_H

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "definition.h"
#include "tenon/record.h"

namespace tenon::core {

/*
 * A condition on the fields of a record. As JSON:
 *   {"and":[…]}  {"or":[…]}  {"not":…}  {"field":"state","op":"eq","value":"open"}
 * op: eq ne lt le gt ge (null sorts first and equals null only), in nin (value is a list), contains starts ends (text,
 * case matters; contains also an item of a list), like (text with "*" for anything), null (value true or false).
 * `field` may lead into an object, "address.city"; such a value is compared as it stands in the JSON text.
 */
struct Filter {
  enum class Op : uint8_t { And, Or, Not, Eq, Ne, Lt, Le, Gt, Ge, In, NotIn, Contains, Starts, Ends, Like, Null };
  static constexpr size_t kConditions = 256;
  static constexpr size_t kDepth = 16;

  // An operand, made to fit the field's type once, when the filter is read.
  struct Operand {
    uint32_t kind = TENON_VALUE_NULL;  // TENON_VALUE_…
    int64_t integer = 0;
    double number = 0;
    std::string text;  // without escapes
  };

  Op op = Op::And;
  std::vector<Filter> parts;  // And, Or, Not
  uint32_t field = 0;
  std::vector<std::string> path;  // below the field, into objects
  std::vector<Operand> operands;  // one; any number with In and NotIn
};

// Nothing and `problem`: unknown field or op, a value that does not fit, too many conditions.
std::optional<Filter> read_filter(const Definition& definition, std::string_view json, TableProblem& problem);

// Whether the record meets it; an And of nothing is always met.
bool matches(const Filter& filter, std::string_view record);

// The part of the filter that an index (or the primary key) can answer: the conditions on `field` that every match
// meets.
struct Range {
  bool bounded = false;
  bool equal = false;  // exactly one value
  tenon_value_t lower = {};
  tenon_value_t upper = {};
  bool lower_excluded = false;
  bool upper_excluded = false;
  std::string_view prefix;
};
Range range_of(const Filter& filter, uint32_t field);

}  // namespace tenon::core

#endif
