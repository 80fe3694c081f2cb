#if defined(__linux__)

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
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

// kTask with two more indexes, and one in another order.
const char* const kIndexed =
    R"({"database":"todo","name":"Task","primaryKey":"id","fields":[
      {"name":"id","type":{"kind":"ID","required":true}},
      {"name":"title","type":{"kind":"String"},"indexed":true},
      {"name":"state","type":{"kind":"String"},"indexed":true},
      {"name":"rank","type":{"kind":"Float"},"indexed":true}]})";

constexpr int kRecords = 300;

Table* make_records(Store& store) {
  Table* const table = define(store, kTask);
  for (int number = 0; number < kRecords; number++) {
    const std::string text = std::to_string(number);
    const std::string json = R"({"id":"k)" + text + R"(","title":"x","state":"x","rank":)" + text + "}";
    REQUIRE(write(store, put(table, json)));
  }
  return table;
}

// Every record is found by every field, before its index is complete and after. Whoever builds one may tell of a disk
// that was full when that has passed: the store is looked after, as by a host.
void check_fields(Store& store, const Table& table) {
  const auto all_found = [&] {
    for (const char* const filter :
         {R"({"field":"title","op":"eq","value":"x"})", R"({"field":"state","op":"eq","value":"x"})",
          R"({"field":"rank","op":"ge","value":0})"}) {
      StoreFailure failure;
      const auto count = store.count(table, filter_of(store, table, filter), failure);
      REQUIRE_MESSAGE(count.has_value(), failure.problem.message);
      REQUIRE_MESSAGE(*count == kRecords, filter);
    }
  };
  all_found();
  const std::shared_ptr<const Definition> definition = store.definition(table);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (uint32_t number = 0; number < definition->fields.size(); number++) {
    if (!definition->fields[number].indexed) continue;
    while (!store.index_complete(table, number)) {
      REQUIRE(std::chrono::steady_clock::now() < end);
      StoreFailure failure;
      REQUIRE_MESSAGE(store.resume(failure), failure.problem.message);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  all_found();
  CHECK(store.facts(table).building.empty());
}

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

TEST_CASE("a change of indexes that a full disk cuts short leaves no index that misses records") {
  enum class Then { Again, Back, Reopened } then = Then::Again;
  SUBCASE("it is tried again") { then = Then::Again; }
  SUBCASE("the old definition is gone back to") { then = Then::Back; }
  SUBCASE("the store is opened anew") { then = Then::Reopened; }
  bool done = false;
  int failures = 0;
  for (int spares = 0; !done; spares++) {
    REQUIRE(spares < 100);
    CAPTURE(spares);
    const Folder folder;
    auto store = open_store(options_in(folder.path()));
    Table* table = make_records(*store);
    StoreFailure failure;
    {
      const int before = DiskFault::strikes();
      const DiskFault fault(DiskFault::Kind::FullDisk, spares);
      if (store->define(definition_of(kIndexed), failure) == nullptr) failures++;
      done = DiskFault::strikes() == before;
    }
    store->facts(*table);
    if (then == Then::Reopened) {
      store.reset();
      store = open_store(options_in(folder.path()));
      table = store->find("todo", "Task");
      REQUIRE(table != nullptr);
    } else {
      REQUIRE_MESSAGE(store->resume(failure), failure.problem.message);
    }
    check_fields(*store, *table);
    // What is a Float once does not become an Int again.
    const bool back = then == Then::Back && store->definition(*table)->revision == 1;
    define(*store, back ? kTask : kIndexed);
    check_fields(*store, *table);
    define(*store, kIndexed);
    check_fields(*store, *table);
  }
  CHECK(failures > 2);
}

TEST_CASE("a table that is dropped on a full disk is gone, and its name is free") {
  bool reopened = false;
  SUBCASE("in the same store") { reopened = false; }
  SUBCASE("in one that is opened anew") { reopened = true; }
  bool done = false;
  for (int spares = 0; !done; spares++) {
    REQUIRE(spares < 100);
    CAPTURE(spares);
    const Folder folder;
    auto store = open_store(options_in(folder.path()));
    Table* table = make_records(*store);
    StoreFailure failure;
    bool dropped = false;
    {
      const int before = DiskFault::strikes();
      const DiskFault fault(DiskFault::Kind::FullDisk, spares);
      dropped = store->drop(*table, failure);
      done = DiskFault::strikes() == before;
    }
    REQUIRE_MESSAGE(store->resume(failure), failure.problem.message);
    CHECK((store->find("todo", "Task") == nullptr) == dropped);
    if (reopened) {
      store.reset();
      store = open_store(options_in(folder.path()));
      dropped = store->find("todo", "Task") == nullptr;
    }
    table = define(*store, kTask);
    CHECK(store->count(*table, {}, failure) == (dropped ? 0 : kRecords));
    CHECK(write(*store, put(table, kFirst)));
  }
}

TEST_CASE("several may make a store well again at once") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  REQUIRE(write(*store, put(table, kFirst)));
  for (int round = 0; round < 5; round++) {
    {
      const DiskFault fault(DiskFault::Kind::FullDisk);
      refused(*store, table, kSecond);
    }
    std::atomic<int> resumed{0};
    std::atomic<bool> begin{false};
    std::vector<std::thread> threads;
    for (int count = 0; count < 4; count++) {
      threads.emplace_back([&] {
        while (!begin.load()) std::this_thread::yield();
        StoreFailure failure;
        if (store->resume(failure)) resumed++;
      });
    }
    begin.store(true);
    for (std::thread& thread : threads) thread.join();
    CHECK(resumed.load() == 4);
    CHECK(write(*store, put(table, kThird)));
  }
  CHECK(read(*store, *table, "a") != "none");
}

TEST_CASE("a store is not opened anew where there is no room for what its logs hold, and reads go on") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  REQUIRE(write(*store, put(table, R"({"id":"a","title":")" + std::string(2 << 20, 'x') + R"("})")));
  {
    const DiskFault fault(DiskFault::Kind::FullDisk);
    refused(*store, table, kSecond);
  }
  StoreFailure failure;
  {
    const DiskFault fault(DiskFault::Kind::LittleRoom);
    CHECK_FALSE(store->resume(failure));
    CHECK(failure.full);
    CHECK(read(*store, *table, "a") != "none");
  }
  CHECK(store->resume(failure));
  CHECK(write(*store, put(table, kSecond)));
}

TEST_CASE("tables are listed and found while another one is being made on a slow disk") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  std::thread maker;
  std::future<bool> found;
  {
    const int before = DiskFault::strikes();
    const DiskFault fault(DiskFault::Kind::StuckDisk);
    maker = std::thread([&] {
      StoreFailure failure;
      Definition other = definition_of(kTask);
      other.name = "Other";
      store->define(other, failure);
    });
    while (DiskFault::strikes() == before) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    found = std::async(std::launch::async,
                       [&] { return store->tables().size() == 1 && store->find("todo", "Task") == table; });
    CHECK(found.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  }
  maker.join();
  CHECK(found.get());
  CHECK(store->tables().size() == 2);
}

TEST_CASE("the newest sequence is told, and a feed is let go of, while the store is opened anew on a slow disk") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  REQUIRE(write(*store, put(table, kFirst)));
  const uint64_t newest = store->sequence();
  StoreFailure failure;
  auto feed = store->feed({table}, newest - 1, failure);
  REQUIRE(feed != nullptr);
  {
    const DiskFault fault(DiskFault::Kind::FullDisk);
    refused(*store, table, kSecond);
  }
  std::thread mender;
  std::future<uint64_t> told;
  {
    const int before = DiskFault::strikes();
    const DiskFault fault(DiskFault::Kind::StuckDisk);
    mender = std::thread([&] {
      StoreFailure why;
      CHECK(store->resume(why));
    });
    while (DiskFault::strikes() == before) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    told = std::async(std::launch::async, [&] {
      feed.reset();
      feed = store->feed_to_begin({table}, store->sequence());
      return store->sequence();
    });
    CHECK(told.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  }
  mender.join();
  CHECK(told.get() == newest);
  REQUIRE(write(*store, put(table, kSecond)));
  Store::Change change;
  REQUIRE(feed->begin(failure));
  CHECK(feed->next(1000, change, failure));
  CHECK(change.key == "b");
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
  store->release(held);
  CHECK(write(*store, put(table, kSecond)));
}

TEST_CASE("a store is closed soon while an index is built from a slow disk, and the build goes on where it was") {
  const Folder folder;
  StoreOptions options = options_in(folder.path());
  options.cache_bytes = 64 << 10;
  options.write_buffer_bytes = 256 << 10;
  constexpr int kRecords = 2'000;
  Definition indexed = definition_of(kTask);
  {
    auto store = open_store(options);
    Definition plain = indexed;
    for (Field& field : plain.fields) field.indexed = false;
    StoreFailure failure;
    Table* const table = store->define(plain, failure);
    REQUIRE(table != nullptr);
    for (int number = 0; number < kRecords; number++) {
      std::string title;
      for (uint64_t word = 1; title.size() < 5'000; word++) {
        title += std::to_string((static_cast<uint64_t>(number) + word) * UINT64_C(0x9e3779b97f4a7c15));
      }
      const std::string id = std::to_string(number);
      REQUIRE(write(*store, put(table, R"({"id":")" + id + R"(","rank":7,"title":")" + title + "\"}")));
    }
    const int before = DiskFault::strikes();
    const DiskFault fault(DiskFault::Kind::SlowReads);
    REQUIRE(store->define(indexed, failure) == table);
    while (DiskFault::strikes() < before + 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const int seen = DiskFault::strikes();
    store.reset();
    // A slice has 256 records, each of which is read twice.
    CHECK(DiskFault::strikes() - seen < 32);
  }
  auto store = open_store(options);
  Table* const table = store->find("todo", "Task");
  REQUIRE(table != nullptr);
  const uint32_t rank = field_of(*store, *table, "rank");
  CHECK_FALSE(store->index_complete(*table, rank));
  while (!store->index_complete(*table, rank)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  StoreFailure failure;
  CHECK(store->count(*table, filter_of(*store, *table, R"({"field":"rank","op":"eq","value":7})"), failure) ==
        kRecords);
}

#endif
