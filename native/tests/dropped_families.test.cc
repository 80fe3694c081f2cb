#include <doctest/doctest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store.h"
#include "store_harness.h"

using namespace tenon::core;
using namespace tenon::test;

namespace {

constexpr int kRecords = 4'000;

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

uint64_t bytes_in(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(directory, gone)) {
    struct stat facts;
    if (entry.path().extension() == ".sst" && stat(entry.path().c_str(), &facts) == 0) {
      bytes += static_cast<uint64_t>(facts.st_size);
    }
  }
  return bytes;
}

// A store whose index of titles takes as much room as its records.
struct World {
  Folder folder;
  std::unique_ptr<Store> store;
  Table* table = nullptr;

  World() {
    StoreOptions options = options_in(folder.path());
    options.write_buffer_bytes = 256 << 10;
    store = open_store(options);
    table = define_title(true);
    for (int number = 0; number < kRecords; number++) {
      std::string title;
      for (uint64_t word = 1; title.size() < 400; word++) {
        title += std::to_string((static_cast<uint64_t>(number) + word) * UINT64_C(0x9e3779b97f4a7c15));
      }
      const std::string id = std::to_string(number);
      REQUIRE(write(*store, put(table, R"({"id":")" + id + R"(","title":")" + title + "\"}")));
    }
    // What a compaction is writing when its family is dropped stays until RocksDB looks at the whole folder.
    REQUIRE(becomes([this] { return is_idle(); }));
  }

  bool is_idle() const {
    const std::string figures = store->metrics();
    const auto is_none = [&figures](const std::string& name) {
      return figures.find("\"" + name + "\":0,") != std::string::npos;
    };
    return is_none("compactionsRunning") && is_none("flushesRunning") && is_none("immutableMemtables") &&
           is_none("compactionBytesPending");
  }

  Table* define_title(bool indexed) const {
    Definition definition = definition_of(kTask);
    for (Field& field : definition.fields) field.indexed = indexed && field.name == "title";
    StoreFailure failure;
    Table* const defined = store->define(definition, failure);
    REQUIRE_MESSAGE(defined != nullptr, failure.problem.message);
    return defined;
  }
};

}  // namespace

TEST_CASE("the files of an index that is gone go while the store is open, once nobody reads it any more") {
  const World world;
  tenon_scan_t scan = {};
  scan.size = sizeof scan;
  scan.field = static_cast<int32_t>(field_of(*world.store, *world.table, "title"));
  StoreFailure failure;
  auto cursor = world.store->scan(*world.table, scan, failure);
  REQUIRE(cursor != nullptr);
  const uint64_t before = bytes_in(world.folder.path());
  world.define_title(false);
  int seen = 0;
  std::string_view key;
  std::string_view record;
  while (cursor->next(key, record, failure)) seen++;
  CHECK(seen == kRecords);
  CHECK(bytes_in(world.folder.path()) > before / 4 * 3);
  cursor.reset();
  CHECK(becomes([&] { return bytes_in(world.folder.path()) < before / 4 * 3; }));
  CHECK(world.store->count(*world.table, {}, failure) == kRecords);
}

TEST_CASE("the files of a table that was dropped go while the store is open") {
  const World world;
  const uint64_t before = bytes_in(world.folder.path());
  StoreFailure failure;
  REQUIRE(world.store->drop(*world.table, failure));
  CHECK(becomes([&] { return bytes_in(world.folder.path()) < before / 4; }));
  Table* const again = world.define_title(true);
  CHECK(world.store->count(*again, {}, failure) == 0);
}

TEST_CASE("whoever reads and writes while indexes come and go misses nothing") {
  const World world;
  std::atomic<bool> over{false};
  std::vector<std::thread> readers;
  for (int number = 0; number < 3; number++) {
    readers.emplace_back([&world, &over, number] {
      StoreFailure failure;
      Query query;
      query.order = {{field_of(*world.store, *world.table, "title"), false}};
      query.limit = 10;
      while (!over.load()) {
        if (number == 0) {
          CHECK(write(*world.store, put(world.table, R"({"id":"7","title":"x"})")));
        } else if (number == 1) {
          CHECK(world.store->facts(*world.table).estimate > 0);
          CHECK(world.store->metrics().size() > 2);
        } else {
          const auto page = world.store->query(*world.table, query, failure);
          CHECK(page.has_value());
          if (page) CHECK(page->count == 10);
        }
      }
    });
  }
  for (int round = 0; round < 12; round++) world.define_title(round % 2 == 1);
  over.store(true);
  for (std::thread& reader : readers) reader.join();
}
