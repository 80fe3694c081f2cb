#include "filter.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "byte_buffer.h"
#include "key.h"
#include "record.h"

using namespace tenon::core;

namespace {

Definition definition() {
  TableProblem problem;
  const auto read = read_definition(R"({"database":"todo","name":"Task","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"ID","required":true}},
    {"name":"title","type":{"kind":"String"},"indexed":true},
    {"name":"rank","type":{"kind":"Int"},"indexed":true},
    {"name":"weight","type":{"kind":"Float"}},
    {"name":"open","type":{"kind":"Boolean"}},
    {"name":"due","type":{"kind":"Date"}},
    {"name":"state","type":{"kind":"Enum","values":["open","done"]}},
    {"name":"tags","type":{"kind":"List","item":{"kind":"String"}}},
    {"name":"days","type":{"kind":"List","item":{"kind":"Date"}}},
    {"name":"address","type":{"kind":"Object","members":[{"name":"city","type":{"kind":"String"}},
      {"name":"since","type":{"kind":"Date"}},{"name":"geo","type":{"kind":"List","item":{"kind":"Float"}}}]}},
    {"name":"extra","type":{"kind":"Any"}}]})",
                                    problem);
  REQUIRE_MESSAGE(read, problem.message);
  return *read;
}

std::string record_of(const std::string& json) {
  std::string record;
  TableProblem problem;
  REQUIRE_MESSAGE(make_record(definition(), json, {0, {}, {}}, record, problem), problem.message);
  return record;
}

std::string condition(const std::string& field, const std::string& op, const std::string& value) {
  return R"({"field":")" + field + R"(","op":")" + op + R"(","value":)" + value + "}";
}

Filter filter_of(const std::string& json) {
  TableProblem problem;
  const auto filter = read_filter(definition(), json, problem);
  REQUIRE_MESSAGE(filter, problem.message);
  return *filter;
}

const char* const kRecord =
    R"({"id":"7","title":"buy \"milk\" and bread","rank":3,"weight":0.5,"open":true,"due":"2026-01-31","state":"open",)"
    R"("tags":["a","b\n"],"days":["2026-01-31"],"address":{"city":"Graz","since":"2020-01-01","geo":[47,15.4]},)"
    R"("extra":{"n":1.5,"deep":[{"x":1}],"t":"text","l":["p"],"z":null}})";

std::string text(std::string_view view) { return std::string(view); }

}  // namespace

TEST_CASE("what each op answers") {
  const struct {
    const char* field;
    const char* op;
    const char* value;
    bool met;
  } cases[] = {
      {"id", "eq", "\"7\"", true},
      {"id", "eq", "7", true},
      {"title", "eq", R"("buy \"milk\" and bread")", true},
      {"title", "eq", R"("buy")", false},
      {"title", "ne", R"("buy")", true},
      {"title", "lt", R"("c")", true},
      {"title", "gt", R"("buy")", true},
      {"title", "contains", R"("\"milk\"")", true},
      {"title", "contains", R"("")", true},
      {"title", "contains", R"("Milk")", false},
      {"title", "starts", R"("buy \"")", true},
      {"title", "starts", R"("milk")", false},
      {"title", "ends", R"("bread")", true},
      {"title", "ends", R"("buy \"milk\" and bread and more")", false},
      {"title", "like", R"("buy*bread")", true},
      {"title", "like", R"("*milk*")", true},
      {"title", "like", R"("*")", true},
      {"title", "like", R"("buy")", false},
      {"title", "like", R"("buy*and*and*")", false},
      {"title", "like", R"("*bread*bread")", false},
      {"title", "like", R"("**b**d")", true},
      {"rank", "eq", "3", true},
      {"rank", "ne", "3", false},
      {"rank", "lt", "3", false},
      {"rank", "le", "3", true},
      {"rank", "gt", "2", true},
      {"rank", "ge", "4", false},
      {"rank", "in", "[1,2,3]", true},
      {"rank", "in", "[]", false},
      {"rank", "nin", "[]", true},
      {"rank", "nin", "[1,3]", false},
      {"rank", "null", "true", false},
      {"rank", "null", "false", true},
      {"rank", "gt", "null", true},
      {"rank", "eq", "null", false},
      {"weight", "eq", "0.5", true},
      {"weight", "lt", "1", true},
      {"open", "eq", "true", true},
      {"open", "gt", "false", true},
      {"due", "eq", "\"2026-01-31T01:00:00+01:00\"", true},
      {"due", "le", "1769817600000", true},
      {"due", "lt", "1769817600000", false},
      {"state", "in", R"(["done","open"])", true},
      {"state", "starts", R"("op")", true},
      {"tags", "contains", R"("b\n")", true},
      {"tags", "contains", R"("b")", false},
      {"tags", "contains", "null", false},
      {"tags", "null", "false", true},
      {"days", "contains", "1769817600000", true},
      {"address", "null", "true", false},
      {"address.city", "eq", "\"Graz\"", true},
      {"address.city", "like", "\"G*z\"", true},
      {"address.since", "lt", "\"2020-01-02\"", true},
      {"address.since", "lt", "1577836800000", false},
      {"address.geo", "contains", "47.0", true},
      {"address.geo", "contains", "48", false},
      {"extra.n", "gt", "1", true},
      {"extra.n", "eq", "\"1.5\"", false},
      {"extra.n", "lt", "\"2\"", false},
      {"extra.n", "ne", "\"1.5\"", true},
      {"extra.t", "ends", "\"xt\"", true},
      {"extra.l", "contains", "\"p\"", true},
      {"extra.z", "null", "true", true},
      {"extra.none.at.all", "null", "true", true},
      {"extra.t.below", "null", "true", true},
      {"extra", "eq", "1", false},
  };
  const std::string record = record_of(kRecord);
  for (const auto& one : cases) {
    CAPTURE(one.field);
    CAPTURE(one.op);
    CAPTURE(one.value);
    const std::string json = condition(one.field, one.op, one.value);
    CHECK(matches(filter_of(json), record) == one.met);
    CHECK(matches(filter_of(R"({"not":)" + json + "}"), record) == !one.met);
  }
}

TEST_CASE("null and absent are one, sort first and equal nothing else") {
  for (const char* json : {R"({"id":"1"})", R"({"id":"1","rank":null,"title":null,"tags":null,"address":null})"}) {
    const std::string record = record_of(json);
    const auto met = [&record](const char* field, const char* op, const char* value) {
      return matches(filter_of(condition(field, op, value)), record);
    };
    CHECK(met("rank", "lt", "-5"));
    CHECK(met("rank", "le", "-5"));
    CHECK(met("rank", "ne", "0"));
    CHECK(met("rank", "eq", "null"));
    CHECK(met("rank", "le", "null"));
    CHECK(met("rank", "in", "[0,null]"));
    CHECK_FALSE(met("rank", "eq", "0"));
    CHECK_FALSE(met("rank", "gt", "null"));
    CHECK_FALSE(met("title", "contains", "\"\""));
    CHECK_FALSE(met("title", "like", "\"*\""));
    CHECK_FALSE(met("tags", "contains", "\"a\""));
    CHECK(met("address.city", "null", "true"));
  }
}

TEST_CASE("conditions are joined") {
  const std::string record = record_of(kRecord);
  const std::string yes = condition("rank", "eq", "3");
  const std::string no = condition("rank", "eq", "4");
  CHECK(matches(filter_of(R"({"and":[]})"), record));
  CHECK_FALSE(matches(filter_of(R"({"or":[]})"), record));
  CHECK(matches(filter_of(R"({"and":[)" + yes + "," + yes + "]}"), record));
  CHECK_FALSE(matches(filter_of(R"({"and":[)" + yes + "," + no + "]}"), record));
  CHECK(matches(filter_of(R"({"or":[)" + no + "," + yes + "]}"), record));
  CHECK(matches(filter_of(R"({"and":[{"not":)" + no + R"(},{"or":[)" + yes + "]}]}"), record));
}

TEST_CASE("a filter that is wrong says where") {
  std::string many = R"({"or":[)" + condition("rank", "eq", "1");
  for (size_t i = 1; i < Filter::kConditions; i++) many += "," + condition("rank", "eq", "1");
  std::string deep = condition("rank", "eq", "1");
  for (size_t i = 0; i < Filter::kDepth; i++) deep = R"({"not":)" + deep + "}";
  std::string list = "[0";
  for (int i = 0; i < 1024; i++) list += ",0";
  const std::string shape =
      R"(A condition of a filter has one of "and", "or" and "not", or else "field", "op" and "value")";
  const struct {
    std::string json;
    const char* field;
    std::string message;
  } cases[] = {
      {"{", "", "The filter is not JSON: it ends where there should be more at byte 1"},
      {"{}x", "", "The filter is not JSON: there is more behind its end at byte 2"},
      {"7", "", "A condition of a filter is an object"},
      {"{}", "", shape},
      {R"({"and":[],"or":[]})", "", shape},
      {R"({"field":"rank","op":"eq"})", "", shape},
      {R"({"field":"rank","op":"eq","value":1,"more":1})", "", shape},
      {R"({"field":"rank","op":"eq","field":"rank"})", "", shape},
      {R"({"and":{}})", "", R"("and" of a filter is a list)"},
      {R"({"field":1,"op":"eq","value":1})", "", R"("field" of a filter is a string)"},
      {R"({"field":"rank","op":1,"value":1})", "", R"("op" of a filter is a string)"},
      {condition("rank", "and", "1"), "",
       R"(A filter has no op "and": eq, ne, lt, le, gt, ge, in, nin, contains, starts, ends, like, null)"},
      {condition("colour", "eq", "1"), "colour", "colour is no field of Task"},
      {condition("", "eq", "1"), "", R"(A condition of a filter has an empty "field")"},
      {condition("address.zip", "eq", "1"), "address.zip", "address.zip is nothing that Task has"},
      {condition("rank.x", "eq", "1"), "rank.x", "rank.x is nothing that Task has"},
      {condition("tags", "eq", "1"), "tags", R"(tags is a List, and "eq" is not for it)"},
      {condition("address", "eq", "1"), "address", R"(address is an Object, and "eq" is not for it)"},
      {condition("rank", "starts", "\"1\""), "rank", R"(rank is an Int, and "starts" is not for it)"},
      {condition("rank", "eq", "1.5"), "rank", "rank is an Int and not to be compared with 1.5"},
      {condition("rank", "eq", "\"1\""), "rank", "rank is an Int and not to be compared with \"1\""},
      {condition("rank", "in", "1"), "rank", "rank needs a list of values"},
      {condition("rank", "in", list + "]"), "rank", "rank is compared with more than 1024 values"},
      {condition("rank", "null", "1"), "rank", "rank has \"null\" with a value that is no boolean"},
      {condition("title", "eq", "1"), "title", "title is a String and not to be compared with 1"},
      {condition("title", "contains", "null"), "title", "title is a String and not to be compared with null"},
      {condition("open", "eq", "1"), "open", "open is a Boolean and not to be compared with 1"},
      {condition("due", "eq", "\"x\""), "due", "due is a Date and not to be compared with \"x\""},
      {condition("state", "eq", "\"shut\""), "state", "state has no value \"shut\""},
      {condition("extra", "eq", "{}"), "extra", "extra is Any and not to be compared with {}"},
      {condition("weight", "eq", "1e999"), "weight", "weight is a Float and not to be compared with 1e999"},
      {many + "]}", "", "The filter has more than 256 conditions"},
      {deep, "", "The filter is nested deeper than 16"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.message);
    TableProblem problem;
    CHECK_FALSE(read_filter(definition(), one.json, problem));
    CHECK(problem.field == one.field);
    CHECK(problem.message == one.message);
  }
}

TEST_CASE("the range that an index can answer") {
  const auto both = [](const std::string& left, const std::string& right) {
    return R"({"and":[)" + left + "," + right + "]}";
  };
  const Filter equal = filter_of(condition("rank", "eq", "3"));
  CHECK(range_of(equal, 2).equal);
  CHECK(range_of(equal, 2).lower.integer == 3);
  CHECK_FALSE(range_of(equal, 1).bounded);
  CHECK_FALSE(range_of(filter_of(condition("address.city", "eq", "\"a\"")), 9).bounded);
  CHECK_FALSE(range_of(filter_of(condition("rank", "ne", "3")), 2).bounded);

  const Filter between =
      filter_of(both(condition("rank", "gt", "3"), both(condition("rank", "le", "9"), condition("rank", "lt", "8"))));
  CHECK(range_of(between, 2).lower.integer == 3);
  CHECK(range_of(between, 2).lower_excluded);
  CHECK(range_of(between, 2).upper.integer == 8);
  CHECK(range_of(between, 2).upper_excluded);
  CHECK_FALSE(range_of(between, 2).equal);

  const Filter either =
      filter_of(R"({"or":[)" + condition("rank", "eq", "1") + "," + condition("title", "eq", "\"a\"") + "]}");
  CHECK_FALSE(range_of(either, 2).bounded);

  const Filter list = filter_of(condition("rank", "in", "[5,null,2]"));
  CHECK(range_of(list, 2).lower.kind == TENON_VALUE_NULL);
  CHECK(range_of(list, 2).upper.integer == 5);

  const Filter prefix =
      filter_of(both(condition("title", "starts", "\"ab\""), condition("title", "like", "\"abc*d\"")));
  CHECK(range_of(prefix, 1).prefix == "abc");

  const Filter nothing = filter_of(condition("rank", "null", "true"));
  CHECK(range_of(nothing, 2).equal);
  CHECK(range_of(nothing, 2).lower.kind == TENON_VALUE_NULL);
  const Filter something = filter_of(condition("rank", "null", "false"));
  CHECK(range_of(something, 2).lower_excluded);
  CHECK(range_of(something, 2).upper.kind == TENON_VALUE_ABSENT);

  const std::string word(kIndexedText, 'x');
  const Filter longer = filter_of(condition("title", "gt", "\"" + word + "\""));
  CHECK_FALSE(range_of(longer, 1).lower_excluded);
}

TEST_CASE("no record that a filter meets is outside its range") {
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  const Definition table = definition();
  const auto number = [&random] { return random() % 5 == 0 ? std::string("null") : std::to_string(random() % 6); };
  const char* const ops[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  for (int i = 0; i < 3000; i++) {
    std::string json = R"({"and":[)" + condition("rank", ops[random() % 6], number()) + "," +
                       condition("rank", ops[random() % 6], number()) + "]}";
    const Filter filter = filter_of(json);
    const Range range = range_of(filter, 2);
    const std::string record = record_of(R"({"id":"1","rank":)" + number() + "}");
    if (!matches(filter, record)) continue;
    std::string at;
    std::string lower;
    std::string upper;
    REQUIRE(append_index_value(table.fields[2], value_of(record, 2), at));
    CAPTURE(json);
    CAPTURE(text(json_of(record)));
    if (range.lower.kind != TENON_VALUE_ABSENT) {
      REQUIRE(append_index_value(table.fields[2], range.lower, lower));
      REQUIRE((range.lower_excluded ? lower < at : lower <= at));
    }
    if (range.upper.kind != TENON_VALUE_ABSENT) {
      REQUIRE(append_index_value(table.fields[2], range.upper, upper));
      REQUIRE((range.upper_excluded ? at < upper : at <= upper));
    }
  }
}
