#include "store.h"

#include <doctest/doctest.h>

#include "store_harness.h"

using namespace tenon::core;
using namespace tenon::test;

namespace {

Page page_of(Store& store, const Table& table, const Query& query) {
  StoreFailure failure;
  auto page = store.query(table, query, failure);
  REQUIRE_MESSAGE(page.has_value(), failure.problem.message);
  return *page;
}

}  // namespace

TEST_CASE("a record that was written is there, also when the store was opened anew") {
  const Folder folder;
  {
    auto store = open_store(options_in(folder.path()));
    Table* const table = define(*store, kTask);
    const std::string json = R"({"id":"a","title":"one","state":"open","rank":3})";
    CHECK(write(*store, put(table, json)));
    CHECK(read(*store, *table, "a") == json);
    CHECK(read(*store, *table, "b") == "none");
  }
  auto store = open_store(options_in(folder.path()));
  Table* const table = store->find("todo", "Task");
  REQUIRE(table != nullptr);
  CHECK(read(*store, *table, "a") == R"({"id":"a","title":"one","state":"open","rank":3})");
  CHECK(write(*store, removal(table, key_of(*store, *table, "a"))));
  CHECK(read(*store, *table, "a") == "none");
}

TEST_CASE("an index answers what is asked of it") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  CHECK(write(*store, put(table, R"({"id":"a","state":"open","rank":3})")));
  CHECK(write(*store, put(table, R"({"id":"b","state":"done","rank":2})")));
  CHECK(write(*store, put(table, R"({"id":"c","state":"open","rank":1})")));
  Query query;
  query.filter = filter_of(*store, *table, R"({"field":"state","op":"eq","value":"open"})");
  query.fields = {field_of(*store, *table, "id")};
  Page page = page_of(*store, *table, query);
  CHECK(page.json == R"([{"id":"a"},{"id":"c"}])");
  CHECK(page.plan == "index state");
  CHECK(page.examined == 2);
  CHECK(write(*store, put(table, R"({"id":"a","state":"done","rank":3})")));
  CHECK(page_of(*store, *table, query).json == R"([{"id":"c"}])");
  query.filter = {};
  query.order = {{field_of(*store, *table, "rank"), true}};
  page = page_of(*store, *table, query);
  CHECK(page.json == R"([{"id":"a"},{"id":"b"},{"id":"c"}])");
  CHECK(page.plan == "index rank");
}

TEST_CASE("a feed tells of every change in order") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  StoreFailure failure;
  auto feed = store->feed({table}, store->sequence(), failure);
  REQUIRE(feed != nullptr);
  Store::Change change;
  CHECK_FALSE(feed->next(0, change, failure));
  CHECK(failure.status == TENON_ERROR_AGAIN);
  CHECK(write(*store, put(table, R"({"id":"a","state":"open"})")));
  CHECK(write(*store, removal(table, key_of(*store, *table, "a"))));
  REQUIRE(feed->next(1000, change, failure));
  CHECK(change.key == "a");
  CHECK_FALSE(change.removed);
  const uint64_t first = change.sequence;
  REQUIRE(feed->next(1000, change, failure));
  CHECK(change.removed);
  CHECK(change.sequence > first);
  CHECK_FALSE(feed->next(0, change, failure));
}
