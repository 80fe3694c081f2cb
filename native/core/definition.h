#ifndef TENON_CORE_DEFINITION_H
#define TENON_CORE_DEFINITION_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::core {

// What breaks a definition, or a record that breaks its definition.
struct TableProblem {
  std::string field;    // "tags[2]", "address.city"; empty when it is no field's fault
  std::string message;  // one sentence
};

// The message with the field in front, unless it begins with it already.
std::string sentence_of(const TableProblem& problem);

struct Field;

// What a field, an item of a list or a member of an object may be.
struct FieldType {
  enum class Kind : uint8_t { Id, String, Int, Float, Boolean, Date, Any, Enum, List, Object };
  Kind kind = Kind::Any;
  bool required = false;            // no null
  std::vector<std::string> values;  // Enum: the names
  std::vector<FieldType> item;      // List: exactly one
  std::vector<Field> members;       // Object
  // What records are checked with, so that a value or member costs the same however many there are.
  std::vector<uint32_t> by_name;  // places in `values` or `members`, in the order of the names
  std::vector<uint32_t> needed;   // places of the members that every object must have

  // Makes both of `values` and `members`; what is within them stays as it is.
  void arrange();
  // The place of an Enum's value, or of an Object's member.
  std::optional<uint32_t> place_of(std::string_view name) const;

 private:
  const std::string& name_at(uint32_t place) const;
};

// A stored field. Its number in a table is its place in Definition::fields and never changes.
struct Field {
  enum class Role : uint8_t { None, CreatedTime, UpdatedTime, ExpiresAt };
  std::string name;
  FieldType type;
  bool indexed = false;
  bool dropped = false;  // no longer in the schema: what is stored stays readable, and may be written
  bool anew =
      false;  // wanted only: has nothing to do with the dropped field of its name, which is stored under another
  Role role = Role::None;
};

// A table as the store knows it. As JSON, which is also how it is kept in the catalogue:
//   {"database":"todo","name":"Task","primaryKey":"id","expirationMs":0,"revision":1,"fields":[
//     {"name":"id","type":{"kind":"ID","required":true}},
//     {"name":"tags","type":{"kind":"List","item":{"kind":"String","required":true}}},
//     {"name":"state","type":{"kind":"Enum","values":["open","done"]},"indexed":true},
//     {"name":"address","type":{"kind":"Object","members":[{"name":"city","type":{"kind":"String"}}]}},
//     {"name":"madeAt","type":{"kind":"Date"},"role":"createdTime"}]}
// Kinds: ID String Int Float Boolean Date Any Enum List Object. Roles: createdTime updatedTime expiresAt.
struct Definition {
  static constexpr size_t kFields = 1024;
  static constexpr size_t kDepth = 16;  // of types within types

  std::string database;
  std::string name;
  uint32_t revision = 0;  // raised by the store with every change
  uint32_t primary = 0;   // number of the primary key's field: ID, String or Int
  uint64_t expiration_ms = 0;
  std::vector<Field> fields;

  std::optional<uint32_t> number_of(std::string_view field) const;
};

// Nothing and `problem` when `json` is no definition.
std::optional<Definition> read_definition(std::string_view json, TableProblem& problem);
std::string write_definition(const Definition& definition);

// What becomes of `old` when the schema says `wanted`: fields keep their numbers, new ones come behind, those that are
// gone are marked as dropped. Nothing and `problem` when records that are stored would not fit: another primary key,
// another type, a field that is required now and was not, an enum value that is gone. An Int may become a Float, an ID
// a String, a required field an optional one, an enum may grow, and an index may come and go. A dropped field that is
// wanted `anew` keeps its number and type under a name that no schema can have.
std::optional<Definition> evolve(const Definition& old, const Definition& wanted, TableProblem& problem);

}  // namespace tenon::core

#endif
