#include "definition.h"

#include <doctest/doctest.h>

#include <string>

using namespace tenon::core;

namespace {

const char* const kTask =
    R"({"database":"todo","name":"Task","primaryKey":"id","expirationMs":60000,"revision":3,"fields":[)"
    R"({"name":"id","type":{"kind":"ID","required":true}},)"
    R"({"name":"size","type":{"kind":"Int"},"indexed":true},)"
    R"({"name":"old","type":{"kind":"Float"},"dropped":true},)"
    R"({"name":"tags","type":{"kind":"List","item":{"kind":"String","required":true}}},)"
    R"({"name":"state","type":{"kind":"Enum","values":["open","done"]}},)"
    R"({"name":"address","type":{"kind":"Object","required":true,"members":[)"
    R"({"name":"city","type":{"kind":"String"}},{"name":"zip","type":{"kind":"Any"},"dropped":true}]}},)"
    R"({"name":"open","type":{"kind":"Boolean"}},)"
    R"({"name":"made","type":{"kind":"Date"},"role":"createdTime"},)"
    R"({"name":"touched","type":{"kind":"Int"},"role":"updatedTime"},)"
    R"({"name":"gone","type":{"kind":"Float"},"role":"expiresAt"}]})";

Definition read(const std::string& json) {
  TableProblem problem;
  const auto definition = read_definition(json, problem);
  REQUIRE_MESSAGE(definition, problem.message);
  return *definition;
}

std::string table(const std::string& fields) {
  return R"({"database":"todo","name":"Task","primaryKey":"id","fields":[{"name":"id","type":{"kind":"ID"}})" + fields +
         "]}";
}

std::string field(const std::string& type) { return R"(,{"name":"f","type":)" + type + "}"; }

std::string list_of(size_t depth) {
  std::string type = R"({"kind":"Int"})";
  for (size_t i = 1; i < depth; i++) type = R"({"kind":"List","item":)" + type + "}";
  return type;
}

}  // namespace

TEST_CASE("a definition that is written reads back") {
  const Definition definition = read(kTask);
  CHECK(write_definition(definition) == kTask);
  CHECK(definition.primary == 0);
  CHECK(definition.number_of("address") == 5);
  CHECK_FALSE(definition.number_of("city"));
  CHECK(definition.fields[9].role == Field::Role::ExpiresAt);
  CHECK(write_definition(read(R"( {"fields" : [{"type":{"kind":"Int"},"name":"\u0069d"}],"primaryKey":"id",
    "name":"T","database":"my-app"} )")) ==
        R"({"database":"my-app","name":"T","primaryKey":"id","expirationMs":0,"revision":0,)"
        R"("fields":[{"name":"id","type":{"kind":"Int"}}]})");
}

TEST_CASE("a definition that is wrong names the field and the cause") {
  std::string many;
  for (size_t i = 0; i < Definition::kFields; i++)
    many += R"(,{"name":"f)" + std::to_string(i) + R"(","type":{"kind":"Int"}})";
  const std::string bad_name =
      " is no name of a field: letters, digits and _, at most 100, not a digit first, not two _";
  const struct {
    std::string json;
    const char* field;
    std::string message;
  } cases[] = {
      {"", "", "The definition is wrong: it ends where there should be more at byte 0"},
      {"[]", "", "The definition is wrong: expected an object at byte 0"},
      {table("") + "x", "", "The definition is wrong: there is more behind its end at byte 97"},
      {R"({"color":1})", "", "A definition has no member \"color\""},
      {R"({"revision":4294967296})", "", "revision must be a whole number from 0 to 4294967295"},
      {R"({"expirationMs":-1})", "", "expirationMs must be a whole number from 0 to 9007199254740991"},
      {R"({"expirationMs":1.5})", "", "expirationMs must be a whole number from 0 to 9007199254740991"},
      {"{}", "", "\"\" is no name of a database"},
      {R"({"database":"a/b"})", "", "\"a/b\" is no name of a database"},
      {R"({"database":"d","name":"a b"})", "", "\"a b\" is no name of a table"},
      {R"({"database":"d","name":"T","primaryKey":"id","fields":[]})", "",
       "The table T has no field for its primary key \"id\""},
      {R"({"database":"d","name":"T","primaryKey":"id","fields":[{"name":"id","type":{"kind":"ID"},"dropped":true}]})",
       "", "The table T has no field for its primary key \"id\""},
      {R"({"database":"d","name":"T","primaryKey":"id","fields":[{"name":"id","type":{"kind":"Float"}}]})", "id",
       "id is the primary key and must be an ID, a String or an Int"},
      {R"({"database":"d","name":"T","primaryKey":"id","fields":[{"name":"id","type":{"kind":"Int"},"role":"createdTime"}]})",
       "id", "id is the primary key and has no other role"},
      {table(R"(,{"name":"id","type":{"kind":"Int"}})"), "id", "id is there twice"},
      {table(R"(,{"name":"f"})"), "f", "f has no type"},
      {table(R"(,{"type":{"kind":"Int"}})"), "", "\"\"" + bad_name},
      {table(R"(,{"name":"__proto__","type":{"kind":"Int"}})"), "", "\"__proto__\"" + bad_name},
      {table(R"(,{"name":"1a","type":{"kind":"Int"}})"), "", "\"1a\"" + bad_name},
      {table(R"(,{"name":"f","type":{"kind":"Int"},"unique":true})"), "", "A field has no \"unique\""},
      {table(R"(,{"name":"f","type":{"kind":"Int"},"role":"owner"})"), "f", "f has an unknown role"},
      {table(R"(,{"name":"f","type":{"kind":"String"},"role":"createdTime"})"), "f",
       "f is createdTime and must be a Date, an Int or a Float"},
      {table(
           R"(,{"name":"f","type":{"kind":"Int"},"role":"expiresAt"},{"name":"g","type":{"kind":"Int"},"role":"expiresAt"})"),
       "g", "g is expiresAt, and so is f"},
      {table(R"(,{"name":"f","type":{"kind":"Any"},"indexed":true})"), "f", "f cannot be indexed: it is of type Any"},
      {table(field(R"({"kind":"Text"})")), "f", "f has an unknown type, \"Text\""},
      {table(field(R"({})")), "f", "f has an unknown type, \"\""},
      {table(field(R"({"kind":"Int","of":1})")), "f", "f has a type with a wrong \"of\""},
      {table(field(R"({"kind":"Int","values":["a"]})")), "f", "f must have values if it is an Enum"},
      {table(field(R"({"kind":"Enum"})")), "f", "f must have values if it is an Enum"},
      {table(field(R"({"kind":"Enum","values":[]})")), "f", "f has no values"},
      {table(field(R"({"kind":"Enum","values":["a","a"]})")), "f", "f has the value a twice"},
      {table(field(R"({"kind":"Enum","values":["a b"]})")), "f", "f has a value \"a b\", which is no name"},
      {table(field(R"({"kind":"List"})")), "f", "f must have an item if it is a List"},
      {table(field(R"({"kind":"List","item":{"kind":"Int","required":1}})")), "f[]",
       "f[] is wrong: expected true or false at byte 47"},
      {table(field(R"({"kind":"Object"})")), "f", "f must have members if it is an Object"},
      {table(field(R"({"kind":"Object","members":[{"name":"a","type":{"kind":"X"}}]})")), "f.a",
       "f.a has an unknown type, \"X\""},
      {table(field(R"({"kind":"Object","members":[{"name":"a","type":{"kind":"Int"},"indexed":true}]})")), "",
       "A member of an object has no \"indexed\""},
      {table(field(list_of(17))), "f[][][][][][][][][][][][][][][][]",
       "f[][][][][][][][][][][][][][][][] has types within types deeper than 16"},
      {table(many), "", "A table has at most 1024 fields"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.message);
    TableProblem problem;
    CHECK_FALSE(read_definition(one.json, problem));
    CHECK(problem.field == one.field);
    CHECK(problem.message == one.message);
  }
  read(table(field(list_of(16))));
}

TEST_CASE("fields keep their numbers when a table changes") {
  TableProblem problem;
  const Definition old = read(kTask);
  const Definition wanted =
      read(R"({"database":"todo","name":"Task","primaryKey":"id","expirationMs":5,"revision":9,"fields":[)"
           R"({"name":"more","type":{"kind":"Int"},"indexed":true},)"
           R"({"name":"state","type":{"kind":"Enum","values":["new","done","open"]},"indexed":true},)"
           R"({"name":"address","type":{"kind":"Object","members":[{"name":"street","type":{"kind":"String"}},)"
           R"({"name":"zip","type":{"kind":"Any"}}]}},)"
           R"({"name":"old","type":{"kind":"Float"}},)"
           R"({"name":"size","type":{"kind":"Float"}},)"
           R"({"name":"id","type":{"kind":"String","required":true}}]})");
  const auto evolved = evolve(old, wanted, problem);
  REQUIRE_MESSAGE(evolved, problem.message);
  CHECK(
      write_definition(*evolved) ==
      R"({"database":"todo","name":"Task","primaryKey":"id","expirationMs":5,"revision":3,"fields":[)"
      R"({"name":"id","type":{"kind":"String","required":true}},)"
      R"({"name":"size","type":{"kind":"Float"}},)"
      R"({"name":"old","type":{"kind":"Float"}},)"
      R"({"name":"tags","type":{"kind":"List","item":{"kind":"String","required":true}},"dropped":true},)"
      R"({"name":"state","type":{"kind":"Enum","values":["new","done","open"]},"indexed":true},)"
      R"({"name":"address","type":{"kind":"Object","members":[{"name":"city","type":{"kind":"String"},"dropped":true},)"
      R"({"name":"zip","type":{"kind":"Any"}},{"name":"street","type":{"kind":"String"}}]}},)"
      R"({"name":"open","type":{"kind":"Boolean"},"dropped":true},)"
      R"({"name":"made","type":{"kind":"Date"},"dropped":true},)"
      R"({"name":"touched","type":{"kind":"Int"},"dropped":true},)"
      R"({"name":"gone","type":{"kind":"Float"},"dropped":true},)"
      R"({"name":"more","type":{"kind":"Int"},"indexed":true}]})");
  CHECK(write_definition(*evolve(old, old, problem)) == kTask);
}

TEST_CASE("a change that stored records would not fit is refused") {
  const struct {
    std::string old;
    std::string wanted;
    const char* field;
    const char* message;
  } cases[] = {
      {table(""), table(field(R"({"kind":"Int","required":true})")), "f",
       "f is new and required, and what is stored does not have it"},
      {table(field(R"({"kind":"Int"})")), table(field(R"({"kind":"Int","required":true})")), "f",
       "f is required now, and what is stored may be null or absent"},
      {table(field(R"({"kind":"Int"})")), table(field(R"({"kind":"String"})")), "f",
       "f is stored as Int and cannot become String"},
      {table(field(R"({"kind":"Float"})")), table(field(R"({"kind":"Int"})")), "f",
       "f is stored as Float and cannot become Int"},
      {table(field(R"({"kind":"String"})")), table(field(R"({"kind":"ID"})")), "f",
       "f is stored as String and cannot become ID"},
      {table(field(R"({"kind":"Int"})")), table(field(R"({"kind":"Any"})")), "f",
       "f is stored as Int and cannot become Any"},
      {table(field(R"({"kind":"Enum","values":["a","b"]})")), table(field(R"({"kind":"Enum","values":["b"]})")), "f",
       "f has no value a any more, and records may have it"},
      {table(field(R"({"kind":"List","item":{"kind":"Int"}})")),
       table(field(R"({"kind":"List","item":{"kind":"Int","required":true}})")), "f[]",
       "f[] is required now, and what is stored may be null or absent"},
      {table(field(R"({"kind":"Object","members":[]})")),
       table(field(R"({"kind":"Object","members":[{"name":"a","type":{"kind":"Int","required":true}}]})")), "f.a",
       "f.a is new and required, and what is stored does not have it"},
      {table(R"(,{"name":"f","type":{"kind":"Int","required":true},"dropped":true})"),
       table(field(R"({"kind":"Int","required":true})")), "f",
       "f is required again, and what was stored without it does not have it"},
      {table(field(R"({"kind":"ID"})")),
       R"({"database":"todo","name":"Task","primaryKey":"f","fields":[{"name":"f","type":{"kind":"ID"}}]})", "f",
       "f cannot become the primary key, which is id"},
      {table(""),
       R"({"database":"todo","name":"Note","primaryKey":"id","fields":[{"name":"id","type":{"kind":"ID"}}]})", "",
       "todo.Task is another table than todo.Note"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.message);
    TableProblem problem;
    const Definition old = read(one.old);
    CHECK_FALSE(evolve(old, read(one.wanted), problem));
    CHECK(problem.field == one.field);
    CHECK(problem.message == one.message);
    CHECK(write_definition(old) == write_definition(read(one.old)));
  }
}

TEST_CASE("dropped fields count") {
  TableProblem problem;
  std::string before;
  for (size_t i = 1; i < Definition::kFields; i++) {
    before += R"(,{"name":"f)" + std::to_string(i) + R"(","type":{"kind":"Int"}})";
  }
  const Definition full = read(table(before));
  CHECK(evolve(full, read(table("")), problem));
  CHECK_FALSE(evolve(full, read(table(R"(,{"name":"new","type":{"kind":"Int"}})")), problem));
  CHECK(problem.message == "With the fields that were dropped it has more than 1024");
}

TEST_CASE(
    "a dropped field that is wanted anew keeps its number under another name, and nothing of it is kept otherwise") {
  TableProblem problem;
  const Definition old = read(table(R"(,{"name":"rank","type":{"kind":"Int"}})"));
  const auto dropped = evolve(old, read(table("")), problem);
  REQUIRE_MESSAGE(dropped, problem.message);
  CHECK_FALSE(evolve(*dropped, read(table(R"(,{"name":"rank","type":{"kind":"String"}})")), problem));
  const auto anew = evolve(*dropped, read(table(R"(,{"name":"rank","type":{"kind":"String"},"anew":true})")), problem);
  REQUIRE_MESSAGE(anew, problem.message);
  const std::string number = std::to_string(*old.number_of("rank"));
  const auto before = anew->number_of("_" + number + "_rank");
  REQUIRE(before);
  CHECK(*before == *old.number_of("rank"));
  CHECK(anew->fields[*before].dropped);
  CHECK(*anew->number_of("rank") == old.fields.size());
  CHECK(write_definition(*anew).find("anew") == std::string::npos);
  CHECK(evolve(read(write_definition(*anew).c_str()), *anew, problem));
}
