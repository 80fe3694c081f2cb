#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "key.h"
#include "record.h"
#include "store.h"
#include "store_harness.h"

using namespace tenon::core;
using namespace tenon::test;

namespace {

const char* const kWide = R"({"database":"d","name":"Wide","primaryKey":"id","fields":[
  {"name":"id","type":{"kind":"ID","required":true}},
  {"name":"state","type":{"kind":"String"},"indexed":true},
  {"name":"rank","type":{"kind":"Int"},"indexed":true},
  {"name":"score","type":{"kind":"Float"}},
  {"name":"name","type":{"kind":"String"}},
  {"name":"done","type":{"kind":"Boolean"},"indexed":true}]})";

struct Row {
  std::string id;
  std::string record;
};

std::string value_or_null(std::mt19937& random, const std::string& value) { return random() % 6 == 0 ? "null" : value; }

std::string random_row(std::mt19937& random, const std::string& id) {
  const char* const states[] = {"\"open\"", "\"done\"", "\"op\"", "\"\"", "\"z\\u0000y\"", "\"z\\u0000\""};
  return "{\"id\":\"" + id + "\",\"state\":" + value_or_null(random, states[random() % 6]) +
         ",\"rank\":" + value_or_null(random, std::to_string(static_cast<int>(random() % 21) - 10)) +
         ",\"score\":" + value_or_null(random, std::to_string(static_cast<double>(random() % 9) / 4 - 1)) +
         ",\"name\":" + value_or_null(random, "\"n" + std::to_string(random() % 5) + "\"") +
         ",\"done\":" + value_or_null(random, random() % 2 == 0 ? "true" : "false") + "}";
}

std::string random_condition(std::mt19937& random) {
  const char* const conditions[] = {
      R"({"field":"state","op":"eq","value":"open"})",     R"({"field":"state","op":"starts","value":"o"})",
      R"({"field":"state","op":"eq","value":null})",       R"({"field":"rank","op":"gt","value":3})",
      R"({"field":"rank","op":"le","value":-2})",          R"({"field":"rank","op":"eq","value":5})",
      R"({"field":"id","op":"ge","value":"r1"})",          R"({"field":"id","op":"starts","value":"r2"})",
      R"({"field":"id","op":"eq","value":"r17"})",         R"({"field":"score","op":"lt","value":0.5})",
      R"({"field":"name","op":"in","value":["n1","n3"]})", R"({"field":"done","op":"eq","value":true})",
      R"({"field":"rank","op":"null","value":false})",     R"({"field":"state","op":"in","value":["open","z\u0000"]})"};
  return conditions[random() % (sizeof conditions / sizeof conditions[0])];
}

std::string random_filter(std::mt19937& random) {
  switch (random() % 4) {
    case 0:
      return R"({"and":[]})";
    case 1:
      return random_condition(random);
    case 2:
      return R"({"and":[)" + random_condition(random) + "," + random_condition(random) + "]}";
    default:
      return R"({"or":[)" + random_condition(random) + "," + random_condition(random) + "]}";
  }
}

// The order of two records by one field, said without the store's own keys.
int compare(const std::string& one, const std::string& other, uint32_t field) {
  const tenon_value_t left = value_of(one, field);
  const tenon_value_t right = value_of(other, field);
  const bool left_null = left.kind <= TENON_VALUE_NULL;
  const bool right_null = right.kind <= TENON_VALUE_NULL;
  if (left_null || right_null) return static_cast<int>(right_null) - static_cast<int>(left_null);
  if (left.kind == TENON_VALUE_TEXT) {
    const auto text = [](const tenon_value_t& value) {
      const std::string_view raw(value.text.data, value.text.size);
      return value.escaped != 0 ? unescaped(raw) : std::string(raw);
    };
    return text(left).compare(text(right));
  }
  if (left.kind == TENON_VALUE_FLOAT) return left.number < right.number ? -1 : left.number > right.number ? 1 : 0;
  return left.integer < right.integer ? -1 : left.integer > right.integer ? 1 : 0;
}

std::vector<Row> model_answer(const std::map<std::string, std::string>& rows, const Query& query, uint32_t primary) {
  std::vector<Row> found;
  for (const auto& [id, record] : rows) {
    if (matches(query.filter, record)) found.push_back({id, record});
  }
  std::sort(found.begin(), found.end(), [&](const Row& one, const Row& other) {
    bool descends = false;
    for (const Query::Order& order : query.order) {
      descends = order.descending;
      if (order.field == primary) break;
      const int result = compare(one.record, other.record, order.field);
      if (result != 0) return descends ? result > 0 : result < 0;
    }
    return descends ? other.id < one.id : one.id < other.id;
  });
  return found;
}

std::string lines_of(const std::vector<Row>& rows, size_t begin, size_t end) {
  std::string text;
  for (size_t at = begin; at < end; at++) text.append(json_of(rows[at].record)).append("\n");
  return text;
}

Page page_of(Store& store, const Table& table, const Query& query) {
  StoreFailure failure;
  auto page = store.query(table, query, failure);
  REQUIRE_MESSAGE(page.has_value(), failure.problem.message);
  return *page;
}

}  // namespace

TEST_CASE("whatever is asked, the answer is that of a sorted list, page by page in both directions") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kWide);
  const Definition definition = *store->definition(*table);
  std::map<std::string, std::string> rows;
  std::map<std::string, int> plans;
  std::mt19937 random(7);
  for (int step = 0; step < 400; step++) {
    const std::string id = "r" + std::to_string(random() % 300);
    if (random() % 8 == 0) {
      write(*store, removal(table, id));
      rows.erase(id);
      continue;
    }
    const std::string json = random_row(random, id);
    REQUIRE(write(*store, put(table, json)));
    TableProblem problem;
    REQUIRE(make_record(definition, json, {0, {}, {}}, rows[id], problem));
  }
  for (int count = 0; count < 600; count++) {
    Query query;
    const std::string filter = random_filter(random);
    query.filter = filter_of(*store, *table, filter);
    const size_t orders = random() % 3;
    for (size_t at = 0; at < orders; at++) {
      query.order.push_back({static_cast<uint32_t>(random() % definition.fields.size()), random() % 2 == 0});
    }
    query.lines = true;
    query.limit = 1 + random() % 40;
    const auto expected = model_answer(rows, query, definition.primary);
    INFO(filter << " limit " << query.limit);
    for (const Query::Order& order : query.order) INFO(order.field << (order.descending ? " down" : " up"));
    // Forwards.
    size_t at = 0;
    std::string last;
    for (bool more = true; more;) {
      query.after = last;
      const Page page = page_of(*store, *table, query);
      plans[page.plan]++;
      const size_t end = std::min<size_t>(at + query.limit, expected.size());
      REQUIRE(page.json == lines_of(expected, at, end));
      REQUIRE(page.count == end - at);
      REQUIRE(page.more == (end < expected.size()));
      at = end;
      last = page.last;
      more = page.more;
    }
    // Backwards, from the end.
    query.backwards = true;
    query.after.clear();
    size_t rest = expected.size();
    for (bool more = true; more;) {
      const Page page = page_of(*store, *table, query);
      const size_t begin = rest - std::min<size_t>(query.limit, rest);
      REQUIRE(page.json == lines_of(expected, begin, rest));
      REQUIRE(page.more == (begin > 0));
      rest = begin;
      query.after = page.first;
      more = page.more;
    }
    query.backwards = false;
    query.after.clear();
    query.offset = random() % 50;
    const size_t begin = std::min<size_t>(query.offset, expected.size());
    const size_t end = std::min<size_t>(begin + query.limit, expected.size());
    REQUIRE(page_of(*store, *table, query).json == lines_of(expected, begin, end));
    StoreFailure failure;
    REQUIRE(store->count(*table, query.filter, failure) == expected.size());
  }
  for (const char* const plan :
       {"scan", "primary", "index state", "index rank", "scan and sort", "index state and sort"}) {
    CHECK_MESSAGE(plans[plan] > 0, plan);
  }
}

TEST_CASE("a scan goes through what it was asked for, as it was when it began") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  for (int count = 0; count < 30; count++) {
    REQUIRE(write(*store, put(table, R"({"id":"k)" + std::to_string(100 + count) + R"(","rank":)" +
                                         std::to_string(count) + "}")));
  }
  StoreFailure failure;
  tenon_scan_t scan = {};
  scan.size = sizeof scan;
  scan.field = static_cast<int32_t>(field_of(*store, *table, "rank"));
  scan.lower.kind = TENON_VALUE_INTEGER;
  scan.lower.integer = 10;
  scan.lower_excluded = true;
  scan.upper.kind = TENON_VALUE_INTEGER;
  scan.upper.integer = 20;
  scan.reverse = true;
  const std::string filter = R"({"field":"id","op":"ne","value":"k115"})";
  scan.filter = {filter.data(), filter.size()};
  auto cursor = store->scan(*table, scan, failure);
  REQUIRE(cursor != nullptr);
  REQUIRE(write(*store, removal(table, "k112")));
  REQUIRE(write(*store, put(table, R"({"id":"new","rank":15})")));
  std::vector<std::string> keys;
  std::string_view key;
  std::string_view record;
  while (cursor->next(key, record, failure)) keys.emplace_back(key);
  CHECK(failure.status == TENON_OK);
  CHECK(keys == std::vector<std::string>{"k120", "k119", "k118", "k117", "k116", "k114", "k113", "k112", "k111"});
  scan = {};
  scan.field = -1;
  scan.prefix = {"k10", 3};
  keys.clear();
  cursor = store->scan(*table, scan, failure);
  while (cursor->next(key, record, failure)) keys.emplace_back(key);
  CHECK(keys.size() == 10);
  // At its end it stays.
  for (int count = 0; count < 3; count++) CHECK_FALSE(cursor->next(key, record, failure));
  CHECK(failure.status == TENON_OK);
  scan.field = static_cast<int32_t>(field_of(*store, *table, "title"));
  CHECK(store->scan(*table, scan, failure) == nullptr);
  CHECK(failure.status == TENON_ERROR_INVALID);
  CHECK(failure.problem.field == "title");
}

TEST_CASE("once the store is to be closed, what goes through many records ends") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  for (const char* const id : {"a", "b", "c"}) {
    REQUIRE(write(*store, put(table, R"({"id":")" + std::string(id) + "\"}")));
  }
  StoreFailure failure;
  tenon_scan_t scan = {};
  scan.size = sizeof scan;
  scan.field = -1;
  const auto cursor = store->scan(*table, scan, failure);
  REQUIRE(cursor != nullptr);
  std::string_view key;
  std::string_view record;
  CHECK(cursor->next(key, record, failure));
  store->stop_long();
  CHECK_FALSE(cursor->next(key, record, failure));
  CHECK(failure.status == TENON_ERROR_STATE);
  CHECK_FALSE(store->query(*table, {}, failure).has_value());
  CHECK(failure.status == TENON_ERROR_STATE);
  CHECK_FALSE(store->count(*table, {}, failure).has_value());
  CHECK(failure.status == TENON_ERROR_STATE);
  // One record is no long way.
  CHECK(read(*store, *table, "a") == R"({"id":"a"})");
  CHECK(write(*store, removal(table, "a")));
}

TEST_CASE("a scan by texts that are longer than an index keeps has the records of its bounds alone") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  const std::string begin(600, 'x');
  for (const char* const id : {"a", "b", "c", "d", "e"}) {
    REQUIRE(write(*store, put(table, R"({"id":")" + std::string(id) + R"(","state":")" + begin + id + "\"}")));
  }
  const auto scanned = [&](char lower, bool without_lower, char upper, bool without_upper, const std::string& prefix) {
    const std::string least = begin + lower;
    const std::string greatest = begin + upper;
    tenon_scan_t scan = {};
    scan.size = sizeof scan;
    scan.field = static_cast<int32_t>(field_of(*store, *table, "state"));
    if (lower != 0) scan.lower.kind = TENON_VALUE_TEXT;
    scan.lower.text = {least.data(), least.size()};
    scan.lower_excluded = without_lower;
    if (upper != 0) scan.upper.kind = TENON_VALUE_TEXT;
    scan.upper.text = {greatest.data(), greatest.size()};
    scan.upper_excluded = without_upper;
    if (!prefix.empty()) scan.prefix = {prefix.data(), prefix.size()};
    StoreFailure failure;
    const auto cursor = store->scan(*table, scan, failure);
    REQUIRE(cursor != nullptr);
    std::string keys;
    std::string_view key;
    std::string_view record;
    while (cursor->next(key, record, failure)) keys.append(key);
    CHECK(failure.status == TENON_OK);
    return keys;
  };
  CHECK(scanned('b', false, 'd', false, "") == "bcd");
  CHECK(scanned('b', true, 'd', true, "") == "c");
  CHECK(scanned('b', true, 0, false, "") == "cde");
  CHECK(scanned(0, false, 'b', false, "") == "ab");
  CHECK(scanned(0, false, 0, false, begin + "c") == "c");
}

TEST_CASE("a cursor of another order, or none, is refused") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  REQUIRE(write(*store, put(table, R"({"id":"a","rank":1})")));
  Query query;
  query.order = {{field_of(*store, *table, "rank"), false}};
  const std::string cursor = page_of(*store, *table, query).last;
  REQUIRE_FALSE(cursor.empty());
  StoreFailure failure;
  const auto refused = [&](const std::string& after) {
    query.after = after;
    return !store->query(*table, query, failure).has_value() && failure.status == TENON_ERROR_ARGUMENT;
  };
  CHECK_FALSE(refused(cursor));
  query.order[0].descending = true;
  CHECK(refused(cursor));
  query.order[0].descending = false;
  CHECK(refused("!"));
  CHECK(refused(cursor.substr(0, 8)));
  CHECK(refused(std::string(20'000, 'A')));
  for (size_t at = 0; at < cursor.size(); at++) {
    std::string other = cursor;
    other[at] = other[at] == 'A' ? 'B' : 'A';
    refused(other);
  }
}

TEST_CASE("without an index only so many bytes are sorted") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  std::string fields;
  std::string values;
  const std::string long_text(510, 'x');
  for (int number = 0; number < 8; number++) {
    fields += R"(,{"name":"f)" + std::to_string(number) + R"(","type":{"kind":"String"}})";
    values += R"(,"f)" + std::to_string(number) + R"(":")" + long_text + '"';
  }
  Table* const table = define(*store, R"({"database":"d","name":"Wide","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"Int","required":true}})" +
                                          fields + "]}");
  std::vector<std::string> texts;
  for (int count = 0; count < 17'000; count++) texts.push_back(R"({"id":)" + std::to_string(count) + values + "}");
  std::vector<Write> writes;
  for (const std::string& text : texts) writes.push_back(put(table, text));
  std::vector<Written> results;
  StoreFailure failure;
  REQUIRE(store->write(writes, results, failure));
  Query query;
  for (uint32_t number = 1; number <= 8; number++) query.order.push_back({number, false});
  query.filter = filter_of(*store, *table, R"({"field":"id","op":"lt","value":1000})");
  CHECK(page_of(*store, *table, query).count == 100);
  query.filter = {};
  CHECK_FALSE(store->query(*table, query, failure).has_value());
  CHECK(failure.status == TENON_ERROR_TOO_LARGE);
  CHECK(failure.problem.field == "f0");
}

TEST_CASE("without an index only so many records are sorted") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  std::vector<std::string> texts;
  for (uint64_t count = 0; count <= Query::kSorted; count++) {
    texts.push_back(R"({"id":")" + std::to_string(count) + R"(","rank":1,"state":"s"})");
  }
  for (size_t begin = 0; begin < texts.size(); begin += 10'000) {
    std::vector<Write> writes;
    for (size_t at = begin; at < std::min(texts.size(), begin + 10'000); at++) writes.push_back(put(table, texts[at]));
    std::vector<Written> results;
    StoreFailure failure;
    REQUIRE(store->write(writes, results, failure));
  }
  Query query;
  query.limit = 3;
  query.order = {{field_of(*store, *table, "title"), false}};
  StoreFailure failure;
  CHECK_FALSE(store->query(*table, query, failure).has_value());
  CHECK(failure.status == TENON_ERROR_TOO_LARGE);
  CHECK(failure.problem.field == "title");
  // One field more than the index has, but few records.
  query.filter = filter_of(*store, *table, R"({"field":"id","op":"starts","value":"9999"})");
  CHECK(page_of(*store, *table, query).plan == "primary and sort");
  // A range of an index that is too wide to sort is left for the order of the key.
  query.order.clear();
  query.filter = filter_of(*store, *table, R"({"field":"rank","op":"ge","value":1})");
  const Page page = page_of(*store, *table, query);
  CHECK(page.plan == "scan");
  CHECK(page.count == 3);
}
