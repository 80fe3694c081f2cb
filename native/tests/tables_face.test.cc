#include "tables_face.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "clock.h"
#include "harness.h"
#include "host_face.h"
#include "store_harness.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

// One generation's host, and a store of its own. What a plugin does it does on another thread than the front's.
struct World {
  explicit World(std::vector<std::string> grants = {})
      : store(std::make_shared<core::OpenStore>(test::open_store(test::options_in(folder.path())))) {
    test::define(store->store(), test::kTask);
    plugin = &front->plugin("todo");
    face = std::make_unique<core::HostFace>(*plugin, 1, core::TablesAccess{store, "todo", std::move(grants)});
    host = &face->host();
    tables = static_cast<const tenon_host_tables_t*>(host->get_extension(host, TENON_TABLES_ID));
  }

  tenon_table_t* open(std::string_view name = "Task") const {
    tenon_table_t* table = nullptr;
    CHECK(tables->open(host, bytes(name), &table) == TENON_OK);
    return table;
  }

  test::Folder folder;
  FrontUnderTest front;
  std::shared_ptr<core::OpenStore> store;
  core::Plugin* plugin = nullptr;
  std::unique_ptr<core::HostFace> face;
  const tenon_host_t* host = nullptr;
  const tenon_host_tables_t* tables = nullptr;
};

template <typename Work>
void on_thread(Work work) {
  std::thread(work).join();
}

tenon_value_t text(const char* value) {
  tenon_value_t key = {};
  key.kind = TENON_VALUE_TEXT;
  key.text = bytes(value);
  return key;
}

bool close_in_time(core::OpenStore& store) { return store.close(core::now() + core::milliseconds(20'000)); }

constexpr const char* kJson = R"({"id":"a","title":"Bread"})";

}  // namespace

TEST_CASE("tables may be used from ready on, until shutdown has returned") {
  World world;
  tenon_table_t* table = nullptr;
  CHECK(world.tables->open(world.host, bytes("Task"), &table) == TENON_ERROR_STATE);
  world.face->tables()->open();
  table = world.open();
  CHECK(world.tables->field(table, bytes("title")) == 1);
  world.face->tables()->retire();
  on_thread([&] { CHECK(world.tables->put(table, bytes(kJson), TENON_PUT_ANY, nullptr) == TENON_OK); });
  world.face->tables()->close();
  on_thread([&] {
    tenon_table_problem_t problem = {sizeof problem, "x", "x"};
    CHECK(world.tables->put(table, bytes(kJson), TENON_PUT_ANY, &problem) == TENON_ERROR_STATE);
    CHECK(std::strlen(problem.message) > 10);
    CHECK(std::strlen(problem.field) == 0);
  });
  CHECK(world.tables->field(table, bytes("later")) == -1);
  CHECK(close_in_time(*world.store));
}

TEST_CASE("what a plugin has not given back is taken back, and a thread that comes later with it is refused") {
  World world;
  world.face->tables()->open();
  tenon_table_t* const table = world.open();
  tenon_record_t record = {};
  record.size = sizeof record;
  tenon_batch_t* batch = nullptr;
  tenon_cursor_t* cursor = nullptr;
  tenon_feed_t* feed = nullptr;
  const tenon_value_t key = text("a");
  on_thread([&] {
    CHECK(world.tables->put(table, bytes(kJson), TENON_PUT_ANY, nullptr) == TENON_OK);
    CHECK(world.tables->get(table, &key, &record) == TENON_OK);
    CHECK(world.tables->batch_begin(world.host, &batch) == TENON_OK);
    CHECK(world.tables->batch_put(batch, table, bytes(kJson), TENON_PUT_ANY) == TENON_OK);
    tenon_scan_t scan = {};
    scan.size = sizeof scan;
    CHECK(world.tables->scan(table, &scan, &cursor, nullptr) == TENON_OK);
    CHECK(world.tables->feed_begin(table, 0, &feed) == TENON_OK);
  });
  world.face->tables()->retire();
  world.face->tables()->close();
  CHECK(close_in_time(*world.store));
  on_thread([&] {
    tenon_record_t next = {};
    next.size = sizeof next;
    tenon_change_t change = {};
    change.size = sizeof change;
    CHECK(world.tables->get(table, &key, &next) == TENON_ERROR_STATE);
    CHECK(world.tables->next(cursor, &next) == TENON_ERROR_STATE);
    CHECK(world.tables->feed_next(feed, 1000, &change) == TENON_ERROR_STATE);
    CHECK(world.tables->batch_put(batch, table, bytes(kJson), TENON_PUT_ANY) == TENON_ERROR_STATE);
    CHECK(world.tables->batch_commit(batch, nullptr) == TENON_ERROR_STATE);
    world.tables->release(&record);
    CHECK(record.bytes.data == nullptr);
    world.tables->scan_end(cursor);
    world.tables->batch_discard(batch);
    world.tables->feed_end(feed);
  });
}

TEST_CASE("a store that is closed waits for who is inside, and ends who waits for changes") {
  World world;
  world.face->tables()->open();
  tenon_table_t* const table = world.open();
  std::atomic<bool> begun{false};
  std::thread follower([&] {
    tenon_feed_t* feed = nullptr;
    CHECK(world.tables->feed_begin(table, 0, &feed) == TENON_OK);
    begun = true;
    tenon_change_t change = {};
    change.size = sizeof change;
    CHECK(world.tables->feed_next(feed, 3'600'000, &change) == TENON_ERROR_CANCELLED);
  });
  while (!begun) std::this_thread::yield();
  CHECK(close_in_time(*world.store));
  follower.join();
}

TEST_CASE("a store that is closed under a plugin keeps what was lent to it until that is given back") {
  World world;
  world.face->tables()->open();
  tenon_table_t* const table = world.open();
  tenon_record_t record = {};
  record.size = sizeof record;
  tenon_record_t scanned = record;
  tenon_cursor_t* cursor = nullptr;
  tenon_feed_t* feed = nullptr;
  tenon_change_t change = {};
  change.size = sizeof change;
  const tenon_value_t key = text("a");
  on_thread([&] {
    CHECK(world.tables->feed_begin(table, 0, &feed) == TENON_OK);
    CHECK(world.tables->put(table, bytes(kJson), TENON_PUT_ANY, nullptr) == TENON_OK);
    CHECK(world.tables->get(table, &key, &record) == TENON_OK);
    tenon_scan_t scan = {};
    scan.size = sizeof scan;
    CHECK(world.tables->scan(table, &scan, &cursor, nullptr) == TENON_OK);
    CHECK(world.tables->next(cursor, &scanned) == TENON_OK);
    CHECK(world.tables->feed_next(feed, 20'000, &change) == TENON_OK);
  });
  const auto text_of = [](const tenon_record_t& one) {
    const tenon_bytes_t json = tenon_record_json(&one);
    return std::string(json.data, json.size);
  };
  CHECK_FALSE(world.store->close(core::now()));
  on_thread([&] {
    tenon_record_t next = {};
    next.size = sizeof next;
    CHECK(world.tables->get(table, &key, &next) == TENON_ERROR_STATE);
    CHECK(text_of(record) == kJson);
    world.tables->release(&record);
  });
  CHECK_FALSE(world.store->close(core::now()));
  on_thread([&] {
    CHECK(text_of(scanned) == kJson);
    world.tables->scan_end(cursor);
  });
  CHECK_FALSE(world.store->close(core::now()));
  on_thread([&] {
    CHECK(text_of(change.record) == kJson);
    world.tables->feed_end(feed);
  });
  CHECK(close_in_time(*world.store));
}

TEST_CASE("threads that read and keep records while the face closes lose nothing") {
  World world;
  world.face->tables()->open();
  tenon_table_t* const table = world.open();
  on_thread([&] { CHECK(world.tables->put(table, bytes(kJson), TENON_PUT_ANY, nullptr) == TENON_OK); });
  std::atomic<int> reading{0};
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; index++) {
    threads.emplace_back([&, index] {
      const tenon_value_t key = text("a");
      std::vector<tenon_record_t> kept;
      tenon_status status = TENON_OK;
      for (int round = 0; status == TENON_OK; round++) {
        tenon_record_t record = {};
        record.size = sizeof record;
        status = world.tables->get(table, &key, &record);
        if (round == 20) reading++;
        if (status != TENON_OK) break;
        if (kept.size() < 100 && round % (index + 2) == 0) {
          kept.push_back(record);
        } else {
          world.tables->release(&record);
        }
      }
      CHECK(status == TENON_ERROR_STATE);
      for (tenon_record_t& record : kept) world.tables->release(&record);
    });
  }
  while (reading < 4) std::this_thread::yield();
  world.face->tables()->retire();
  world.face->tables()->close();
  for (std::thread& thread : threads) thread.join();
  CHECK(close_in_time(*world.store));
}

TEST_CASE("a batch has a limit of writes, and a record one of bytes") {
  World world;
  world.face->tables()->open();
  tenon_table_t* const table = world.open();
  on_thread([&] {
    tenon_batch_t* batch = nullptr;
    REQUIRE(world.tables->batch_begin(world.host, &batch) == TENON_OK);
    const tenon_value_t key = text("a");
    uint32_t added = 0;
    while (world.tables->batch_remove(batch, table, &key) == TENON_OK) added++;
    CHECK(added == TENON_TABLE_BATCH_LIMIT);
    world.tables->batch_discard(batch);
    const std::string large(TENON_TABLE_RECORD_LIMIT + 1, ' ');
    CHECK(world.tables->put(table, bytes(large), TENON_PUT_ANY, nullptr) == TENON_ERROR_TOO_LARGE);
  });
}

TEST_CASE("grants name a right, a database and a table or all of them") {
  const std::vector<std::string> grants = {"read:library.*", "write:library.Shelf", "read", "library.Book", "read:.x"};
  CHECK(core::is_granted(grants, "library", "Book", false));
  CHECK(core::is_granted(grants, "library", "Shelf", true));
  CHECK_FALSE(core::is_granted(grants, "library", "Book", true));
  CHECK_FALSE(core::is_granted(grants, "librar", "Shelf", false));
  CHECK_FALSE(core::is_granted(grants, "library", "Shel", true));
  CHECK_FALSE(core::is_granted({}, "library", "Shelf", false));
}
