#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "harness.h"
#include "host_face.h"
#include "isolated/services.h"
#include "isolated/session.h"
#include "store_harness.h"
#include "tables_face.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

using Grants = std::vector<std::string>;

// What a runner may say is said by the test; the process beside it only has to live.
struct Conversation {
  // With a host whose capabilities `find` gives, if it is not null.
  explicit Conversation(Grants grants = {}, decltype(tenon_host_t::get_extension) find = nullptr)
      : store(std::make_shared<core::OpenStore>(test::open_store(test::options_in(folder.path())))),
        face(front->plugin("todo"), 1, core::TablesAccess{store, "todo", std::move(grants)}),
        host(face.host()) {
    if (find != nullptr) host.get_extension = find;
    test::define(store->store(), test::kTask);
    test::define(store->store(), std::string(test::kTask).replace(13, 4, "shop"));
    face.tables()->open();
    isolated::Launch launch;
    launch.runner = "/usr/bin/yes";
    launch.settings.id = "todo";
    launch.library = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    std::string problem;
    session = isolated::Session::start(launch, host, problem);
    ::close(launch.library);
    const bool began = session.get() != nullptr;
    REQUIRE_MESSAGE(began, problem);
  }
  ~Conversation() {
    session.reset();
    face.tables()->retire();
    face.tables()->close();
  }

  // Not on the thread of the front, as in the host. False: the runner has broken the protocol.
  bool say(uint16_t code, const wire::Writer& question) {
    bool kept = false;
    answer.clear();
    std::thread([&] {
      wire::Reader reader(question.bytes());
      kept = isolated::serve_tables(*session, code, reader, answer);
    }).join();
    return kept;
  }
  int32_t status(uint16_t code, const wire::Writer& question) {
    CHECK(say(code, question));
    return wire::Reader(answer.bytes()).get<int32_t>();
  }
  uint64_t open(std::string_view name = "Task") {
    CHECK(status(wire::kUpTablesOpen, wire::Writer().text(name)) == TENON_OK);
    wire::Reader reader(answer.bytes());
    reader.get<int32_t>();
    return reader.get<uint64_t>();
  }
  int32_t put(uint64_t table, std::string_view json) {
    return status(wire::kUpTablesPut, wire::Writer().put(table).put<uint32_t>(TENON_PUT_ANY).text(json));
  }
  // The number that follows the status.
  uint64_t number() const {
    wire::Reader reader(answer.bytes());
    reader.get<int32_t>();
    return reader.get<uint64_t>();
  }

  test::Folder folder;
  FrontUnderTest front;
  std::shared_ptr<core::OpenStore> store;
  core::HostFace face;
  tenon_host_t host;
  std::shared_ptr<isolated::Session> session;
  wire::Writer answer;
};

wire::Writer& no_value(wire::Writer& writer) {
  return writer.put<uint32_t>(TENON_VALUE_ABSENT).put(false).put<int64_t>(0).put<double>(0).text(std::string_view());
}
wire::Writer& key(wire::Writer& writer, std::string_view text) {
  return writer.put(true).put<uint32_t>(TENON_VALUE_TEXT).put(false).put<int64_t>(0).put<double>(0).text(text);
}

wire::Writer scan(uint64_t table) {
  wire::Writer writer;
  writer.put(table).put<int32_t>(-1);
  no_value(no_value(writer)).put(false).put(false).put(false).text(std::string_view()).text(std::string_view());
  return writer;
}

wire::Writer following(uint64_t number, uint32_t rest) {
  wire::Writer writer;
  writer.put(number).put(rest);
  return writer;
}

// Of a host that begins no batch, and counts those that are given back.
int given_back = 0;
const void* without_batches(const tenon_host_t* host, const char* id) {
  static const tenon_host_tables_t tables = [] {
    tenon_host_tables_t own = core::TablesFace::functions();
    own.batch_begin = [](const tenon_host_t*, tenon_batch_t**) -> tenon_status { return TENON_ERROR_STATE; };
    own.batch_discard = [](tenon_batch_t*) { given_back++; };
    return own;
  }();
  const tenon_host_t& full = core::HostFace::of(host).host();
  return std::string_view(id) == TENON_TABLES_ID ? &tables : full.get_extension(&full, id);
}

// Of JSON `{"id":"aN"}` each.
wire::Writer batch(uint64_t number, uint64_t table, uint32_t first, uint32_t count) {
  wire::Writer writer;
  writer.put(number).put(count);
  for (uint32_t index = first; index < first + count; index++) {
    writer.put<uint8_t>(static_cast<uint8_t>(wire::TableWrite::Put)).put(table).put<uint32_t>(TENON_PUT_ANY);
    writer.text("{\"id\":\"a" + std::to_string(index) + "\"}");
  }
  return writer;
}

}  // namespace

TEST_CASE("a runner is refused a table that its plugin may not open, and a number it was not given") {
  Conversation world({"read:shop.Task"});
  CHECK(world.status(wire::kUpTablesOpen, wire::Writer().text("bank.Task")) == TENON_ERROR_DENIED);
  const uint64_t own = world.open();
  const uint64_t shop = world.open("shop.Task");
  CHECK(shop != own);
  CHECK(world.open("todo.Task") == own);
  CHECK(world.put(own, R"({"id":"a"})") == TENON_OK);
  CHECK(world.put(shop, R"({"id":"a"})") == TENON_ERROR_DENIED);
  CHECK(world.status(wire::kUpTablesBatchCommit, batch(0, shop, 0, 1)) == TENON_ERROR_DENIED);
  CHECK(world.status(wire::kUpTablesMayAdd, wire::Writer().put(shop).put(false).put(false)) == TENON_ERROR_DENIED);
  CHECK(world.status(wire::kUpTablesMayAdd, wire::Writer().put(own).put(false).put(false)) == TENON_OK);
  for (const uint64_t number : {uint64_t{0}, shop + 1, UINT64_MAX}) {
    CHECK_FALSE(world.say(wire::kUpTablesPut, wire::Writer().put(number).put<uint32_t>(0).text("{}")));
    CHECK_FALSE(world.say(wire::kUpTablesScan, scan(number)));
    CHECK_FALSE(world.say(wire::kUpTablesFeed, wire::Writer().put(number).put<uint64_t>(0)));
    CHECK_FALSE(world.say(wire::kUpTablesBatchCommit, batch(0, number, 0, 1)));
    CHECK_FALSE(world.say(wire::kUpTablesNext, following(number, 1)));
    CHECK_FALSE(world.say(wire::kUpTablesFeedNext, following(number, 1)));
    CHECK_FALSE(world.say(wire::kUpTablesScanEnd, wire::Writer().put(number)));
  }
  // A table is no cursor.
  CHECK_FALSE(world.say(wire::kUpTablesNext, following(own, 1)));
  CHECK_FALSE(world.say(249, {}));
}

TEST_CASE("of a question about tables that is cut short, or is longer than it should be, nothing is done") {
  Conversation world;
  const uint64_t table = world.open();
  wire::Writer patch;
  key(patch.put(table), "a").text("{}");
  wire::Writer get;
  key(get.put(table), "a");
  struct Question {
    uint16_t code;
    std::string bytes;
  };
  const Question questions[] = {
      {wire::kUpTablesOpen, std::string(wire::Writer().text("Task").bytes())},
      {wire::kUpTablesField, std::string(wire::Writer().put(table).text("id").bytes())},
      {wire::kUpTablesGet, std::string(get.bytes())},
      {wire::kUpTablesPut, std::string(wire::Writer().put(table).put<uint32_t>(0).text(R"({"id":"a"})").bytes())},
      {wire::kUpTablesPatch, std::string(patch.bytes())},
      {wire::kUpTablesRemove, std::string(get.bytes())},
      {wire::kUpTablesCount, std::string(wire::Writer().put(table).put(true).bytes())},
      {wire::kUpTablesBatchCommit, std::string(batch(0, table, 0, 3).bytes())},
      {wire::kUpTablesBatchAdd, std::string(batch(0, table, 0, 3).bytes())},
      {wire::kUpTablesScan, std::string(scan(table).bytes())},
      {wire::kUpTablesFeed, std::string(wire::Writer().put(table).put<uint64_t>(0).bytes())},
  };
  for (const Question& question : questions) {
    for (size_t size = 0; size < question.bytes.size(); size++) {
      wire::Writer cut;
      cut.raw(std::string_view(question.bytes).substr(0, size));
      CHECK_FALSE(world.say(question.code, cut));
    }
    wire::Writer longer;
    longer.raw(question.bytes).put(false);
    CHECK_FALSE(world.say(question.code, longer));
  }
  CHECK(world.session->holdings.size() == 1);
  CHECK(world.status(wire::kUpTablesCount, wire::Writer().put(table).put(true)) == TENON_OK);
  CHECK(world.number() == 0);
}

TEST_CASE("a scan comes in pages that grow, and its cursor is given back with the last of them") {
  Conversation world;
  const uint64_t table = world.open();
  CHECK(world.status(wire::kUpTablesBatchCommit, batch(0, table, 0, 600)) == TENON_OK);
  CHECK(world.status(wire::kUpTablesScan, scan(table)) == TENON_OK);
  const uint64_t cursor = world.number();
  CHECK(cursor != 0);
  wire::Reader first(std::string_view(world.answer.bytes()).substr(12));
  size_t records = 0;
  int32_t last = TENON_OK;
  const auto read = [&](wire::Reader& page) {
    size_t count = 0;
    for (; page.flag(); count++) page.text();
    last = page.get<int32_t>();
    CHECK(page.ended());
    records += count;
    return count;
  };
  CHECK(read(first) <= 4);
  while (last == TENON_OK) {
    CHECK(world.say(wire::kUpTablesNext, following(cursor, UINT32_MAX)));
    wire::Reader page(world.answer.bytes());
    CHECK(read(page) <= wire::kPageRecords);
  }
  CHECK(last == TENON_ERROR_NOT_FOUND);
  CHECK(records == 600);
  CHECK_FALSE(world.say(wire::kUpTablesNext, following(cursor, 1)));
}

TEST_CASE("scans, feeds and unfinished batches of a runner are bounded, and given back with its end") {
  Conversation world;
  const uint64_t table = world.open();
  CHECK(world.status(wire::kUpTablesBatchCommit, batch(0, table, 0, 600)) == TENON_OK);
  for (int count = 0; count < 1024; count++) REQUIRE(world.status(wire::kUpTablesScan, scan(table)) == TENON_OK);
  CHECK(world.status(wire::kUpTablesScan, scan(table)) == TENON_ERROR_MEMORY);
  const wire::Writer feed = std::move(wire::Writer().put(table).put<uint64_t>(0));
  for (int count = 0; count < 1024; count++) REQUIRE(world.status(wire::kUpTablesFeed, feed) == TENON_OK);
  CHECK(world.status(wire::kUpTablesFeed, feed) == TENON_ERROR_MEMORY);
  CHECK(world.status(wire::kUpTablesBatchAdd, batch(0, table, 600, 1)) == TENON_OK);
  CHECK(world.status(wire::kUpTablesBatchAdd, batch(0, table, 601, 1)) == TENON_OK);
  CHECK_FALSE(world.say(wire::kUpTablesBatchAdd, batch(0, table, 602, 1)));
  world.session->kill("the test ends it");
  world.session.reset();
  CHECK(world.store->close(core::now() + core::milliseconds(20'000)));
}

TEST_CASE("a batch that comes in pieces is written with the last of them, all of it or nothing") {
  Conversation world;
  const uint64_t table = world.open();
  CHECK(world.status(wire::kUpTablesBatchAdd, batch(0, table, 0, 10)) == TENON_OK);
  const uint64_t number = world.number();
  CHECK(world.status(wire::kUpTablesBatchAdd, batch(number, table, 10, 10)) == TENON_OK);
  CHECK(world.number() == number);
  CHECK(world.status(wire::kUpTablesCount, wire::Writer().put(table).put(true)) == TENON_OK);
  CHECK(world.number() == 0);
  CHECK(world.status(wire::kUpTablesBatchCommit, batch(number, table, 20, 10)) == TENON_OK);
  CHECK(world.status(wire::kUpTablesCount, wire::Writer().put(table).put(true)) == TENON_OK);
  CHECK(world.number() == 30);
  CHECK_FALSE(world.say(wire::kUpTablesBatchCommit, batch(number, table, 0, 0)));
}

TEST_CASE("a batch that the host has not begun is not given back to it") {
  Conversation world({}, without_batches);
  given_back = 0;
  CHECK(world.status(wire::kUpTablesBatchBegin, wire::Writer()) == TENON_ERROR_STATE);
  const uint64_t table = world.open();
  CHECK(world.status(wire::kUpTablesBatchAdd, batch(0, table, 0, 1)) == TENON_ERROR_STATE);
  CHECK(given_back == 0);
}

TEST_CASE("the end of a runner ends the wait of its plugin for a change") {
  Conversation world;
  const uint64_t table = world.open();
  CHECK(world.status(wire::kUpTablesFeed, wire::Writer().put(table).put<uint64_t>(0)) == TENON_OK);
  const uint64_t feed = world.number();
  world.session->holdings.wake_all();
  CHECK(world.status(wire::kUpTablesFeedNext, following(feed, UINT32_MAX)) == TENON_ERROR_CANCELLED);
}
