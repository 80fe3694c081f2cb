#include "filter.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "byte_buffer.h"
#include "key.h"
#include "record.h"

namespace tenon::core {

namespace {

using Op = Filter::Op;
using Operand = Filter::Operand;
using Kind = FieldType::Kind;
using Next = JsonReader::Kind;

constexpr const char* kOps[] = {"and", "or", "not", "eq",       "ne",     "lt",   "le",   "gt",
                                "ge",  "in", "nin", "contains", "starts", "ends", "like", "null"};
constexpr size_t kOperands = 1024;  // of one list
constexpr size_t kShown = 60;

bool is_text(Kind kind) { return kind == Kind::Id || kind == Kind::String || kind == Kind::Enum; }
bool of_text(Op op) { return op == Op::Contains || op == Op::Starts || op == Op::Ends || op == Op::Like; }

const char* word(Kind kind) {
  static constexpr const char* kWords[] = {"an ID",  "a String", "an Int",  "a Float", "a Boolean",
                                           "a Date", "Any",      "an Enum", "a List",  "an Object"};
  return kWords[static_cast<size_t>(kind)];
}

class FilterReader {
 public:
  FilterReader(const Definition& definition, TableProblem& problem) : definition_(definition), problem_(problem) {}

  bool read(std::string_view json, Filter& filter) {
    JsonReader reader(json);
    std::string_view raw;
    if (!reader.skip(raw) || !reader.end()) {
      return refuse("", "The filter is not JSON: " + reader.error());
    }
    return condition(raw, 1, filter);
  }

 private:
  bool refuse(const std::string& field, const std::string& message) {
    problem_.field = field;
    problem_.message = field.empty() ? message : field + " " + message;
    return false;
  }

  // `json` is right JSON from here on.
  bool condition(std::string_view json, size_t depth, Filter& filter) {
    if (depth > Filter::kDepth) return refuse("", "The filter is nested deeper than 16");
    if (++conditions_ > Filter::kConditions) return refuse("", "The filter has more than 256 conditions");
    JsonReader reader(json);
    std::string_view name;
    std::string_view value;
    std::string_view field;
    std::string_view op;
    std::string_view operand;
    std::string_view group;
    size_t count = 0;
    bool escaped = false;
    if (reader.peek() != Next::Object) return refuse("", "A condition of a filter is an object");
    reader.begin_object();
    for (; reader.member(name, escaped); count++) {
      reader.skip(value);
      if (name == "field") field = value;
      if (name == "op") op = value;
      if (name == "value") operand = value;
      if (name == "and" || name == "or" || name == "not") group = name;
    }
    if (count == 1 && !group.empty()) return parts(group, value, depth, filter);
    if (count == 3 && !field.empty() && !op.empty() && !operand.empty()) return leaf(field, op, operand, filter);
    return refuse(
        "", "A condition of a filter has one of \"and\", \"or\" and \"not\", or else \"field\", \"op\" and \"value\"");
  }

  bool parts(std::string_view name, std::string_view json, size_t depth, Filter& filter) {
    JsonReader reader(json);
    filter.op = name == "and" ? Op::And : name == "or" ? Op::Or : Op::Not;
    if (filter.op == Op::Not) return condition(json, depth + 1, filter.parts.emplace_back());
    if (reader.peek() != Next::List) return refuse("", "\"" + std::string(name) + "\" of a filter is a list");
    reader.begin_list();
    std::string_view part;
    while (reader.item()) {
      reader.skip(part);
      if (!condition(part, depth + 1, filter.parts.emplace_back())) return false;
    }
    return true;
  }

  static bool text_of(std::string_view json, std::string& text) {
    JsonReader reader(json);
    std::string_view raw;
    bool escaped = false;
    if (reader.peek() != Next::Text || !reader.text(raw, escaped)) return false;
    text = escaped ? unescaped(raw) : std::string(raw);
    return true;
  }

  bool leaf(std::string_view field, std::string_view op, std::string_view operand, Filter& filter) {
    std::string place;
    std::string name;
    if (!text_of(field, place)) return refuse("", "\"field\" of a filter is a string");
    if (!text_of(op, name)) return refuse("", "\"op\" of a filter is a string");
    const auto number = static_cast<size_t>(std::find(std::begin(kOps) + 3, std::end(kOps), name) - std::begin(kOps));
    if (number == std::size(kOps)) {
      return refuse("", "A filter has no op \"" + name.substr(0, kShown) + "\": eq, ne, lt, le, gt, ge, in, nin, " +
                            "contains, starts, ends, like, null");
    }
    filter.op = static_cast<Op>(number);
    const FieldType* type = resolve(place, filter);
    if (type == nullptr) return false;
    const bool item = type->kind == Kind::List && filter.op == Op::Contains;
    if (item) type = &type->item.front();
    return fits(place, *type, item, filter.op) && operands(place, *type, item, operand, filter);
  }

  // The type of what `place` names; Any is everything below an Any.
  const FieldType* resolve(const std::string& place, Filter& filter) {
    std::string_view rest = place;
    const auto part = [&rest] {
      const std::string_view name = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      return name;
    };
    const std::string_view first = part();
    const auto number = definition_.number_of(first);
    if (first.empty()) {
      refuse("", "A condition of a filter has an empty \"field\"");
      return nullptr;
    }
    if (!number) {
      refuse(std::string(first.substr(0, 2 * kShown)), "is no field of " + definition_.name);
      return nullptr;
    }
    filter.field = *number;
    const FieldType* type = &definition_.fields[*number].type;
    while (!rest.empty()) {
      const std::string_view name = part();
      filter.path.emplace_back(name);
      if (filter.path.size() > JsonReader::kDepth) {
        refuse(std::string(first), "has no value as deep as that");
        return nullptr;
      }
      if (type->kind == Kind::Any) {
        type = &any_;
        continue;
      }
      const auto named = [name](const Field& member) { return member.name == name; };
      const auto found = std::find_if(type->members.begin(), type->members.end(), named);
      if (found == type->members.end()) {
        refuse(place.substr(0, 2 * kShown), "is nothing that " + definition_.name + " has");
        return nullptr;
      }
      type = &found->type;
    }
    return type;
  }

  bool fits(const std::string& place, const FieldType& type, bool item, Op op) {
    const bool composed = type.kind == Kind::List || type.kind == Kind::Object;
    const bool text = is_text(type.kind) || type.kind == Kind::Any;
    if (op == Op::Null || (!composed && (item || text || !of_text(op)))) return true;
    return refuse(place, std::string("is ") + (item ? "a List of what is " : "") + word(type.kind) + ", and \"" +
                             kOps[static_cast<size_t>(op)] + "\" is not for it");
  }

  bool operands(const std::string& place, const FieldType& type, bool item, std::string_view json, Filter& filter) {
    JsonReader reader(json);
    const Next next = reader.peek();
    if (filter.op == Op::Null) {
      if (next != Next::True && next != Next::False)
        return refuse(place, "has \"null\" with a value that is no boolean");
      Operand& operand = filter.operands.emplace_back();
      operand.kind = TENON_VALUE_BOOLEAN;
      operand.integer = next == Next::True ? 1 : 0;
      return true;
    }
    if (filter.op != Op::In && filter.op != Op::NotIn) {
      const bool part = of_text(filter.op) && !item;
      return operand(place, type, part, json, filter);
    }
    if (next != Next::List) return refuse(place, "needs a list of values");
    reader.begin_list();
    std::string_view value;
    while (reader.item()) {
      reader.skip(value);
      if (filter.operands.size() == kOperands) return refuse(place, "is compared with more than 1024 values");
      if (!operand(place, type, false, value, filter)) return false;
    }
    return true;
  }

  // `part`: of a text, which need not be a whole value.
  bool operand(const std::string& place, const FieldType& type, bool part, std::string_view json, Filter& filter) {
    Operand& operand = filter.operands.emplace_back();
    JsonReader reader(json);
    const Next next = reader.peek();
    const bool any = type.kind == Kind::Any;
    bool good = false;
    if (next == Next::Null) {
      good = !part;
    } else if (part) {
      good = text(json, operand);
    } else if (is_text(type.kind) || (any && next == Next::Text)) {
      good = (next == Next::Text && text(json, operand)) || (type.kind == Kind::Id && digits(reader, next, operand));
      if (good && type.kind == Kind::Enum && !one_of(type, operand.text)) {
        return refuse(place, "has no value \"" + operand.text.substr(0, kShown) + "\"");
      }
    } else if (type.kind == Kind::Boolean || (any && (next == Next::True || next == Next::False))) {
      good = next == Next::True || next == Next::False;
      operand.kind = TENON_VALUE_BOOLEAN;
      operand.integer = next == Next::True ? 1 : 0;
    } else if (type.kind == Kind::Date) {
      good = date(reader, next, !filter.path.empty() || filter.op == Op::Contains, operand);
    } else {
      good = number(reader, next, type.kind, operand);
    }
    return good || refuse(place, "is " + std::string(word(type.kind)) + " and not to be compared with " +
                                     std::string(json.substr(0, kShown)));
  }

  static bool one_of(const FieldType& type, const std::string& value) {
    return std::find(type.values.begin(), type.values.end(), value) != type.values.end();
  }

  static bool text(std::string_view json, Operand& operand) {
    operand.kind = TENON_VALUE_TEXT;
    return text_of(json, operand.text);
  }

  static bool digits(JsonReader& reader, Next next, Operand& operand) {
    int64_t value = 0;
    std::string_view literal;
    if (next != Next::Number || !reader.number(literal) || !integer_of(literal, value)) return false;
    operand.kind = TENON_VALUE_TEXT;
    append_integer(value, operand.text);
    return true;
  }

  // Within an object or a list a date is its canonical text, which sorts as the date does.
  static bool date(JsonReader& reader, Next next, bool as_text, Operand& operand) {
    std::string_view raw;
    bool escaped = false;
    if (next == Next::Number ? !reader.number(raw) : next != Next::Text || !reader.text(raw, escaped)) return false;
    if (!parse_date(raw, operand.integer)) return false;
    operand.kind = as_text ? TENON_VALUE_TEXT : TENON_VALUE_DATE;
    if (as_text) append_date(operand.integer, operand.text);
    return true;
  }

  static bool number(JsonReader& reader, Next next, Kind kind, Operand& operand) {
    std::string_view literal;
    if (next != Next::Number || !reader.number(literal)) return false;
    if (kind != Kind::Float && integer_of(literal, operand.integer)) {
      operand.kind = TENON_VALUE_INTEGER;
      return true;
    }
    operand.kind = TENON_VALUE_FLOAT;
    return kind != Kind::Int && float_of(literal, operand.number);
  }

  const Definition& definition_;
  TableProblem& problem_;
  const FieldType any_;
  size_t conditions_ = 0;
};

// A value of a record while it is compared; a text with escapes is kept without them.
class Compared {
 public:
  explicit Compared(const tenon_value_t& value) { set(value); }

  // The value below a field, as it stands in the JSON text.
  explicit Compared(std::string_view json) { read(json); }

  uint32_t kind() const { return kind_; }
  bool nothing() const { return kind_ == TENON_VALUE_NULL; }
  int64_t integer() const { return integer_; }
  double number() const { return kind_ == TENON_VALUE_FLOAT ? number_ : static_cast<double>(integer_); }
  bool numeric() const { return kind_ == TENON_VALUE_INTEGER || kind_ == TENON_VALUE_FLOAT; }
  std::string_view text() const { return text_; }

  Compared(const Compared&) = delete;
  Compared& operator=(const Compared&) = delete;

 private:
  void set(const tenon_value_t& value) {
    if (value.kind == TENON_VALUE_JSON) return read(view(value.text));
    if (value.kind == TENON_VALUE_ABSENT) return;
    kind_ = value.kind;
    integer_ = value.integer;
    number_ = value.number;
    if (value.kind == TENON_VALUE_TEXT) take(view(value.text), value.escaped != 0);
  }

  void read(std::string_view json) {
    JsonReader reader(json);
    std::string_view raw;
    bool flag = false;
    switch (reader.peek()) {
      case Next::True:
      case Next::False:
        kind_ = TENON_VALUE_BOOLEAN;
        reader.boolean(flag);
        integer_ = flag ? 1 : 0;
        return;
      case Next::Number:
        if (!reader.number(raw)) return;
        kind_ = integer_of(raw, integer_) ? TENON_VALUE_INTEGER : TENON_VALUE_FLOAT;
        if (kind_ == TENON_VALUE_FLOAT && !float_of(raw, number_)) kind_ = TENON_VALUE_JSON;
        return;
      case Next::Text:
        if (!reader.text(raw, flag)) return;
        kind_ = TENON_VALUE_TEXT;
        take(raw, flag);
        return;
      case Next::List:
      case Next::Object:
        kind_ = TENON_VALUE_JSON;
        text_ = json;
        return;
      case Next::Null:
      case Next::Wrong:
        return;
    }
  }

  void take(std::string_view raw, bool escaped) {
    if (escaped) own_ = unescaped(raw);
    text_ = escaped ? std::string_view(own_) : raw;
  }

  uint32_t kind_ = TENON_VALUE_NULL;
  int64_t integer_ = 0;
  double number_ = 0;
  std::string own_;
  std::string_view text_;
};

template <typename Value>
int order_of(const Value& left, const Value& right) {
  return left < right ? -1 : right < left ? 1 : 0;
}

// Whether the two can be put in order, and how.
bool compare(const Compared& value, const Operand& operand, int& order) {
  const bool nothing = operand.kind == TENON_VALUE_NULL;
  if (value.nothing() || nothing) {
    order = value.nothing() ? (nothing ? 0 : -1) : 1;
    return true;
  }
  if (value.numeric() && (operand.kind == TENON_VALUE_INTEGER || operand.kind == TENON_VALUE_FLOAT)) {
    if (value.kind() == TENON_VALUE_INTEGER && operand.kind == TENON_VALUE_INTEGER) {
      order = order_of(value.integer(), operand.integer);
    } else {
      const double right = operand.kind == TENON_VALUE_FLOAT ? operand.number : static_cast<double>(operand.integer);
      order = order_of(value.number(), right);
    }
    return true;
  }
  if (value.kind() != operand.kind || value.kind() == TENON_VALUE_JSON) return false;
  order = value.kind() == TENON_VALUE_TEXT ? order_of(value.text(), std::string_view(operand.text))
                                           : order_of(value.integer(), operand.integer);
  return true;
}

bool equal(const Compared& value, const Operand& operand) {
  int order = 0;
  return compare(value, operand, order) && order == 0;
}

// Where `sought` is in `text`; memmem takes linear time, unlike std::string_view::find.
size_t find(std::string_view text, std::string_view sought) {
  if (sought.empty()) return 0;
  const void* const found = text.empty() ? nullptr : memmem(text.data(), text.size(), sought.data(), sought.size());
  return found == nullptr ? std::string_view::npos : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

bool starts(std::string_view text, std::string_view part) { return text.substr(0, part.size()) == part; }
bool ends(std::string_view text, std::string_view part) {
  return text.size() >= part.size() && text.substr(text.size() - part.size()) == part;
}

// The first place of each piece between two stars is as good as any other.
bool like(std::string_view text, std::string_view pattern) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return text == pattern;
  if (!starts(text, pattern.substr(0, star))) return false;
  text.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  for (;;) {
    const size_t end = pattern.find('*');
    if (end == std::string_view::npos) return ends(text, pattern);
    const size_t found = find(text, pattern.substr(0, end));
    if (found == std::string_view::npos) return false;
    text.remove_prefix(found + end);
    pattern.remove_prefix(end + 1);
  }
}

bool has_item(std::string_view list, const Operand& operand) {
  JsonReader reader(list);
  std::string_view item;
  reader.begin_list();
  while (reader.item() && reader.skip(item)) {
    if (equal(Compared(item), operand)) return true;
  }
  return false;
}

bool meets(const Filter& filter, const Compared& value) {
  const auto is_value = [&value](const Operand& other) { return equal(value, other); };
  if (filter.op == Op::In) return std::any_of(filter.operands.begin(), filter.operands.end(), is_value);
  if (filter.op == Op::NotIn) return std::none_of(filter.operands.begin(), filter.operands.end(), is_value);
  if (filter.operands.empty()) return false;
  const Operand& operand = filter.operands.front();
  const bool text = value.kind() == TENON_VALUE_TEXT;
  int order = 0;
  switch (filter.op) {
    case Op::Eq:
      return equal(value, operand);
    case Op::Ne:
      return !equal(value, operand);
    case Op::Lt:
      return compare(value, operand, order) && order < 0;
    case Op::Le:
      return compare(value, operand, order) && order <= 0;
    case Op::Gt:
      return compare(value, operand, order) && order > 0;
    case Op::Ge:
      return compare(value, operand, order) && order >= 0;
    case Op::Contains:
      if (value.kind() == TENON_VALUE_JSON) return has_item(value.text(), operand);
      return text && operand.kind == TENON_VALUE_TEXT && find(value.text(), operand.text) != std::string_view::npos;
    case Op::Starts:
      return text && starts(value.text(), operand.text);
    case Op::Ends:
      return text && ends(value.text(), operand.text);
    case Op::Like:
      return text && like(value.text(), operand.text);
    case Op::Null:
      return value.nothing() == (operand.integer != 0);
    default:
      return false;
  }
}

// The value below `json`, empty when there is none.
std::string_view below(std::string_view json, const std::vector<std::string>& path) {
  for (const std::string& sought : path) {
    JsonReader reader(json);
    std::string_view found;
    std::string_view name;
    std::string_view value;
    bool escaped = false;
    if (reader.peek() != Next::Object || !reader.begin_object()) return {};
    while (found.empty() && reader.member(name, escaped) && reader.skip(value)) {
      if (escaped ? unescaped(name) == sought : name == sought) found = value;
    }
    if (found.empty()) return {};
    json = found;
  }
  return json;
}

bool meets(const Filter& filter, std::string_view record) {
  const tenon_value_t value = value_of(record, filter.field);
  if (filter.path.empty()) return meets(filter, Compared(value));
  return meets(filter, Compared(value.kind == TENON_VALUE_JSON ? below(view(value.text), filter.path) : ""));
}

tenon_value_t bound_of(const Operand& operand) {
  tenon_value_t value = {};
  value.kind = operand.kind;
  value.integer = operand.integer;
  value.number = operand.number;
  value.text = bytes(operand.text);
  return value;
}

// The order of two bounds of one field.
int order_of_bounds(const tenon_value_t& left, const tenon_value_t& right) {
  const bool nothing = right.kind == TENON_VALUE_NULL;
  if (left.kind == TENON_VALUE_NULL || nothing) return left.kind == right.kind ? 0 : nothing ? 1 : -1;
  if (left.kind == TENON_VALUE_TEXT) return order_of(view(left.text), view(right.text));
  if (left.kind == TENON_VALUE_FLOAT) return order_of(left.number, right.number);
  return order_of(left.integer, right.integer);
}

// An index keeps the beginning of a long text only, so such a bound may not be excluded from it.
bool can_exclude(const tenon_value_t& bound) {
  return bound.kind != TENON_VALUE_TEXT || bound.text.size < kIndexedText;
}

void raise_lower(Range& range, const tenon_value_t& bound, bool excluded) {
  range.bounded = true;
  excluded = excluded && can_exclude(bound);
  const int order = range.lower.kind == TENON_VALUE_ABSENT ? 1 : order_of_bounds(bound, range.lower);
  if (order < 0) return;
  range.lower_excluded = excluded || (order == 0 && range.lower_excluded);
  range.lower = bound;
}

void lower_upper(Range& range, const tenon_value_t& bound, bool excluded) {
  range.bounded = true;
  excluded = excluded && can_exclude(bound);
  const int order = range.upper.kind == TENON_VALUE_ABSENT ? -1 : order_of_bounds(bound, range.upper);
  if (order > 0) return;
  range.upper_excluded = excluded || (order == 0 && range.upper_excluded);
  range.upper = bound;
}

void narrow_prefix(Range& range, std::string_view prefix) {
  if (prefix.empty()) return;
  range.bounded = true;
  if (prefix.size() > range.prefix.size()) range.prefix = prefix;
}

void narrow_to(Range& range, const std::vector<Operand>& operands) {
  if (operands.empty()) return;
  tenon_value_t least = bound_of(operands.front());
  tenon_value_t greatest = least;
  for (const Operand& operand : operands) {
    const tenon_value_t value = bound_of(operand);
    if (order_of_bounds(value, least) < 0) least = value;
    if (order_of_bounds(value, greatest) > 0) greatest = value;
  }
  raise_lower(range, least, false);
  lower_upper(range, greatest, false);
}

void narrow(const Filter& filter, uint32_t field, Range& range) {
  if (filter.op == Op::And || (filter.op == Op::Or && filter.parts.size() == 1)) {
    for (const Filter& part : filter.parts) narrow(part, field, range);
    return;
  }
  if (!filter.parts.empty() || filter.field != field || !filter.path.empty() || filter.operands.empty()) return;
  const Operand& operand = filter.operands.front();
  const tenon_value_t bound = bound_of(operand);
  tenon_value_t nothing = {};
  nothing.kind = TENON_VALUE_NULL;
  switch (filter.op) {
    case Op::Eq:
    case Op::In:
      return narrow_to(range, filter.operands);
    case Op::Lt:
    case Op::Le:
      return lower_upper(range, bound, filter.op == Op::Lt);
    case Op::Gt:
    case Op::Ge:
      return raise_lower(range, bound, filter.op == Op::Gt);
    case Op::Starts:
      return narrow_prefix(range, operand.text);
    case Op::Like: {
      const std::string_view pattern = operand.text;
      return narrow_prefix(range, pattern.substr(0, pattern.find('*')));
    }
    case Op::Null:
      if (operand.integer == 0) return raise_lower(range, nothing, true);
      raise_lower(range, nothing, false);
      return lower_upper(range, nothing, false);
    default:
      return;
  }
}

}  // namespace

std::optional<Filter> read_filter(const Definition& definition, std::string_view json, TableProblem& problem) {
  problem = {};
  Filter filter;
  if (!FilterReader(definition, problem).read(json, filter)) return std::nullopt;
  return filter;
}

bool matches(const Filter& filter, std::string_view record) {
  const auto met = [record](const Filter& part) { return matches(part, record); };
  switch (filter.op) {
    case Op::And:
      return std::all_of(filter.parts.begin(), filter.parts.end(), met);
    case Op::Or:
      return std::any_of(filter.parts.begin(), filter.parts.end(), met);
    case Op::Not:
      return std::none_of(filter.parts.begin(), filter.parts.end(), met);
    default:
      return meets(filter, record);
  }
}

Range range_of(const Filter& filter, uint32_t field) {
  Range range;
  narrow(filter, field, range);
  const bool both = range.lower.kind != TENON_VALUE_ABSENT && range.upper.kind != TENON_VALUE_ABSENT;
  range.equal =
      both && !range.lower_excluded && !range.upper_excluded && order_of_bounds(range.lower, range.upper) == 0;
  return range;
}

}  // namespace tenon::core
