#if defined(__linux__)

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "disk_faults.h"
#include "store.h"
#include "store_harness.h"

using namespace tenon::core;
using namespace tenon::test;

namespace {

StoreFailure refused(Store& store, Table* table, const std::string& json) {
  std::vector<Write> writes = {put(table, json)};
  std::vector<Written> results;
  StoreFailure failure;
  CHECK_FALSE(store.write(writes, results, failure));
  REQUIRE(results.size() == 1);
  CHECK(results[0].outcome == Written::Outcome::Undone);
  return failure;
}

bool in_trouble(Store& store) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!store.trouble()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

const std::string kFirst = R"({"id":"a","rank":1})";
const std::string kSecond = R"({"id":"b","rank":2})";
const std::string kThird = R"({"id":"c","rank":3})";

}  // namespace

TEST_CASE("on a full disk writes are refused, reads and feeds go on, and room makes it well again") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  REQUIRE(write(*store, put(table, kFirst)));
  StoreFailure failure;
  const uint64_t from = store->sequence();
  auto feed = store->feed({table}, from, failure);
  REQUIRE(feed != nullptr);
  REQUIRE(write(*store, put(table, kSecond)));
  Store::Change change;
  REQUIRE(feed->next(1000, change, failure));
  {
    const DiskFault fault(DiskFault::Kind::FullDisk);
    failure = refused(*store, table, kThird);
    CHECK(failure.status == TENON_ERROR_STORAGE);
    CHECK_MESSAGE(failure.full, failure.problem.message);
    REQUIRE(store->trouble().has_value());
    CHECK(store->trouble()->full);
    CHECK(refused(*store, table, kThird).full);
    CHECK(read(*store, *table, "b") != "none");
    CHECK(read(*store, *table, "c") == "none");
    CHECK(store->count(*table, {}, failure) == 2);
    CHECK_FALSE(store->resume(failure));
    CHECK(failure.full);
    CHECK(read(*store, *table, "a") != "none");
  }
  REQUIRE_MESSAGE(store->resume(failure), failure.problem.message);
  CHECK_FALSE(store->trouble().has_value());
  CHECK(read(*store, *table, "a") != "none");
  CHECK(read(*store, *table, "b") != "none");
  CHECK(read(*store, *table, "c") == "none");
  REQUIRE(write(*store, put(table, kThird)));
  REQUIRE_MESSAGE(feed->next(1000, change, failure), failure.problem.message);
  CHECK(change.key == "c");
  CHECK_FALSE(feed->next(0, change, failure));
  feed.reset();
  auto again = store->feed({table}, from, failure);
  REQUIRE(again != nullptr);
  REQUIRE(again->next(1000, change, failure));
  CHECK(change.key == "b");
  REQUIRE(again->next(1000, change, failure));
  CHECK(change.key == "c");
}

TEST_CASE("after a sync that failed nothing is written until the store is opened anew") {
  const Folder folder;
  {
    StoreOptions options = options_in(folder.path());
    SUBCASE("each write waits for the disk") { options.sync = true; }
    SUBCASE("the log is synced now and then") { options.sync_ms = 5; }
    auto store = open_store(options);
    Table* const table = define(*store, kTask);
    REQUIRE(write(*store, put(table, kFirst)));
    {
      const DiskFault fault(DiskFault::Kind::FailingSync);
      if (options.sync) {
        CHECK_FALSE(refused(*store, table, kSecond).full);
      } else {
        write(*store, put(table, kSecond));
      }
      REQUIRE(in_trouble(*store));
    }
    CHECK_FALSE(store->trouble()->full);
    CHECK(refused(*store, table, kThird).status == TENON_ERROR_STORAGE);
    StoreFailure failure;
    CHECK_FALSE(store->resume(failure));
    CHECK(read(*store, *table, "a") != "none");
  }
  auto store = open_store(options_in(folder.path()));
  Table* const table = store->find("todo", "Task");
  CHECK(read(*store, *table, "a") != "none");
  CHECK(write(*store, put(table, kThird)));
}

TEST_CASE("a scan that has not ended keeps a store from being opened anew, and nothing else does") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  REQUIRE(write(*store, put(table, kFirst)));
  StoreFailure failure;
  {
    const DiskFault fault(DiskFault::Kind::FullDisk);
    refused(*store, table, kSecond);
  }
  tenon_scan_t scan = {};
  scan.field = -1;
  auto cursor = store->scan(*table, scan, failure);
  REQUIRE(cursor != nullptr);
  CHECK_FALSE(store->resume(failure));
  CHECK(failure.status == TENON_ERROR_AGAIN);
  std::string_view key;
  std::string_view record;
  CHECK(cursor->next(key, record, failure));
  cursor.reset();
  tenon_record_t held = {};
  REQUIRE(store->get(*table, "a", false, held, failure));
  CHECK(store->resume(failure));
  CHECK(std::string_view(held.bytes.data, held.bytes.size).find("\"rank\":1") != std::string_view::npos);
  Store::release(held);
  CHECK(write(*store, put(table, kSecond)));
}

#endif
