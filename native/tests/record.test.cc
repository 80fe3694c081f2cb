#include "record.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "hash64.h"
#include "key.h"
#include "tenon/ext/tables.h"

using namespace tenon::core;

namespace {

constexpr int64_t kNow = 1769860800123;  // 2026-01-31T12:00:00.123Z

Definition definition_of(const std::string& json) {
  TableProblem problem;
  const auto definition = read_definition(json, problem);
  REQUIRE_MESSAGE(definition, problem.message);
  return *definition;
}

Definition task() {
  return definition_of(R"({"database":"todo","name":"Task","primaryKey":"id","revision":7,"fields":[
    {"name":"id","type":{"kind":"ID","required":true}},
    {"name":"title","type":{"kind":"String","required":true}},
    {"name":"rank","type":{"kind":"Int"}},
    {"name":"weight","type":{"kind":"Float"}},
    {"name":"open","type":{"kind":"Boolean"}},
    {"name":"due","type":{"kind":"Date"}},
    {"name":"state","type":{"kind":"Enum","values":["open","done"]}},
    {"name":"tags","type":{"kind":"List","item":{"kind":"String","required":true}}},
    {"name":"address","type":{"kind":"Object","members":[
      {"name":"city","type":{"kind":"String","required":true}},
      {"name":"since","type":{"kind":"Date"}},
      {"name":"geo","type":{"kind":"List","item":{"kind":"Float"}}}]}},
    {"name":"extra","type":{"kind":"Any"}}]})");
}

Definition timed(const std::string& type, const std::string& expiration = "0") {
  return definition_of(R"({"database":"todo","name":"Timed","primaryKey":"id","expirationMs":)" + expiration +
                       R"(,"fields":[{"name":"id","type":{"kind":"Int"}},
    {"name":"made","type":{"kind":")" +
                       type + R"("},"role":"createdTime"},{"name":"touched","type":{"kind":")" + type +
                       R"("},"role":"updatedTime"},{"name":"gone","type":{"kind":")" + type +
                       R"("},"role":"expiresAt"}]})");
}

std::string made(const Definition& definition, const std::string& json, const RecordOrigin& origin) {
  std::string record = "what was in it before";
  TableProblem problem;
  const bool good = make_record(definition, json, origin, record, problem);
  REQUIRE_MESSAGE(good, problem.message);
  REQUIRE(is_record(record));
  return record;
}

std::string made(const Definition& definition, const std::string& json) {
  return made(definition, json, {kNow, {}, {}});
}

std::string canonical(const Definition& definition, const std::string& json) {
  return std::string(json_of(made(definition, json)));
}

TableProblem refused(const Definition& definition, const std::string& json,
                     const RecordOrigin& origin = {kNow, {}, {}}) {
  std::string record;
  TableProblem problem;
  CHECK_MESSAGE(!make_record(definition, json, origin, record, problem), json);
  return problem;
}

std::string patched(const Definition& definition, const std::string& previous, const std::string& patch) {
  std::string record;
  TableProblem problem;
  const std::string before = made(definition, previous);
  const bool good = patch_record(definition, patch, {kNow, before, {}}, record, problem);
  REQUIRE_MESSAGE(good, problem.message);
  REQUIRE(is_record(record));
  return std::string(json_of(record));
}

std::string text(const tenon_value_t& value) { return {value.text.data, value.text.size}; }

}  // namespace

TEST_CASE("a record in canonical form stays as it is") {
  const std::string json =
      R"({"id":"1","title":"buy milk","rank":3,"weight":0.5,"open":true,"due":"2026-01-31T00:00:00.000Z","state":"open",)"
      R"("tags":["a","b"],"address":{"city":"Graz","geo":[47.1,15.4]},"extra":{"b":[1,{"c":null}],"a":"x"}})";
  CHECK(canonical(task(), json) == json);
}

TEST_CASE("the canonical form of a value") {
  const struct {
    const char* name;
    const char* given;
    const char* kept;
  } cases[] = {
      {"rank", " -0 ", "0"},
      {"rank", "9007199254740991", "9007199254740991"},
      {"rank", "-9007199254740991", "-9007199254740991"},
      {"rank", "null", "null"},
      {"weight", "3", "3"},
      {"weight", "3.0", "3"},
      {"weight", "1e3", "1000"},
      {"weight", "-0", "0"},
      {"weight", "-0.0e5", "0"},
      {"weight", "100000", "100000"},
      {"weight", "1E400", nullptr},
      {"weight", "1e-400", "0"},
      {"weight", "0.1000000000000000055511151231257827", "0.1"},
      {"weight", "1e21", "1e+21"},
      {"weight", "0e99999999999999999999", "0"},
      {"weight", "5e-324", "5e-324"},
      {"open", "false", "false"},
      {"due", "0", R"("1970-01-01T00:00:00.000Z")"},
      {"due", "1769860800123", R"("2026-01-31T12:00:00.123Z")"},
      {"due", R"("2024-02-29")", R"("2024-02-29T00:00:00.000Z")"},
      {"due", R"("2026-01-31T12:00:00.5+02:00")", R"("2026-01-31T10:00:00.500Z")"},
      {"title", R"("A\u00e9\ud83d\ude00\/")", R"("Aé😀/")"},
      {"title", R"("\u0000\n\"\\\u001F")", R"("\u0000\n\"\\\u001f")"},
      {"state", R"("d\u006fne")", R"("done")"},
      {"tags", "[ ]", "[]"},
      {"tags", R"([ "a" , "\u0062" ])", R"(["a","b"])"},
      {"address", R"({ "geo" : [ 1.50, null ], "city": "Graz" })", R"({"city":"Graz","geo":[1.5,null]})"},
      {"address", R"({"city":"Graz","since":0})", R"({"city":"Graz","since":"1970-01-01T00:00:00.000Z"})"},
      {"extra", R"( { "b" : [ 1 , 2.50 ], "a" : " \u0062 \" " } )", R"({"b":[1,2.50],"a":" \u0062 \" "})"},
      {"extra", "\"text\"", "\"text\""},
      {"extra", "null", "null"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.name);
    CAPTURE(one.given);
    const bool title = std::string(one.name) == "title";
    const std::string head = title ? R"({"id":"1")" : R"({"id":"1","title":"t")";
    const std::string json = head + ",\"" + one.name + "\":" + one.given + "}";
    if (one.kept == nullptr) {
      CHECK(refused(task(), json).field == one.name);
      continue;
    }
    const std::string kept = canonical(task(), json);
    CHECK(kept == head + ",\"" + one.name + "\":" + one.kept + "}");
    CHECK(canonical(task(), kept) == kept);
  }
}

TEST_CASE("the order and the white space of the text do not matter") {
  const std::string ordered = made(task(), R"({"id":"1","title":"t","rank":3,"address":{"city":"Graz","geo":[]}})");
  CHECK(made(task(), "\n{ \"rank\" : 3,\t\"address\":{\"geo\":[],\"city\":\"Graz\"}, \"title\":\"t\", \"id\":1 } ") ==
        ordered);
  CHECK(made(task(), R"({"\u0069d":"1","title":"t","rank":3,"address":{"ci\u0074y":"Graz","geo":[]}})") == ordered);
}

TEST_CASE("the fields of a record are read without its text") {
  const std::string record = made(
      task(), R"({"id":"1","title":"a\nb","rank":-5,"weight":2.5,"open":true,"due":1000,"state":"done","tags":["x"]})");
  CHECK(text(value_of(record, 0)) == "1");
  CHECK(value_of(record, 1).escaped == 1);
  CHECK(text(value_of(record, 1)) == "a\\nb");
  CHECK(value_of(record, 2).integer == -5);
  CHECK(text(value_of(record, 2)) == "-5");
  CHECK(value_of(record, 3).number == 2.5);
  CHECK(value_of(record, 4).kind == TENON_VALUE_BOOLEAN);
  CHECK(value_of(record, 4).integer == 1);
  CHECK(value_of(record, 5).kind == TENON_VALUE_DATE);
  CHECK(value_of(record, 5).integer == 1000);
  CHECK(text(value_of(record, 5)) == "\"1970-01-01T00:00:01.000Z\"");
  CHECK(text(value_of(record, 6)) == "done");
  CHECK(value_of(record, 7).kind == TENON_VALUE_JSON);
  CHECK(text(value_of(record, 7)) == "[\"x\"]");
  CHECK(value_of(record, 8).kind == TENON_VALUE_ABSENT);
  CHECK(value_of(record, 99).kind == TENON_VALUE_ABSENT);
  CHECK(tenon_load32(record.data() + 4) == 7);
}

TEST_CASE("what breaks the definition names the field and the cause") {
  const struct {
    const char* json;
    const char* field;
    const char* message;
  } cases[] = {
      {R"({"id":"1"})", "title", "title is required and missing"},
      {R"({"id":"1","title":null})", "title", "title must not be null"},
      {R"({"id":null,"title":"t"})", "id", "id must not be null"},
      {R"({"id":"1","title":3})", "title", "title is a number, not a String"},
      {R"({"id":true,"title":"t"})", "id", "id is true or false, not an ID"},
      {R"({"id":1.5,"title":"t"})", "id", "id is 1.5, and an ID is written without fraction and exponent"},
      {R"({"id":"","title":"t"})", "id", "id is the primary key and must not be empty"},
      {R"({"id":"a\u0000","title":"t"})", "id", "id is the primary key and must not have the character U+0000"},
      {R"({"id":"1","title":"t","rank":1e3})", "rank",
       "rank is 1e3, and an Int is written without fraction and exponent"},
      {R"({"id":"1","title":"t","rank":3.0})", "rank",
       "rank is 3.0, and an Int is written without fraction and exponent"},
      {R"({"id":"1","title":"t","rank":9007199254740992})", "rank",
       "rank is 9007199254740992, beyond ±9007199254740991"},
      {R"({"id":"1","title":"t","rank":"3"})", "rank", "rank is a string, not an Int"},
      {R"({"id":"1","title":"t","weight":1e309})", "weight", "weight is 1e309, too great for a Float"},
      {R"({"id":"1","title":"t","weight":"1"})", "weight", "weight is a string, not a Float"},
      {R"({"id":"1","title":"t","open":1})", "open", "open is a number, not a Boolean"},
      {R"({"id":"1","title":"t","due":"tomorrow"})", "due",
       R"(due is "tomorrow", not a date as in 2026-01-31 or 2026-01-31T12:00:00.000Z)"},
      {R"({"id":"1","title":"t","due":1e15})", "due",
       "due is 1e15, and a Date is written without fraction and exponent"},
      {R"({"id":"1","title":"t","due":253402300800000})", "due",
       "due is 253402300800000, beyond the years 0000 to 9999"},
      {R"({"id":"1","title":"t","due":[]})", "due", "due is a list, not a Date"},
      {R"({"id":"1","title":"t","state":"shut"})", "state", R"(state is "shut", not one of open, done)"},
      {R"({"id":"1","title":"t","tags":"a"})", "tags", "tags is a string, not a List"},
      {R"({"id":"1","title":"t","tags":["a",null]})", "tags[1]", "tags[1] must not be null"},
      {R"({"id":"1","title":"t","tags":["a","b",{}]})", "tags[2]", "tags[2] is an object, not a String"},
      {R"({"id":"1","title":"t","address":{}})", "address.city", "address.city is required and missing"},
      {R"({"id":"1","title":"t","address":{"city":7}})", "address.city", "address.city is a number, not a String"},
      {R"({"id":"1","title":"t","address":{"city":"a","geo":[1,"b"]}})", "address.geo[1]",
       "address.geo[1] is a string, not a Float"},
      {R"({"id":"1","title":"t","address":{"city":"a","zip":1}})", "address.zip", R"(address has no member "zip")"},
      {R"({"id":"1","title":"t","address":{"city":"a","city":"b"}})", "address.city", "address.city is there twice"},
      {R"({"id":"1","title":"t","address":[]})", "address", "address is a list, not an Object"},
      {R"({"id":"1","title":"t","extra":{"a":[{"b":1,"\u0062":2}]}})", "extra", R"(extra has the member "b" twice)"},
      {R"({"id":"1","title":"t","colour":1})", "colour", R"(Task has no field "colour")"},
      {R"({"id":"1","title":"t","__proto__":{}})", "__proto__", R"(Task has no field "__proto__")"},
      {R"({"id":"1","title":"t","id":"1"})", "id", "id is there twice"},
      {R"([])", "", "A record of Task is an object"},
      {R"("text")", "", "A record of Task is an object"},
      {"", "", "The text is not JSON: it ends where there should be more at byte 0"},
      {R"({"id":"1","title":"t")", "", "The text is not JSON: it ends where there should be more at byte 21"},
      {R"({"id":"1","title":"t"}x)", "", "The text is not JSON: there is more behind its end at byte 22"},
      {R"({"id":"1","title":"t","rank":01})", "", "The text is not JSON: expected , or } at byte 30"},
      {R"({"id":"1","title":"t","rank":+1})", "", "The text is not JSON: expected a value at byte 29"},
      {R"({"id":"1","title":"\ud800"})", "", "The text is not JSON: a string has a wrong escape at byte 19"},
      {R"({"id":"1","title":"\udc00\ud800"})", "", "The text is not JSON: a string has a wrong escape at byte 19"},
      {"{\"id\":\"1\",\"title\":\"\xff\"}", "", "The text is not JSON: a string is not UTF-8 at byte 19"},
      {"{\"id\":\"1\",\"title\":\"\xed\xa0\x80\"}", "", "The text is not JSON: a string is not UTF-8 at byte 19"},
      {"{\"id\":\"1\",\"title\":\"a\nb\"}", "", "The text is not JSON: a string has a control character at byte 20"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.json);
    const TableProblem problem = refused(task(), one.json);
    CHECK(problem.field == one.field);
    CHECK(problem.message == one.message);
  }
}

TEST_CASE("a record is refused where it is too deep, too large or its key too long") {
  const std::string head = R"({"id":"1","title":"t","extra":)";
  CHECK(canonical(task(), head + std::string(63, '[') + std::string(63, ']') + "}").size() == head.size() + 127);
  CHECK(refused(task(), head + std::string(64, '[') + std::string(64, ']') + "}").message ==
        "The text is not JSON: it is nested deeper than 64 at byte 93");
  const std::string large(TENON_TABLE_RECORD_LIMIT, 'x');
  CHECK(refused(task(), R"({"id":"1","title":")" + large + "\"}").message ==
        "A record of Task has at most 16 MiB of JSON");
  CHECK(refused(task(), R"({"title":"t","id":")" + std::string(1025, 'x') + "\"}").field == "id");

  std::string dates = R"({"id":"1","days":[0)";
  for (int i = 0; i < 1000000; i++) dates.append(",0");
  const Definition days = definition_of(R"({"database":"d","name":"Days","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"ID"}},{"name":"days","type":{"kind":"List","item":{"kind":"Date"}}}]})");
  CHECK(refused(days, dates + "]}").message == "A record of Days has at most 16 MiB of JSON");
}

TEST_CASE("an ID that is missing is a fresh UUID of version 7") {
  const std::string record = made(task(), R"({"title":"t"})");
  const std::string id = text(value_of(record, 0));
  REQUIRE(id.size() == 36);
  CHECK(id.substr(0, 15) == "019c13ec-9e7b-7");
  CHECK(id.find_first_not_of("0123456789abcdef-") == std::string::npos);
  CHECK(std::string("89ab").find(id[19]) != std::string::npos);
  CHECK(text(value_of(made(task(), R"({"title":"t"})"), 0)) != id);
  CHECK(refused(timed("Date"), "{}").message == "id is the primary key and missing");
}

TEST_CASE("the key in the path and the key in the body are one") {
  CHECK(json_of(made(task(), R"({"title":"t"})", {kNow, {}, "7"})) == R"({"id":"7","title":"t"})");
  CHECK(json_of(made(task(), R"({"id":7,"title":"t"})", {kNow, {}, "7"})) == R"({"id":"7","title":"t"})");
  const TableProblem problem = refused(task(), R"({"id":"8","title":"t"})", {kNow, {}, "7"});
  CHECK(problem.field == "id");
  CHECK(problem.message == R"(id is "7" in the path and "8" in the body)");
  std::string key;
  TableProblem none;
  REQUIRE(append_key_text(timed("Int"), "-12", key, none));
  CHECK(value_of(made(timed("Int"), "{}", {kNow, {}, key}), 0).integer == -12);
}

TEST_CASE("times are the host's, whatever the client sends") {
  for (const std::string type : {"Date", "Int", "Float"}) {
    CAPTURE(type);
    const std::string now = type == "Date" ? "\"2026-01-31T12:00:00.123Z\"" : "1769860800123";
    const std::string later = type == "Date" ? "\"2026-01-31T12:00:01.123Z\"" : "1769860801123";
    const Definition definition = timed(type);
    const std::string first = made(definition, R"({"id":1,"made":"long ago","touched":[]})");
    const std::string float_now = type == "Float" ? std::string(text(value_of(first, 1))) : now;
    CHECK(json_of(first) == "{\"id\":1,\"made\":" + float_now + ",\"touched\":" + float_now + "}");
    CHECK(expiry_of(first) == 0);
    const std::string second = made(definition, R"({"touched":3,"id":1})", {kNow + 1000, first, {}});
    CHECK(text(value_of(second, 1)) == float_now);
    if (type != "Float") CHECK(text(value_of(second, 2)) == later);
    if (type == "Float") CHECK(value_of(second, 2).number == 1769860801123.0);
  }
}

TEST_CASE("a record expires when the client or the table says") {
  CHECK(expiry_of(made(timed("Date"), R"({"id":1,"gone":5000})")) == 5000);
  CHECK(expiry_of(made(timed("Float"), R"({"id":1,"gone":5000.75})")) == 5000);
  CHECK(expiry_of(made(timed("Int"), R"({"id":1,"gone":0})")) == 1);
  CHECK(expiry_of(made(timed("Date", "60000"), R"({"id":1})")) == kNow + 60000);
  CHECK(text(value_of(made(timed("Date", "60000"), R"({"id":1})"), 3)) == "\"2026-01-31T12:01:00.123Z\"");
  CHECK(expiry_of(made(timed("Date", "60000"), R"({"id":1,"gone":5000})")) == 5000);
  CHECK(expiry_of(made(timed("Date", "60000"), R"({"id":1,"gone":null})")) == 0);
  const Definition plain = definition_of(R"({"database":"d","name":"Plain","primaryKey":"id","expirationMs":1000,
    "fields":[{"name":"id","type":{"kind":"ID"}}]})");
  CHECK(expiry_of(made(plain, R"({"id":"1"})")) == kNow + 1000);
}

TEST_CASE("a patch changes the members it has") {
  const std::string before =
      R"({"id":"1","title":"t","rank":3,"tags":["a"],"address":{"city":"Graz","geo":[1]},"extra":{"a":{"b":1,"c":2},"d":3}})";
  CHECK(patched(task(), before, "{}") == before);
  CHECK(
      patched(task(), before, R"({"rank":4})") ==
      R"({"id":"1","title":"t","rank":4,"tags":["a"],"address":{"city":"Graz","geo":[1]},"extra":{"a":{"b":1,"c":2},"d":3}})");
  CHECK(patched(task(), before, R"({"extra":{"e":[],"a":{"c":null}},"rank":null,"tags":[],"address":{"since":0}})") ==
        R"({"id":"1","title":"t","rank":null,"tags":[],"address":{"city":"Graz","since":"1970-01-01T00:00:00.000Z",)"
        R"("geo":[1]},"extra":{"a":{"b":1,"c":null},"d":3,"e":[]}})");
  CHECK(patched(task(), before, R"({"extra":7,"id":1,"weight":1})") ==
        R"({"id":"1","title":"t","rank":3,"weight":1,"tags":["a"],"address":{"city":"Graz","geo":[1]},"extra":7})");
}

TEST_CASE("a patch that breaks the definition is refused") {
  const struct {
    const char* patch;
    const char* field;
    const char* message;
  } cases[] = {
      {R"({"id":"2"})", "id", R"(id is "1" in the path and "2" in the body)"},
      {R"({"title":null})", "title", "title must not be null"},
      {R"({"address":{"city":null}})", "address.city", "address.city must not be null"},
      {R"({"address":{"zip":1}})", "address.zip", R"(address has no member "zip")"},
      {R"({"address":{"city":"a","city":"b"}})", "address.city", "address.city is there twice"},
      {R"({"extra":{"a":1,"a":2}})", "extra", R"(extra has the member "a" twice)"},
      {R"({"rank":1,"rank":1})", "rank", "rank is there twice"},
      {R"({"colour":1})", "colour", R"(Task has no field "colour")"},
      {"7", "", "A record of Task is an object"},
      {"{", "", "The text is not JSON: it ends where there should be more at byte 1"},
  };
  const std::string before =
      made(task(), R"({"id":"1","title":"t","address":{"city":"Graz"},"extra":{"a":{"b":1},"c":2}})");
  for (const auto& one : cases) {
    CAPTURE(one.patch);
    std::string record;
    TableProblem problem;
    CHECK(!patch_record(task(), one.patch, {kNow, before, {}}, record, problem));
    CHECK(problem.field == one.field);
    CHECK(problem.message == one.message);
  }
}

TEST_CASE("a patch keeps the time a record was made and what was set to expire") {
  const std::string first = made(timed("Date", "60000"), R"({"id":1})");
  std::string second;
  TableProblem problem;
  REQUIRE(patch_record(timed("Date", "60000"), "{}", {kNow + 5, first, {}}, second, problem));
  CHECK(value_of(second, 1).integer == kNow);
  CHECK(value_of(second, 2).integer == kNow + 5);
  CHECK(expiry_of(second) == kNow + 60000);
}

TEST_CASE("a record written before a field came is read and patched") {
  TableProblem problem;
  const Definition old = definition_of(R"({"database":"d","name":"T","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"ID"}},{"name":"size","type":{"kind":"Int"}},
    {"name":"gone","type":{"kind":"String","required":true}}]})");
  const Definition wanted = definition_of(R"({"database":"d","name":"T","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"ID"}},{"name":"size","type":{"kind":"Float"}},{"name":"more","type":{"kind":"Date"}}]})");
  const auto now = evolve(old, wanted, problem);
  REQUIRE_MESSAGE(now, problem.message);
  const std::string before = made(old, R"({"id":"1","size":3,"gone":"x"})");
  CHECK(value_of(before, 3).kind == TENON_VALUE_ABSENT);
  std::string after;
  REQUIRE(patch_record(*now, R"({"more":0})", {kNow, before, {}}, after, problem));
  CHECK(json_of(after) == R"({"id":"1","size":3,"gone":"x","more":"1970-01-01T00:00:00.000Z"})");
  CHECK(value_of(after, 1).kind == TENON_VALUE_FLOAT);
  CHECK(canonical(*now, R"({"id":"1"})") == R"({"id":"1"})");
}

TEST_CASE("values and members are found among many, and what is amiss with them is named, also after a change") {
  const auto wide = [](int count) {
    std::string values;
    std::string members;
    for (int number = count; number > 0; number--) {
      values += (values.empty() ? "\"v" : ",\"v") + std::to_string(number) + '"';
      members += R"({"name":"m)" + std::to_string(number) + R"(","type":{"kind":"Int"}},)";
    }
    return definition_of(
        R"({"database":"d","name":"Wide","primaryKey":"id","fields":[{"name":"id","type":{"kind":"ID"}},
      {"name":"list","type":{"kind":"List","item":{"kind":"Enum","values":[)" +
        values + R"(]}}},{"name":"some","type":{"kind":"List","item":{"kind":"Object","members":[)" + members +
        R"({"name":"last","type":{"kind":"Int","required":true}}]}}}]})");
  };
  TableProblem problem;
  const auto grown = evolve(wide(200), wide(1000), problem);
  REQUIRE_MESSAGE(grown, problem.message);
  for (const Definition& definition : {wide(1000), *grown}) {
    const std::string good = R"({"id":"a","list":["v1000","v1","v500"],"some":[{"m200":1,"m7":2,"last":3}]})";
    CHECK(canonical(definition, good) == good);
    CHECK(canonical(definition,
                    R"({"some":[{"last":3,"m7":2,"m20\u0030":1}],"list":["v1000","v1","v500"],"id":"a"})") == good);
    CHECK(refused(definition, R"({"id":"a","list":["v1","v1001"]})").field == "list[1]");
    const auto wrong = [&](const std::string& object) {
      return refused(definition, R"({"id":"a","some":[{"last":1},)" + object + "]}").message;
    };
    CHECK(wrong(R"({"m5":1})") == "some[1].last is required and missing");
    CHECK(wrong(R"({"m5":1,"last":1,"m5":1})") == "some[1].m5 is there twice");
    CHECK(wrong(R"({"m5":1,"m5000":1,"last":1})") == R"(some[1] has no member "m5000")");
    CHECK(wrong(R"({"last":1,"m5":"x"})") == "some[1].m5 is a string, not an Int");
    std::string many;
    for (int count = 0; count < 2000; count++) many += R"("m3":1,)";
    CHECK(wrong("{" + many + R"("last":1})") == "some[1].m3 is there twice");
  }
}

TEST_CASE("a projection has the fields that were asked for, in their order") {
  const std::string record = made(task(), R"({"id":"1","title":"a\nb","due":0,"tags":["x"]})");
  const auto projected = [&record](const std::vector<uint32_t>& fields) {
    std::string json;
    project(task(), record, fields, json);
    return json;
  };
  CHECK(projected({}) == json_of(record));
  CHECK(projected({7, 1, 5}) == R"({"tags":["x"],"title":"a\nb","due":"1970-01-01T00:00:00.000Z"})");
  CHECK(projected({2, 99}) == "{}");
}

TEST_CASE("the revision is a hash of the text alone") {
  CHECK(hash64("") == 0xef46db3751d8e999u);
  CHECK(hash64("a") == 0xd24ec4f1a98c6e5bu);
  CHECK(hash64("abc") == 0x44bc2cf5ad770999u);
  CHECK(hash64("Nobody inspects the spammish repetition") == 0xfbcea83c8a378bf1u);
  const std::string record = made(task(), R"({"id":"1","title":"t"})");
  CHECK(revision_of(record) == hash64(R"({"id":"1","title":"t"})"));
}

TEST_CASE("bytes that are no record are known as such") {
  const std::string record = made(task(), R"({"id":"1","title":"t"})");
  for (size_t size = 0; size + 1 < record.size(); size++) CHECK_FALSE(is_record(std::string(record, 0, size)));
  const auto changed = [&record](size_t at, char value) {
    std::string bytes = record;
    bytes[at] = value;
    return is_record(bytes);
  };
  CHECK_FALSE(changed(0, 2));
  CHECK_FALSE(changed(1, 1));
  CHECK_FALSE(changed(2, 100));
  CHECK_FALSE(changed(TENON_RECORD_HEAD, 120));
  CHECK_FALSE(changed(TENON_RECORD_HEAD, 1));
  CHECK_FALSE(changed(TENON_RECORD_HEAD + 4, 2));
  CHECK_FALSE(changed(TENON_RECORD_HEAD + 7, '\x80'));
}

TEST_CASE("dates are read and written") {
  const struct {
    const char* text;
    int64_t ms;
  } cases[] = {
      {"1970-01-01", 0},
      {"1969-12-31T23:59:59.999Z", -1},
      {"2000-02-29T00:00Z", 951782400000},
      {"2026-01-31T12:00:00Z", 1769860800000},
      {"2026-01-31T12:00:00.1234567Z", 1769860800123},
      {"2026-01-31T14:30:00+02:30", 1769860800000},
      {"2026-01-31T09:00:00-03:00", 1769860800000},
      {"0000-01-01", kFirstDate},
      {"9999-12-31T23:59:59.999Z", kLastDate},
      {"1769860800000", 1769860800000},
      {"-1", -1},
  };
  for (const auto& one : cases) {
    CAPTURE(one.text);
    int64_t ms = 42;
    CHECK(parse_date(one.text, ms));
    CHECK(ms == one.ms);
  }
  for (const char* wrong : {"",
                            "-",
                            "2026",
                            "2026-1-1",
                            "2026-13-01",
                            "2026-00-01",
                            "2026-02-29",
                            "2026-01-32",
                            "2026-01-31T",
                            "2026-01-31T12",
                            "2026-01-31T12:00",
                            "2026-01-31T12:00:00",
                            "2026-01-31T24:00:00Z",
                            "2026-01-31T12:60:00Z",
                            "2026-01-31T12:00:60Z",
                            "2026-01-31T12:00:00.Z",
                            "2026-01-31 12:00:00Z",
                            "2026-01-31T12:00:00Zx",
                            "2026-01-31T12:00:00+24:00",
                            "2026-01-31T12:00:00+0200",
                            "0000-01-01T00:00:00+00:01",
                            "10000-01-01",
                            "9999-12-31T23:59:59-00:01",
                            "9999999999999999",
                            "253402300800000"}) {
    CAPTURE(wrong);
    int64_t ms = 42;
    const bool four_digits = std::string(wrong) == "2026";
    CHECK(parse_date(wrong, ms) == four_digits);
    CHECK_FALSE(parse_iso_date(wrong, ms));
  }
}

TEST_CASE("every date reads back") {
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int64_t> dates(kFirstDate, kLastDate);
  for (int i = 0; i < 20000; i++) {
    const int64_t ms = dates(random);
    std::string text;
    append_date(ms, text);
    int64_t read = 0;
    REQUIRE(parse_iso_date(text, read));
    REQUIRE(read == ms);
  }
}
