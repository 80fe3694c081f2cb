#include "definition.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "json.h"

namespace tenon::core {

namespace {

using Kind = FieldType::Kind;
using Role = Field::Role;

constexpr size_t kNameBytes = 100;
constexpr const char* kKinds[] = {"ID", "String", "Int", "Float", "Boolean", "Date", "Any", "Enum", "List", "Object"};
constexpr const char* kRoles[] = {"", "createdTime", "updatedTime", "expiresAt"};

const char* word(Kind kind) { return kKinds[static_cast<size_t>(kind)]; }
const char* word(Role role) { return kRoles[static_cast<size_t>(role)]; }

bool refuse(TableProblem& problem, const std::string& field, const std::string& message) {
  problem.field = field;
  problem.message = field.empty() ? message : field + " " + message;
  return false;
}

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

// A name of GraphQL, without those that begin with "__": GraphQL keeps them, and JavaScript has __proto__.
bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytes || digit(name.front()) || name.substr(0, 2) == "__") return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return letter(c) || digit(c); });
}

bool is_database(std::string_view name) {
  if (name.empty() || name.size() > kNameBytes) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return letter(c) || digit(c) || c == '-'; });
}

template <size_t kCount>
size_t place_of(const char* const (&words)[kCount], std::string_view sought) {
  return static_cast<size_t>(std::find(words, words + kCount, sought) - words);
}

std::string inside(const std::string& place, std::string_view name) {
  return (place.empty() ? std::string() : place + ".").append(name);
}

class DefinitionReader {
 public:
  DefinitionReader(std::string_view json, TableProblem& problem) : json_(json), problem_(problem) {}

  bool read(Definition& definition) {
    std::string_view raw;
    bool escaped = false;
    std::string primary;
    if (!json_.begin_object()) return broken("");
    while (json_.member(raw, escaped)) {
      const std::string name = unescaped(raw);
      bool good = true;
      if (name == "database") {
        good = text("", definition.database);
      } else if (name == "name") {
        good = text("", definition.name);
      } else if (name == "primaryKey") {
        good = text("", primary);
      } else if (name == "revision") {
        good = number("revision", UINT32_MAX, definition.revision);
      } else if (name == "expirationMs") {
        good = number("expirationMs", static_cast<uint64_t>(kSafeInteger), definition.expiration_ms);
      } else if (name == "fields") {
        good = fields("", true, 1, definition.fields);
      } else {
        return refuse(problem_, "", "A definition has no member \"" + name.substr(0, kNameBytes) + "\"");
      }
      if (!good) return false;
    }
    if (!json_.end()) return broken("");
    return check(definition, primary);
  }

 private:
  bool broken(const std::string& place) {
    return refuse(problem_, place,
                  place.empty() ? "The definition is wrong: " + json_.error() : "is wrong: " + json_.error());
  }

  bool text(const std::string& place, std::string& value) {
    std::string_view raw;
    bool escaped = false;
    if (!json_.text(raw, escaped)) return broken(place);
    value = unescaped(raw);
    return true;
  }

  bool flag(const std::string& place, bool& value) { return json_.boolean(value) || broken(place); }

  template <typename Number>
  bool number(const char* name, uint64_t greatest, Number& value) {
    std::string_view literal;
    int64_t read = 0;
    if (!json_.number(literal)) return broken("");
    if (!integer_of(literal, read) || read < 0 || static_cast<uint64_t>(read) > greatest) {
      return refuse(problem_, "", std::string(name) + " must be a whole number from 0 to " + std::to_string(greatest));
    }
    value = static_cast<Number>(read);
    return true;
  }

  bool fields(const std::string& place, bool stored, size_t depth, std::vector<Field>& list) {
    if (!json_.begin_list()) return broken(place);
    while (json_.item()) {
      if (list.size() == Definition::kFields) {
        return refuse(problem_, place,
                      place.empty() ? "A table has at most 1024 fields" : "has more than 1024 members");
      }
      if (!field(place, stored, depth, list.emplace_back())) return false;
    }
    if (json_.failed()) return broken(place);
    return unique(place, list);
  }

  bool unique(const std::string& place, const std::vector<Field>& list) {
    std::vector<std::string_view> names;
    names.reserve(list.size());
    for (const Field& field : list) names.push_back(field.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    return twice == names.end() || refuse(problem_, inside(place, *twice), "is there twice");
  }

  // The name may stand behind the type, so what is wrong is found first and gets its place afterwards.
  bool field(const std::string& place, bool stored, size_t depth, Field& field) {
    std::string_view raw;
    std::string_view type;
    std::string role;
    bool escaped = false;
    if (!json_.begin_object()) return broken(place);
    while (json_.member(raw, escaped)) {
      const std::string name = unescaped(raw);
      bool good = true;
      if (name == "name") {
        good = text(place, field.name);
      } else if (name == "type") {
        good = json_.skip(type) || broken(place);
      } else if (name == "dropped") {
        good = flag(place, field.dropped);
      } else if (name == "anew" && stored) {
        good = flag(place, field.anew);
      } else if (name == "indexed" && stored) {
        good = flag(place, field.indexed);
      } else if (name == "role" && stored) {
        good = text(place, role);
      } else {
        const std::string which = stored ? "A field" : "A member of an object";
        return refuse(problem_, "", which + " has no \"" + name.substr(0, kNameBytes) + "\"");
      }
      if (!good) return false;
    }
    if (json_.failed()) return broken(place);
    if (!is_name(field.name)) {
      return refuse(problem_, "",
                    "\"" + field.name.substr(0, kNameBytes) +
                        "\" is no name of a field: letters, digits and _, at most 100, not a digit first, not two _");
    }
    const std::string own = inside(place, field.name);
    const size_t number = role.empty() ? 0 : place_of(kRoles, role);
    if (number == std::size(kRoles)) return refuse(problem_, own, "has an unknown role");
    field.role = static_cast<Role>(number);
    if (type.empty()) return refuse(problem_, own, "has no type");
    DefinitionReader reader(type, problem_);
    return reader.type_of(own, depth, field.type);
  }

  bool type_of(const std::string& place, size_t depth, FieldType& type) {
    if (depth > Definition::kDepth) return refuse(problem_, place, "has types within types deeper than 16");
    std::string_view raw;
    std::string kind;
    bool escaped = false;
    bool has_values = false;
    bool has_members = false;
    if (!json_.begin_object()) return broken(place);
    while (json_.member(raw, escaped)) {
      const std::string name = unescaped(raw);
      bool good = true;
      if (name == "kind") {
        good = text(place, kind);
      } else if (name == "required") {
        good = flag(place, type.required);
      } else if (name == "values" && !has_values) {
        has_values = true;
        good = values(place, type.values);
      } else if (name == "item" && type.item.empty()) {
        good = type_of(place + "[]", depth + 1, type.item.emplace_back());
      } else if (name == "members" && !has_members) {
        has_members = true;
        good = fields(place, false, depth + 1, type.members);
      } else {
        return refuse(problem_, place, "has a type with a wrong \"" + name.substr(0, kNameBytes) + "\"");
      }
      if (!good) return false;
    }
    if (json_.failed()) return broken(place);
    const size_t number = place_of(kKinds, kind);
    if (number == std::size(kKinds))
      return refuse(problem_, place, "has an unknown type, \"" + kind.substr(0, kNameBytes) + "\"");
    type.kind = static_cast<Kind>(number);
    type.arrange();
    return complete(place, type, has_values, has_members);
  }

  bool complete(const std::string& place, const FieldType& type, bool has_values, bool has_members) {
    if (has_values != (type.kind == Kind::Enum)) return refuse(problem_, place, "must have values if it is an Enum");
    if (type.item.empty() == (type.kind == Kind::List))
      return refuse(problem_, place, "must have an item if it is a List");
    if (has_members != (type.kind == Kind::Object)) {
      return refuse(problem_, place, "must have members if it is an Object");
    }
    return true;
  }

  bool values(const std::string& place, std::vector<std::string>& values) {
    if (!json_.begin_list()) return broken(place);
    while (json_.item()) {
      if (values.size() == Definition::kFields) return refuse(problem_, place, "has more than 1024 values");
      if (!text(place, values.emplace_back())) return false;
      if (!is_name(values.back())) {
        return refuse(problem_, place, "has a value \"" + values.back().substr(0, kNameBytes) + "\", which is no name");
      }
    }
    if (json_.failed()) return broken(place);
    if (values.empty()) return refuse(problem_, place, "has no values");
    std::vector<std::string_view> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    return twice == sorted.end() || refuse(problem_, place, "has the value " + std::string(*twice) + " twice");
  }

  bool check(Definition& definition, const std::string& primary) {
    if (!is_database(definition.database)) {
      return refuse(problem_, "", "\"" + definition.database.substr(0, kNameBytes) + "\" is no name of a database");
    }
    if (!is_name(definition.name)) {
      return refuse(problem_, "", "\"" + definition.name.substr(0, kNameBytes) + "\" is no name of a table");
    }
    const auto number = definition.number_of(primary);
    if (!number || definition.fields[*number].dropped) {
      return refuse(problem_, "",
                    "The table " + definition.name + " has no field for its primary key \"" +
                        primary.substr(0, kNameBytes) + "\"");
    }
    definition.primary = *number;
    return std::all_of(definition.fields.begin(), definition.fields.end(),
                       [&](const Field& field) { return fits(definition, field); });
  }

  bool fits(const Definition& definition, const Field& field) {
    const Kind kind = field.type.kind;
    if (&field == &definition.fields[definition.primary]) {
      const bool good = kind == Kind::Id || kind == Kind::String || kind == Kind::Int;
      if (!good) return refuse(problem_, field.name, "is the primary key and must be an ID, a String or an Int");
      if (field.role != Role::None) return refuse(problem_, field.name, "is the primary key and has no other role");
    }
    if (field.indexed && (kind == Kind::Any || kind == Kind::List || kind == Kind::Object)) {
      return refuse(problem_, field.name, std::string("cannot be indexed: it is of type ") + word(kind));
    }
    if (field.role == Role::None) return true;
    if (kind != Kind::Date && kind != Kind::Int && kind != Kind::Float) {
      return refuse(problem_, field.name,
                    std::string("is ") + word(field.role) + " and must be a Date, an Int or a Float");
    }
    for (const Field& other : definition.fields) {
      if (&other == &field) break;
      if (other.role == field.role) {
        return refuse(problem_, field.name, std::string("is ") + word(field.role) + ", and so is " + other.name);
      }
    }
    return true;
  }

  JsonReader json_;
  TableProblem& problem_;
};

void write_fields(const std::vector<Field>& fields, std::string& json);

void write_type(const FieldType& type, std::string& json) {
  json.append("{\"kind\":\"").append(word(type.kind)).append("\"");
  if (type.required) json.append(",\"required\":true");
  if (type.kind == Kind::Enum) {
    json.append(",\"values\":");
    char before = '[';
    for (const std::string& value : type.values) {
      json.push_back(std::exchange(before, ','));
      append_quoted(value, json);
    }
    json.push_back(']');
  }
  if (!type.item.empty()) {
    json.append(",\"item\":");
    write_type(type.item.front(), json);
  }
  if (type.kind == Kind::Object) {
    json.append(",\"members\":");
    write_fields(type.members, json);
  }
  json.push_back('}');
}

void write_fields(const std::vector<Field>& fields, std::string& json) {
  json.push_back('[');
  for (const Field& field : fields) {
    json.append(&field == fields.data() ? "{\"name\":" : ",{\"name\":");
    append_quoted(field.name, json);
    json.append(",\"type\":");
    write_type(field.type, json);
    if (field.indexed) json.append(",\"indexed\":true");
    if (field.dropped) json.append(",\"dropped\":true");
    if (field.role != Role::None) json.append(",\"role\":\"").append(word(field.role)).append("\"");
    json.push_back('}');
  }
  json.push_back(']');
}

// Lays `wanted` over what is stored, in place.
class Evolution {
 public:
  explicit Evolution(TableProblem& problem) : problem_(problem) {}

  bool fields(const std::string& place, const std::vector<Field>& wanted, std::vector<Field>& stored) {
    std::vector<bool> met(stored.size());
    const size_t before = stored.size();
    for (const Field& field : wanted) {
      const auto named = [&field](const Field& other) { return other.name == field.name; };
      auto found = std::find_if(stored.begin(), stored.end(), named);
      if (found != stored.end() && found->dropped && field.anew) {
        found->name = put_aside(field.name, static_cast<size_t>(found - stored.begin()));
        found = stored.end();
      }
      const std::string own = inside(place, field.name);
      if (found == stored.end()) {
        if (field.type.required && !field.dropped) {
          return refuse(problem_, own, "is new and required, and what is stored does not have it");
        }
        stored.push_back(field);
        stored.back().anew = false;
        continue;
      }
      met[static_cast<size_t>(found - stored.begin())] = true;
      if (found->dropped && field.type.required) {
        return refuse(problem_, own, "is required again, and what was stored without it does not have it");
      }
      if (!type(own, field.type, found->type)) return false;
      found->indexed = field.indexed;
      found->dropped = field.dropped;
      found->role = field.role;
    }
    for (size_t number = 0; number < before; number++) {
      if (!met[number]) drop(stored[number]);
    }
    if (stored.size() <= Definition::kFields) return true;
    return refuse(problem_, place,
                  place.empty() ? "With the fields that were dropped it has more than 1024"
                                : "has more than 1024 members with those that were dropped");
  }

 private:
  // Names of a schema begin with a letter, and a table has one field of each number.
  static std::string put_aside(const std::string& name, size_t number) {
    const std::string head = "_" + std::to_string(number) + "_";
    return head + name.substr(0, kNameBytes - head.size());
  }

  static void drop(Field& field) {
    field.dropped = true;
    field.indexed = false;
    field.role = Role::None;
  }

  bool type(const std::string& place, const FieldType& wanted, FieldType& stored) {
    const bool widened = (stored.kind == Kind::Int && wanted.kind == Kind::Float) ||
                         (stored.kind == Kind::Id && wanted.kind == Kind::String);
    if (stored.kind != wanted.kind && !widened) {
      return refuse(problem_, place,
                    std::string("is stored as ") + word(stored.kind) + " and cannot become " + word(wanted.kind));
    }
    if (wanted.required && !stored.required) {
      return refuse(problem_, place, "is required now, and what is stored may be null or absent");
    }
    for (const std::string& value : stored.values) {
      if (std::find(wanted.values.begin(), wanted.values.end(), value) == wanted.values.end()) {
        return refuse(problem_, place, "has no value " + value + " any more, and records may have it");
      }
    }
    stored.kind = wanted.kind;
    stored.required = wanted.required;
    stored.values = wanted.values;
    if (!stored.item.empty()) return type(place + "[]", wanted.item.front(), stored.item.front());
    if (!fields(place, wanted.members, stored.members)) return false;
    stored.arrange();
    return true;
  }

  TableProblem& problem_;
};

}  // namespace

std::string sentence_of(const TableProblem& problem) {
  const bool is_said = problem.message.compare(0, problem.field.size(), problem.field) == 0;
  return is_said ? problem.message : problem.field + ": " + problem.message;
}

const std::string& FieldType::name_at(uint32_t place) const {
  return kind == Kind::Enum ? values[place] : members[place].name;
}

void FieldType::arrange() {
  by_name.resize(kind == Kind::Enum ? values.size() : members.size());
  std::iota(by_name.begin(), by_name.end(), 0u);
  std::sort(by_name.begin(), by_name.end(),
            [this](uint32_t one, uint32_t other) { return name_at(one) < name_at(other); });
  needed.clear();
  for (uint32_t place = 0; place < members.size(); place++) {
    if (members[place].type.required && !members[place].dropped) needed.push_back(place);
  }
}

std::optional<uint32_t> FieldType::place_of(std::string_view name) const {
  const auto found =
      std::lower_bound(by_name.begin(), by_name.end(), name,
                       [this](uint32_t place, std::string_view sought) { return name_at(place) < sought; });
  if (found == by_name.end() || name_at(*found) != name) return std::nullopt;
  return *found;
}

std::optional<uint32_t> Definition::number_of(std::string_view field) const {
  for (size_t number = 0; number < fields.size(); number++) {
    if (fields[number].name == field) return static_cast<uint32_t>(number);
  }
  return std::nullopt;
}

std::optional<Definition> read_definition(std::string_view json, TableProblem& problem) {
  problem = {};
  Definition definition;
  if (!DefinitionReader(json, problem).read(definition)) return std::nullopt;
  return definition;
}

std::string write_definition(const Definition& definition) {
  std::string json = "{\"database\":";
  append_quoted(definition.database, json);
  json.append(",\"name\":");
  append_quoted(definition.name, json);
  json.append(",\"primaryKey\":");
  append_quoted(definition.fields[definition.primary].name, json);
  json.append(",\"expirationMs\":").append(std::to_string(definition.expiration_ms));
  json.append(",\"revision\":").append(std::to_string(definition.revision));
  json.append(",\"fields\":");
  write_fields(definition.fields, json);
  json.push_back('}');
  return json;
}

std::optional<Definition> evolve(const Definition& old, const Definition& wanted, TableProblem& problem) {
  problem = {};
  if (old.database != wanted.database || old.name != wanted.name) {
    refuse(problem, "",
           old.database + "." + old.name + " is another table than " + wanted.database + "." + wanted.name);
    return std::nullopt;
  }
  const std::string& key = old.fields[old.primary].name;
  const std::string& wanted_key = wanted.fields[wanted.primary].name;
  if (key != wanted_key) {
    refuse(problem, wanted_key, "cannot become the primary key, which is " + key);
    return std::nullopt;
  }
  Definition evolved = old;
  evolved.expiration_ms = wanted.expiration_ms;
  if (!Evolution(problem).fields("", wanted.fields, evolved.fields)) return std::nullopt;
  return evolved;
}

}  // namespace tenon::core
