#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <thread>
#include <utility>

#include "change_log.h"
#include "feed_server.h"
#include "open_store.h"
#include "record.h"
#include "store.h"
#include "store_harness.h"

using namespace tenon::core;
using namespace tenon::test;

namespace {

struct Seen {
  uint64_t sequence;
  std::string key;
  std::string json;  // empty: removed
  bool operator==(const Seen& other) const {
    return sequence == other.sequence && key == other.key && json == other.json;
  }
};

Seen seen_of(const Store::Change& change) {
  return {change.sequence, std::string(change.key), change.removed ? "" : std::string(json_of(change.record))};
}

std::unique_ptr<Feed> feed_of(Store& store, std::vector<const Table*> tables, uint64_t from) {
  StoreFailure failure;
  auto feed = store.feed(std::move(tables), from, failure);
  REQUIRE_MESSAGE(feed != nullptr, failure.problem.message);
  return feed;
}

// What is left to read.
std::vector<Seen> drain(Feed& feed) {
  std::vector<Seen> all;
  Store::Change change;
  StoreFailure failure;
  while (feed.next(0, change, failure)) all.push_back(seen_of(change));
  CHECK_MESSAGE(failure.status == TENON_ERROR_AGAIN, failure.problem.message);
  return all;
}

std::string task(const std::string& id, const std::string& title) {
  return R"({"id":")" + id + R"(","title":")" + title + R"(","state":"open"})";
}

// Writers of a key each, or of some of its own: what they were told is done, in their order.
class Writers {
 public:
  static constexpr int kThreads = 4;
  static constexpr int kWrites = 1500;

  Writers(Store& store, Table* table) {
    for (int number = 0; number < kThreads; number++) {
      threads_.emplace_back([this, &store, table, number] { run(store, table, number); });
    }
  }
  ~Writers() { join(); }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  size_t count() const {
    size_t sum = 0;
    for (const auto& one : done) sum += one.size();
    return sum;
  }
  std::vector<std::pair<std::string, std::string>> done[kThreads];  // key, title

 private:
  void run(Store& store, Table* table, int number) {
    std::mt19937 random(static_cast<unsigned>(number));
    const std::string filling(100, 'x');
    for (int count = 0; count < kWrites;) {
      const int size = 1 + static_cast<int>(random() % 4);
      std::vector<std::pair<std::string, std::string>> batch;
      std::vector<std::string> texts;
      for (int at = 0; at < size; at++, count++) {
        const std::string key = std::to_string(number) + "-" + std::to_string(random() % 50);
        batch.emplace_back(key, std::to_string(count) + filling);
        texts.push_back(task(key, batch.back().second));
      }
      std::vector<Write> writes;
      for (const std::string& text : texts) writes.push_back(put(table, text));
      std::vector<Written> results;
      StoreFailure failure;
      if (!store.write(writes, results, failure)) return;
      done[number].insert(done[number].end(), batch.begin(), batch.end());
    }
  }

  std::vector<std::thread> threads_;
};

std::string title_of(const std::string& json) {
  const size_t begin = json.find(R"("title":")") + 9;
  return json.substr(begin, json.find('"', begin) - begin);
}

}  // namespace

TEST_CASE("every write of several threads comes once, in the order of the sequence, across many logs and a new start") {
  const Folder folder;
  StoreOptions options = options_in(folder.path());
  options.write_buffer_bytes = 64 << 10;
  options.sync_ms = 5;
  std::vector<Seen> live;
  size_t written = 0;
  {
    auto store = open_store(options);
    Table* const table = define(*store, kTask);
    const auto feed = feed_of(*store, {table}, 0);
    Writers writers(*store, table);
    Store::Change change;
    StoreFailure failure;
    const size_t wanted = Writers::kThreads * static_cast<size_t>(Writers::kWrites);
    while (live.size() < wanted && feed->next(20'000, change, failure)) live.push_back(seen_of(change));
    REQUIRE_MESSAGE(live.size() >= wanted, failure.problem.message);
    writers.join();
    for (const Seen& one : drain(*feed)) live.push_back(one);
    written = writers.count();
    CHECK(live.size() == written);
    uint64_t last = 0;
    size_t at[Writers::kThreads] = {};
    for (const Seen& one : live) {
      REQUIRE(one.sequence > last);
      last = one.sequence;
      const auto number = static_cast<size_t>(one.key[0] - '0');
      REQUIRE(at[number] < writers.done[number].size());
      const auto& expected = writers.done[number][at[number]++];
      REQUIRE(one.key == expected.first);
      REQUIRE(title_of(one.json) == expected.second);
    }
    CHECK(drain(*feed_of(*store, {table}, live[live.size() / 2].sequence)).size() == live.size() - live.size() / 2 - 1);
  }
  auto store = open_store(options);
  Table* const table = store->find("todo", "Task");
  const auto again = drain(*feed_of(*store, {table}, 0));
  CHECK(again == live);
  CHECK(write(*store, put(table, task("later", "x"))));
  const auto rest = drain(*feed_of(*store, {table}, live.back().sequence));
  REQUIRE(rest.size() == 1);
  CHECK(rest[0].key == "later");
}

TEST_CASE("a feed of one table has no change of another, and a batch's changes have sequences of their own") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const task_table = define(*store, kTask);
  Table* const other = define(*store, R"({"database":"todo","name":"Other","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"Int","required":true}}]})");
  const uint64_t from = store->sequence();
  const std::string first = task("a", "1");
  const std::string second = task("b", "2");
  const std::string number = R"({"id":1})";
  std::vector<Write> writes = {put(task_table, first), put(other, number), put(task_table, second)};
  std::vector<Written> results;
  StoreFailure failure;
  REQUIRE(store->write(writes, results, failure));
  const auto seen = drain(*feed_of(*store, {task_table}, from));
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].key == "a");
  CHECK(seen[1].key == "b");
  const auto rest = drain(*feed_of(*store, {task_table, other}, seen[0].sequence));
  REQUIRE(rest.size() == 2);
  CHECK(rest[1] == seen[1]);
}

TEST_CASE("what is not kept any more, or has not happened yet, is no place to begin at") {
  const Folder folder;
  StoreOptions options = options_in(folder.path());
  options.write_buffer_bytes = 64 << 10;
  options.feed_bytes = 128 << 10;
  options.sync_ms = 5;
  auto store = open_store(options);
  Table* const table = define(*store, kTask);
  StoreFailure failure;
  CHECK(store->feed({table}, store->sequence() + 1, failure) == nullptr);
  CHECK(failure.status == TENON_ERROR_VERSION);
  const auto slow = feed_of(*store, {table}, store->sequence());
  const std::string filling(1000, 'x');
  bool lost = false;
  for (int count = 0; count < 200'000 && !lost; count++) {
    REQUIRE(write(*store, put(table, task(std::to_string(count % 100), filling + std::to_string(count)))));
    if (count % 500 == 0) lost = store->feed({table}, 1, failure) == nullptr;
  }
  CHECK(lost);
  CHECK(failure.status == TENON_ERROR_VERSION);
  Store::Change change;
  while (slow->next(0, change, failure)) {
  }
  CHECK(failure.status == TENON_ERROR_VERSION);
}

TEST_CASE("a feed that nothing comes for keeps to its time while others write, and gets through to what there is") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  Table* const other = define(*store, R"({"database":"todo","name":"Other","primaryKey":"id","fields":[
    {"name":"id","type":{"kind":"Int","required":true}}]})");
  const auto feed = feed_of(*store, {table}, store->sequence());
  for (int count = 0; count < 3000; count++) {
    REQUIRE(write(*store, put(other, R"({"id":)" + std::to_string(count) + "}")));
  }
  REQUIRE(write(*store, put(table, task("a", "1"))));
  Store::Change change;
  StoreFailure failure;
  int calls = 0;
  while (!feed->next(0, change, failure)) {
    REQUIRE(failure.status == TENON_ERROR_AGAIN);
    CHECK(feed->position() < store->sequence());
    calls++;
  }
  CHECK(calls > 1);
  CHECK(change.key == "a");
  CHECK_FALSE(feed->next(0, change, failure));
  CHECK(feed->position() == store->sequence());
}

TEST_CASE("a log that cannot be read is told as such, not as one that is not kept any more") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  REQUIRE(write(*store, put(table, task("a", "1"))));
  for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
    if (file.path().extension() != ".log") continue;
    // The store has it open and goes on; who opens it now finds what is no file.
    std::filesystem::rename(file.path(), folder.path("moved"));
    std::filesystem::create_directory(file.path());
    break;
  }
  StoreFailure failure;
  CHECK(store->feed({table}, 0, failure) == nullptr);
  CHECK_MESSAGE(failure.status == TENON_ERROR_STORAGE, failure.problem.message);
}

TEST_CASE("changes of large records are told in portions, and a reader that goes is cancelled") {
  const Folder folder;
  OpenStore open(open_store(options_in(folder.path())));
  Table* const table = define(open.store(), kTask);
  const std::string filling(15 << 20, 'x');
  const uint64_t from = open.store().sequence();
  for (int count = 0; count < 6; count++) {
    REQUIRE(write(open.store(), put(table, task(std::to_string(count), filling))));
  }
  Bell told;
  FeedServer server(
      open, [](void* bell) { static_cast<Bell*>(bell)->ring(); }, &told);
  const auto reader = std::make_shared<FeedReader>(feed_of(open.store(), {table}, from), nullptr);
  reader->most = 100;
  const auto next = [&] {
    const uint64_t seen = told.rung();
    REQUIRE(server.ask(reader));
    told.wait(seen, 20'000);
    REQUIRE(server.take_done().size() == 1);
    REQUIRE_FALSE(reader->failed);
    return std::exchange(reader->changes, {}).size();
  };
  CHECK(next() == 5);
  CHECK(next() == 1);
  REQUIRE(server.ask(reader));
  server.drop(*reader);
  Store::Change change;
  StoreFailure failure;
  server.stop();
  CHECK_FALSE(reader->feed->next(60'000, change, failure));
  CHECK(failure.status == TENON_ERROR_CANCELLED);
}

TEST_CASE("a feed that is closed wakes who waits for it") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  const auto feed = feed_of(*store, {table}, store->sequence());
  StoreFailure failure;
  std::thread waiter([&] {
    Store::Change change;
    CHECK_FALSE(feed->next(60'000, change, failure));
  });
  feed->cancel();
  waiter.join();
  CHECK(failure.status == TENON_ERROR_CANCELLED);
}

TEST_CASE("bytes that are no batch are refused") {
  std::string batch;
  const auto number = [&batch](uint64_t value, unsigned size) {
    for (unsigned at = 0; at < size; at++) batch.push_back(static_cast<char>(value >> (8 * at) & 0xff));
  };
  number(100, 8);
  number(3, 4);
  batch += std::string("\x05\x07\x03key\x05value", 12);
  batch += std::string("\x04\x07\x03gon", 6);
  batch += std::string("\x03\x04note", 6);
  batch += std::string("\x01\x01k\x01v", 5);
  BatchEntries entries;
  BatchEntries::Entry entry;
  entries.reset(batch);
  REQUIRE(entries.next(entry));
  CHECK(entry.sequence == 100);
  CHECK(entry.family == 7);
  CHECK(entry.key == "key");
  CHECK(entry.value == "value");
  REQUIRE(entries.next(entry));
  CHECK(entry.removed);
  REQUIRE(entries.next(entry));
  CHECK(entry.sequence == 102);
  CHECK(entry.family == 0);
  CHECK_FALSE(entries.next(entry));
  CHECK_FALSE(entries.broken());
  size_t broken = 0;
  for (size_t size = 0; size < batch.size(); size++) {
    const std::string cut(batch, 0, size);
    entries.reset(cut);
    while (entries.next(entry)) {
    }
    broken += entries.broken() ? 1 : 0;
  }
  CHECK(broken == batch.size() - 5);
  for (int tag : {0x09, 0x20, 0xff}) {
    const std::string wrong = batch.substr(0, 12) + static_cast<char>(tag);
    entries.reset(wrong);
    CHECK_FALSE(entries.next(entry));
    CHECK(entries.broken());
  }
  const std::string endless = batch.substr(0, 12) + std::string("\x01\xff\xff\xff\xff\xff\xff", 7);
  entries.reset(endless);
  CHECK_FALSE(entries.next(entry));
  CHECK(entries.broken());
}
