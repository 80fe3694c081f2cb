#include <doctest/doctest.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <string_view>
#include <thread>

#include "record.h"
#include "rocksdb.h"
#include "store.h"
#include "store_harness.h"

using namespace tenon::core;
using namespace tenon::test;

namespace {

using Kind = Write::Kind;
using Outcome = Written::Outcome;

std::vector<Written> write_all(Store& store, std::vector<Write> writes, bool wanted = true) {
  std::vector<Written> results;
  StoreFailure failure;
  CHECK_MESSAGE(store.write(writes, results, failure) == wanted, failure.problem.message);
  return results;
}

Write of_kind(Kind kind, Table* table, const std::string& key, const std::string& json) {
  Write write = put(table, json);
  write.kind = kind;
  write.key = key;
  return write;
}

const std::string kOpen = R"({"id":"a","title":null,"state":"open","rank":1})";
const std::string kDone = R"({"id":"a","title":null,"state":"done","rank":2})";

// Waits until something is so; false when it was not within twenty seconds.
template <class Condition>
bool becomes(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// What a bad disk does to a record, in a folder that nobody has open.
void overwrite(const std::string& directory, const std::string& family, const std::string& key,
               const std::string& bytes) {
  std::string why;
  const auto rocks = Rocksdb::load(rocksdb_libraries(), why);
  REQUIRE_MESSAGE(static_cast<bool>(rocks), why);
  const RocksdbOwned<rocksdb_options_t> options(rocks->options_create(), rocks->options_destroy);
  const RocksdbOwned<rocksdb_writeoptions_t> how(rocks->writeoptions_create(), rocks->writeoptions_destroy);
  RocksdbError error(*rocks);
  size_t count = 0;
  char** const names = rocks->list_column_families(options.get(), directory.c_str(), &count, error.out());
  REQUIRE_MESSAGE(!error, error.text());
  const std::vector<const rocksdb_options_t*> all(count, options.get());
  std::vector<rocksdb_column_family_handle_t*> handles(count, nullptr);
  rocksdb_t* const database = rocks->open_column_families(options.get(), directory.c_str(), static_cast<int>(count),
                                                          names, all.data(), handles.data(), error.out());
  REQUIRE_MESSAGE(!error, error.text());
  bool found = false;
  for (size_t number = 0; number < count; number++) {
    if (family != names[number]) continue;
    found = true;
    rocks->put_cf(database, how.get(), handles[number], key.data(), key.size(), bytes.data(), bytes.size(),
                  error.out());
  }
  CHECK(found);
  CHECK(!error);
  for (rocksdb_column_family_handle_t* const handle : handles) rocks->column_family_handle_destroy(handle);
  rocks->close(database);
  rocks->list_column_families_destroy(names, count);
}

}  // namespace

TEST_CASE("a record that is damaged is left out, told of, and can be replaced and removed") {
  const Folder folder;
  // One slot, which points far behind the text.
  std::string outside(TENON_RECORD_HEAD + TENON_RECORD_SLOT, '\0');
  outside[0] = static_cast<char>(TENON_RECORD_FORMAT);
  outside[2] = 1;
  outside[TENON_RECORD_HEAD + 3] = '\x7f';
  outside[TENON_RECORD_HEAD + 4] = 5;
  outside[TENON_RECORD_HEAD + 7] = static_cast<char>(TENON_VALUE_TEXT << (TENON_SLOT_KIND_SHIFT - 24));
  outside += "{}";
  REQUIRE_FALSE(is_record(outside));
  {
    auto store = open_store(options_in(folder.path()));
    Table* const table = define(*store, kTask);
    for (const char* const id : {"a", "b", "c", "d"}) {
      const std::string json = R"({"id":")" + std::string(id) + R"(","state":"open"})";
      CHECK(write(*store, put(table, json)));
    }
  }
  overwrite(folder.path(), "t:todo/Task", "b", outside);
  overwrite(folder.path(), "t:todo/Task", "c", "x");
  overwrite(folder.path(), "t:todo/Task", "d", outside);
  auto store = open_store(options_in(folder.path()));
  Table* const table = store->find("todo", "Task");
  REQUIRE(table != nullptr);
  StoreFailure failure;
  const char* const kOpenOnes = R"({"field":"state","op":"eq","value":"open"})";
  const char* const kDoneOnes = R"({"field":"state","op":"eq","value":"done"})";
  const auto listed = [&](const char* filter) {
    Query query;
    if (*filter != 0) query.filter = filter_of(*store, *table, filter);
    const auto page = store->query(*table, query, failure);
    REQUIRE_MESSAGE(page.has_value(), failure.problem.message);
    CHECK(store->count(*table, query.filter, failure) == page->count);
    return page->count;
  };
  CHECK(listed("") == 1);
  CHECK(listed(kOpenOnes) == 1);
  CHECK(store->metrics().find("\"damagedRecords\":0") == std::string::npos);
  CHECK(read(*store, *table, "b") == "a record of the table todo/Task is damaged");

  std::vector<Write> patch = {of_kind(Kind::Patch, table, "b", R"({"state":"done"})")};
  std::vector<Written> results;
  CHECK_FALSE(store->write(patch, results, failure));
  CHECK(failure.status == TENON_ERROR_STORAGE);
  CHECK(write_all(*store, {put(table, R"({"id":"b","state":"done"})")})[0].outcome == Outcome::Created);
  CHECK(write_all(*store, {of_kind(Kind::Replace, table, "d", R"({"id":"d","state":"done"})")}).size() == 1);
  const auto removed = write_all(*store, {removal(table, "c")});
  CHECK(removed[0].outcome == Outcome::Removed);
  CHECK(removed[0].record.empty());
  CHECK(read(*store, *table, "c") == "none");
  CHECK(listed("") == 3);
  CHECK(listed(kOpenOnes) == 1);
  CHECK(listed(kDoneOnes) == 2);
}

TEST_CASE("each kind of write does what its name says, or nothing") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  const std::string patch = R"({"rank":7})";
  CHECK(write_all(*store, {of_kind(Kind::Replace, table, "a", kOpen)}, false)[0].outcome == Outcome::Missing);
  CHECK(write_all(*store, {of_kind(Kind::Patch, table, "a", patch)}, false)[0].outcome == Outcome::Missing);
  CHECK(write_all(*store, {removal(table, "a")}, false)[0].outcome == Outcome::Missing);
  CHECK(write_all(*store, {of_kind(Kind::Create, table, "", kOpen)})[0].outcome == Outcome::Created);
  CHECK(write_all(*store, {of_kind(Kind::Create, table, "a", kOpen)}, false)[0].outcome == Outcome::Exists);
  CHECK(write_all(*store, {of_kind(Kind::Put, table, "", kDone)})[0].outcome == Outcome::Updated);
  const uint64_t sequence = store->sequence();
  CHECK(write_all(*store, {of_kind(Kind::Put, table, "", kDone)})[0].outcome == Outcome::Updated);
  CHECK(store->sequence() == sequence);
  const auto patched = write_all(*store, {of_kind(Kind::Patch, table, "a", patch)});
  CHECK(patched[0].outcome == Outcome::Updated);
  CHECK(json_of(patched[0].record) == R"({"id":"a","title":null,"state":"done","rank":7})");
  const auto invalid = write_all(*store, {of_kind(Kind::Patch, table, "a", R"({"rank":"x"})")}, false);
  CHECK(invalid[0].outcome == Outcome::Invalid);
  CHECK(invalid[0].problem.field == "rank");
  const auto removed = write_all(*store, {removal(table, "a")});
  CHECK(removed[0].outcome == Outcome::Removed);
  CHECK(json_of(removed[0].record) == R"({"id":"a","title":null,"state":"done","rank":7})");
  CHECK(read(*store, *table, "a") == "none");
}

TEST_CASE("a batch is done as a whole or not at all, and each write sees the one before it") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  const std::string patch = R"({"rank":7})";
  const std::string other = R"({"id":"b","state":"open"})";
  auto results = write_all(*store, {of_kind(Kind::Create, table, "", kOpen), of_kind(Kind::Patch, table, "a", patch),
                                    put(table, other), removal(table, "b"), of_kind(Kind::Create, table, "", other)});
  CHECK(results[1].outcome == Outcome::Updated);
  CHECK(results[4].outcome == Outcome::Created);
  CHECK(read(*store, *table, "a") == R"({"id":"a","title":null,"state":"open","rank":7})");
  results = write_all(*store, {removal(table, "a"), removal(table, "c"), removal(table, "b")}, false);
  CHECK(results[0].outcome == Outcome::Undone);
  CHECK(results[1].outcome == Outcome::Missing);
  CHECK(results[2].outcome == Outcome::Undone);
  CHECK(read(*store, *table, "a") != "none");
  StoreFailure failure;
  CHECK(store->count(*table, filter_of(*store, *table, R"({"field":"state","op":"eq","value":"open"})"), failure) == 2);
}

TEST_CASE("in a batch the last of several writes that ask nothing counts, and one that asks sees the one before it") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, R"({"database":"todo","name":"Note","primaryKey":"id","fields":[
      {"name":"id","type":{"kind":"ID","required":true}},
      {"name":"text","type":{"kind":"String"}},
      {"name":"more","type":{"kind":"String"}}]})");
  std::deque<std::string> texts;
  const auto blind = [&](const std::string& id, const std::string& text) {
    Write write = put(table, texts.emplace_back(R"({"id":")" + id + R"(","text":")" + text + R"("})"));
    write.blind = true;
    return write;
  };
  write_all(*store, {blind("a", "1"), blind("b", "1"), blind("a", "2")});
  CHECK(read(*store, *table, "a") == R"({"id":"a","text":"2"})");
  const std::string patch = R"({"more":"x"})";
  const std::string fresh = R"({"id":"c"})";
  const auto results = write_all(
      *store, {blind("a", "3"), of_kind(Kind::Patch, table, "a", patch), removal(table, "b"), blind("b", "4"),
               of_kind(Kind::Create, table, "", fresh), blind("c", "5"), removal(table, "c"), blind("d", "6")});
  CHECK(results[1].outcome == Outcome::Updated);
  CHECK(json_of(results[6].record) == R"({"id":"c","text":"5"})");
  CHECK(read(*store, *table, "a") == R"({"id":"a","text":"3","more":"x"})");
  CHECK(read(*store, *table, "b") == R"({"id":"b","text":"4"})");
  CHECK(read(*store, *table, "c") == "none");
  CHECK(read(*store, *table, "d") == R"({"id":"d","text":"6"})");
}

TEST_CASE("a precondition that fails writes nothing") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  Write write = put(table, kOpen);
  write.any_revision = true;
  CHECK(write_all(*store, {write}, false)[0].outcome == Outcome::PreconditionFailed);
  write.any_revision = false;
  write.no_revision = true;
  const uint64_t revision = revision_of(write_all(*store, {write})[0].record);
  CHECK(write_all(*store, {write}, false)[0].outcome == Outcome::PreconditionFailed);
  Write second = put(table, kDone);
  second.if_match = {revision + 1};
  CHECK(write_all(*store, {second}, false)[0].outcome == Outcome::PreconditionFailed);
  CHECK(read(*store, *table, "a") == kOpen);
  second.if_match = {5, revision};
  CHECK(write_all(*store, {second})[0].outcome == Outcome::Updated);
  Write third = removal(table, "a");
  third.if_none_match = {revision};
  CHECK(write_all(*store, {third})[0].outcome == Outcome::Removed);
}

TEST_CASE("of two that replace the same revision one wins") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  constexpr int kThreads = 4;
  constexpr int kTurns = 300;
  CHECK(write(*store, put(table, R"({"id":"n","rank":0})")));
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; thread++) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < kTurns;) {
        tenon_record_t record = {};
        StoreFailure failure;
        if (!store->get(*table, "n", false, record, failure)) return;
        const std::string_view bytes(record.bytes.data, record.bytes.size);
        const int64_t rank = value_of(bytes, 3).integer;
        const uint64_t revision = revision_of(bytes);
        store->release(record);
        const std::string json = R"({"id":"n","rank":)" + std::to_string(rank + 1) + "}";
        Write next = put(table, json);
        next.if_match = {revision};
        if (write(*store, next)) turn++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(read(*store, *table, "n") == R"({"id":"n","rank":)" + std::to_string(kThreads * kTurns) + "}");
}

TEST_CASE("an index that comes later is built beside the writers, also across a new start") {
  const Folder folder;
  StoreOptions options = options_in(folder.path());
  const std::string plain = R"({"database":"d","name":"T","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"ID","required":true}},{"name":"n","type":{"kind":"Int"}}]})";
  std::string indexed = plain;
  indexed.replace(indexed.find(R"({"kind":"Int"})"), 14, R"({"kind":"Int"},"indexed":true)");
  const auto record = [](int id, int n) {
    return R"({"id":")" + std::to_string(id) + R"(","n":)" + std::to_string(n) + "}";
  };
  constexpr int kRecords = 40'000;
  {
    auto store = open_store(options);
    Table* const table = define(*store, plain);
    for (int begin = 0; begin < kRecords; begin += 1000) {
      std::vector<std::string> texts;
      for (int id = begin; id < begin + 1000; id++) texts.push_back(record(id, id % 10));
      std::vector<Write> writes;
      for (const std::string& text : texts) writes.push_back(put(table, text));
      write_all(*store, writes);
    }
    define(*store, indexed);
    // Closed while it is being built.
  }
  auto store = open_store(options);
  Table* const table = store->find("d", "T");
  REQUIRE(table != nullptr);
  const uint32_t field = field_of(*store, *table, "n");
  int written = 0;
  while (!store->index_complete(*table, field) || written < 1000) {
    const int id = written * 7919 % kRecords;
    REQUIRE(write(*store, written % 5 == 0 ? removal(table, std::to_string(id)) : put(table, record(id, 100))));
    written++;
  }
  CHECK(becomes([&] { return store->index_complete(*table, field); }));
  CHECK(store->facts(*table).building.empty());
  // What the index says is what a look at every record says.
  StoreFailure failure;
  std::vector<size_t> counts(101);
  tenon_scan_t scan = {};
  scan.field = -1;
  std::string_view key;
  std::string_view found;
  auto cursor = store->scan(*table, scan, failure);
  while (cursor->next(key, found, failure)) counts[static_cast<size_t>(value_of(found, field).integer)]++;
  cursor.reset();
  for (size_t n = 0; n < counts.size(); n++) {
    const auto filter = filter_of(*store, *table, R"({"field":"n","op":"eq","value":)" + std::to_string(n) + "}");
    CHECK(store->count(*table, filter, failure) == counts[n]);
  }
  size_t entries = 0;
  scan.field = static_cast<int32_t>(field);
  cursor = store->scan(*table, scan, failure);
  REQUIRE(cursor != nullptr);
  while (cursor->next(key, found, failure)) entries++;
  CHECK(store->count(*table, {}, failure) == entries);
}

TEST_CASE("a definition that does not fit what is stored is refused, and one that does is taken") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  CHECK(write(*store, put(table, R"({"id":"a","rank":3})")));
  const auto with_rank = [](const std::string& rank) {
    return definition_of(R"({"database":"todo","name":"Task","primaryKey":"id","fields":[
      {"name":"id","type":{"kind":"ID","required":true}},{"name":"rank",)" +
                         rank + "}]}");
  };
  StoreFailure failure;
  CHECK(store->define(with_rank(R"("type":{"kind":"String"})"), failure) == nullptr);
  CHECK(failure.status == TENON_ERROR_INVALID);
  CHECK(failure.problem.field == "rank");
  CHECK(store->definition(*table)->revision == 1);
  // The index of an Int is not that of a Float.
  CHECK(store->define(with_rank(R"("type":{"kind":"Float"},"indexed":true)"), failure) == table);
  CHECK(store->definition(*table)->revision == 2);
  const uint32_t rank = field_of(*store, *table, "rank");
  CHECK(becomes([&] { return store->index_complete(*table, rank); }));
  CHECK(write(*store, put(table, R"({"id":"b","rank":2.5})")));
  Query query;
  query.order = {{rank, false}};
  query.fields = {0};
  const auto page = store->query(*table, query, failure);
  REQUIRE(page.has_value());
  CHECK(page->json == R"([{"id":"b"},{"id":"a"}])");
  CHECK(page->plan == "index rank");
  CHECK(store->define(*store->definition(*table), failure) == table);
  CHECK(store->definition(*table)->revision == 2);
}

TEST_CASE("a table that was dropped is gone, and another one of its name is empty") {
  const Folder folder;
  {
    auto store = open_store(options_in(folder.path()));
    Table* const table = define(*store, kTask);
    CHECK(write(*store, put(table, kOpen)));
    StoreFailure failure;
    CHECK(store->drop(*table, failure));
    CHECK(store->find("todo", "Task") == nullptr);
    CHECK_FALSE(write(*store, put(table, kOpen)));
    CHECK(read(*store, *table, "a") == "none");
    CHECK_FALSE(store->drop(*table, failure));
    Table* const other = define(*store, kTask);
    CHECK(other != table);
    CHECK(read(*store, *other, "a") == "none");
    CHECK(store->drop(*other, failure));
  }
  CHECK(open_store(options_in(folder.path()))->tables().empty());
}

TEST_CASE("a record that has expired is not there, and its removal is a change") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, R"({"database":"d","name":"Session","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"ID","required":true}},
    {"name":"user","type":{"kind":"String"},"indexed":true},
    {"name":"ends","type":{"kind":"Date"},"role":"expiresAt"}]})");
  StoreFailure failure;
  auto feed = store->feed({table}, store->sequence(), failure);
  REQUIRE(feed != nullptr);
  CHECK(write(*store, put(table, R"({"id":"old","user":"u","ends":"2020-01-01T00:00:00Z"})")));
  CHECK(write(*store, put(table, R"({"id":"new","user":"u","ends":"2920-01-01T00:00:00Z"})")));
  CHECK(read(*store, *table, "old") == "none");
  CHECK(read(*store, *table, "new") != "none");
  CHECK(store->count(*table, {}, failure) == 1);
  Store::Change change;
  REQUIRE(feed->next(1000, change, failure));
  REQUIRE(feed->next(1000, change, failure));
  REQUIRE(feed->next(20'000, change, failure));
  CHECK(change.removed);
  CHECK(change.key == "old");
  tenon_scan_t scan = {};
  scan.field = static_cast<int32_t>(field_of(*store, *table, "user"));
  size_t entries = 0;
  std::string_view key;
  std::string_view record;
  auto cursor = store->scan(*table, scan, failure);
  REQUIRE(cursor != nullptr);
  while (cursor->next(key, record, failure)) entries++;
  CHECK(entries == 1);
}

TEST_CASE("createdTime stays, updatedTime moves") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, R"({"database":"d","name":"T","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"ID","required":true}},{"name":"n","type":{"kind":"Int"}},
    {"name":"made","type":{"kind":"Date"},"role":"createdTime"},
    {"name":"changed","type":{"kind":"Date"},"role":"updatedTime"}]})");
  const auto times = [&](std::string_view record) {
    return std::make_pair(value_of(record, 2).integer, value_of(record, 3).integer);
  };
  const auto first = times(write_all(*store, {put(table, R"({"id":"a","n":1})")})[0].record);
  CHECK(first.first == first.second);
  std::pair<int64_t, int64_t> second;
  CHECK(becomes([&] {
    second = times(write_all(*store, {put(table, R"({"id":"a","n":2})")})[0].record);
    return second.second > first.second;
  }));
  CHECK(second.first == first.first);
}
