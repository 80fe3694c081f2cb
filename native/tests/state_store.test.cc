#include "state_store.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "byte_buffer.h"
#include "disk_faults.h"
#include "store_harness.h"

using namespace tenon::core;

namespace {

std::string value_of(const StateStore& store, std::string_view key) {
  char buffer[64];
  size_t size = 0;
  if (store.get(bytes(key), buffer, sizeof buffer, &size) != TENON_OK) return "none";
  return std::string(buffer, size);
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_bytes(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

using State = ValueFile::Found::State;

}  // namespace

TEST_CASE("values that are exported are the same after their import, and nothing else is there") {
  StateStore store;
  const std::string key(255, 'k');
  CHECK(store.put(bytes("one"), bytes("1")) == TENON_OK);
  CHECK(store.put(bytes("empty"), bytes("")) == TENON_OK);
  CHECK(store.put(bytes(key), bytes(std::string_view("a\0b", 3))) == TENON_OK);
  StateStore other;
  CHECK(other.put(bytes("stranger"), bytes("x")) == TENON_OK);
  CHECK(other.import_values(store.export_values()).empty());
  CHECK(value_of(other, "one") == "1");
  CHECK(value_of(other, "empty").empty());
  CHECK(value_of(other, key) == std::string("a\0b", 3));
  CHECK(value_of(other, "stranger") == "none");
  CHECK(other.import_values(StateStore().export_values()).empty());
  CHECK(value_of(other, "one") == "none");
}

TEST_CASE("what is imported counts towards the limit") {
  StateStore store;
  CHECK(store.put(bytes("big"), bytes(std::string(TENON_STATE_LIMIT - 3, 'x'))) == TENON_OK);
  StateStore other;
  CHECK(other.import_values(store.export_values()).empty());
  CHECK(other.put(bytes("a"), bytes("b")) == TENON_ERROR_TOO_LARGE);
  CHECK(other.remove(bytes("big")) == TENON_OK);
  CHECK(other.put(bytes("a"), bytes("b")) == TENON_OK);
}

TEST_CASE("a block that is none is refused, and changes nothing") {
  StateStore whole;
  CHECK(whole.put(bytes("key"), bytes("value")) == TENON_OK);
  const std::string block = whole.export_values();
  StateStore store;
  CHECK(store.put(bytes("kept"), bytes("1")) == TENON_OK);
  std::string wrong_version = block;
  wrong_version[0] = 3;
  std::string no_key = block;
  no_key[9] = 0;
  std::string long_value = block;
  long_value[13] = static_cast<char>(0xff);
  const std::string twice = block + block.substr(9);
  for (const std::string& bad : {std::string(), wrong_version, no_key, long_value, twice, block + "x"}) {
    CHECK_FALSE(store.import_values(bad).empty());
  }
  for (size_t size = 0; size < block.size(); size++) {
    if (size != 9) CHECK_FALSE(store.import_values(block.substr(0, size)).empty());
  }
  CHECK(value_of(store, "kept") == "1");
  CHECK(value_of(store, "key") == "none");
}

TEST_CASE("values are in the file when put and remove answer, whatever becomes of who has put them") {
  const tenon::test::Folder folder;
  const std::string path = folder.path() + "/keeper.values";
  StateStore store;
  CHECK(store.keep_in(path, true).state == State::Absent);
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(store.put(bytes("one"), bytes("1")) == TENON_OK);
  CHECK(store.put(bytes("two"), bytes("2")) == TENON_OK);
  CHECK(store.put(bytes("one"), bytes("first")) == TENON_OK);
  CHECK(store.remove(bytes("two")) == TENON_OK);
  CHECK(store.put(bytes("empty"), bytes("")) == TENON_OK);
  struct stat facts = {};
  CHECK(stat(path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  for (int time = 0; time < 2; time++) {
    StateStore next;
    CHECK(next.keep_in(path, true).state == State::Whole);
    CHECK(value_of(next, "one") == "first");
    CHECK(value_of(next, "two") == "none");
    CHECK(value_of(next, "empty").empty());
  }
  StateStore last;
  CHECK(last.keep_in(path, true).state == State::Whole);
  CHECK(last.put(bytes("two"), bytes("again")) == TENON_OK);
  StateStore after;
  CHECK(after.keep_in(path, true).state == State::Whole);
  CHECK(value_of(after, "two") == "again");
}

TEST_CASE("a file cut short anywhere gives what was whole of it, and goes on from there") {
  const tenon::test::Folder folder;
  const std::string path = folder.path() + "/keeper.values";
  std::vector<size_t> ends;
  {
    StateStore store;
    store.keep_in(path, true);
    for (const char* value : {"1", "22", "333"}) {
      CHECK(store.put(bytes("key"), bytes(value)) == TENON_OK);
      ends.push_back(bytes_of(path).size());
    }
  }
  const std::string whole = bytes_of(path);
  for (size_t size = ends[0]; size < whole.size(); size++) {
    CAPTURE(size);
    write_bytes(path, whole.substr(0, size));
    StateStore store;
    const ValueFile::Found found = store.keep_in(path, true);
    CHECK(found.state == (size == ends[0] || size == ends[1] ? State::Whole : State::Torn));
    CHECK(value_of(store, "key") == (size < ends[1] ? "1" : "22"));
    CHECK(store.put(bytes("more"), bytes("x")) == TENON_OK);
    StateStore next;
    CHECK(next.keep_in(path, true).state == State::Whole);
    CHECK(value_of(next, "key") == (size < ends[1] ? "1" : "22"));
    CHECK(value_of(next, "more") == "x");
  }
  // What a file system leaves of a power cut.
  write_bytes(path, whole + std::string(5000, '\0'));
  StateStore store;
  CHECK(store.keep_in(path, true).state == State::Torn);
  CHECK(value_of(store, "key") == "333");
}

TEST_CASE("a file with any byte changed is damaged, and what comes before it is taken") {
  const tenon::test::Folder folder;
  const std::string path = folder.path() + "/keeper.values";
  {
    StateStore store;
    store.keep_in(path, true);
    for (const char* value : {"1", "22", "333"}) CHECK(store.put(bytes("key"), bytes(value)) == TENON_OK);
  }
  const std::string whole = bytes_of(path);
  for (size_t at = 0; at < whole.size(); at++) {
    CAPTURE(at);
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    write_bytes(path, changed);
    StateStore store;
    CHECK(store.keep_in(path, true).state == State::Damaged);
    CHECK(value_of(store, "key") != "333");
    CHECK(bytes_of(path) == changed);
    store.keep_in(path, false);
    const std::string before = value_of(store, "key");
    StateStore next;
    next.keep_in(path, true);
    CHECK(value_of(next, "key") == before);
  }
  std::mt19937 random(7);
  for (int time = 0; time < 300; time++) {
    std::string noise = whole.substr(0, random() % whole.size());
    for (size_t more = random() % 200; more > 0; more--) noise.push_back(static_cast<char>(random()));
    write_bytes(path, noise);
    StateStore store;
    store.keep_in(path, true);
    CHECK(store.put(bytes("key"), bytes("new")) == TENON_OK);
    StateStore next;
    CHECK(next.keep_in(path, true).state == State::Whole);
    CHECK(value_of(next, "key") == "new");
  }
}

TEST_CASE("of a file and a block the newer one counts") {
  const tenon::test::Folder folder;
  const std::string path = folder.path() + "/keeper.values";
  StateStore store;
  store.keep_in(path, true);
  CHECK(store.put(bytes("key"), bytes("old")) == TENON_OK);
  const std::string old_file = bytes_of(path);
  const std::string old_block = store.export_values();
  CHECK(store.put(bytes("key"), bytes("new")) == TENON_OK);
  const std::string new_block = store.export_values();

  StateStore by_file;
  CHECK(by_file.import_values(old_block).empty());
  by_file.keep_in(path, true);
  CHECK(value_of(by_file, "key") == "new");

  write_bytes(path, old_file);
  StateStore by_block;
  CHECK(by_block.import_values(new_block).empty());
  by_block.keep_in(path, true);
  CHECK(value_of(by_block, "key") == "new");
  // The old file does not come back.
  CHECK(by_block.put(bytes("other"), bytes("1")) == TENON_OK);
  StateStore next;
  next.keep_in(path, true);
  CHECK(value_of(next, "key") == "new");

  // What was kept in memory alone meanwhile is newer than all files.
  StateStore alone;
  CHECK(alone.put(bytes("key"), bytes("alone")) == TENON_OK);
  StateStore last;
  CHECK(last.import_values(alone.export_values()).empty());
  last.keep_in(path, true);
  CHECK(value_of(last, "key") == "alone");
}

TEST_CASE("a file stays small, however often values change") {
  const tenon::test::Folder folder;
  const std::string path = folder.path() + "/keeper.values";
  StateStore store;
  store.keep_in(path, true);
  const std::string value(100000, 'x');
  for (int time = 0; time < 200; time++) {
    CHECK(store.put(bytes("big"), bytes(value)) == TENON_OK);
    CHECK(store.put(bytes("small"), bytes(std::to_string(time))) == TENON_OK);
    CHECK(std::filesystem::file_size(path) < 5'000'000);
  }
  StateStore next;
  CHECK(next.keep_in(path, true).state == State::Whole);
  CHECK(value_of(next, "small") == "199");
}

#if defined(__linux__)
TEST_CASE("a disk that is full refuses a change, and nothing is lost") {
  const tenon::test::Folder folder;
  // A name that the faults know.
  const std::string path = folder.path() + "/keeper.log";
  StateStore store;
  store.keep_in(path, true);
  CHECK(store.put(bytes("key"), bytes("before")) == TENON_OK);
  {
    const tenon::test::DiskFault full(tenon::test::DiskFault::Kind::FullDisk);
    CHECK(store.put(bytes("key"), bytes("after")) == TENON_ERROR_STORAGE);
    CHECK(store.remove(bytes("key")) == TENON_ERROR_STORAGE);
    CHECK(value_of(store, "key") == "before");
  }
  // A write that was taken in part.
  rlimit usual = {};
  getrlimit(RLIMIT_FSIZE, &usual);
  const auto signal_before = signal(SIGXFSZ, SIG_IGN);
  const rlimit little = {bytes_of(path).size() + 10, usual.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &little) == 0);
  CHECK(store.put(bytes("key"), bytes("in part")) == TENON_ERROR_STORAGE);
  setrlimit(RLIMIT_FSIZE, &usual);
  signal(SIGXFSZ, signal_before);
  CHECK(value_of(store, "key") == "before");
  CHECK(store.put(bytes("other"), bytes("later")) == TENON_OK);
  StateStore next;
  CHECK(next.keep_in(path, true).state == State::Whole);
  CHECK(value_of(next, "key") == "before");
  CHECK(value_of(next, "other") == "later");
}
#endif

#if defined(__linux__)
TEST_CASE("a value is read while another change waits for the disk") {
  const tenon::test::Folder folder;
  const std::string path = folder.path() + "/keeper.log";
  StateStore store;
  store.keep_in(path, true);
  CHECK(store.put(bytes("key"), bytes("before")) == TENON_OK);
  std::atomic<bool> is_read{false};
  std::thread writer;
  std::thread reader;
  {
    const int strikes = tenon::test::DiskFault::strikes();
    const tenon::test::DiskFault stuck(tenon::test::DiskFault::Kind::StuckDisk);
    writer = std::thread([&] { CHECK(store.put(bytes("key"), bytes("after")) == TENON_OK); });
    while (tenon::test::DiskFault::strikes() == strikes) std::this_thread::yield();
    reader = std::thread([&] {
      CHECK(value_of(store, "key") == "before");
      is_read = true;
    });
    for (int looks = 0; looks < 10000 && !is_read; looks++) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(is_read);
  }
  writer.join();
  reader.join();
  CHECK(value_of(store, "key") == "after");
}
#endif

TEST_CASE("a file that is none is not touched") {
  const tenon::test::Folder folder;
  const std::string path = folder.path() + "/keeper.values";
  std::filesystem::create_directories(path);
  StateStore store;
  CHECK(store.keep_in(path, true).state == State::Unreadable);
  std::filesystem::remove(path);
  write_bytes(folder.path() + "/elsewhere", "precious");
  std::filesystem::create_symlink(folder.path() + "/elsewhere", path);
  CHECK(store.keep_in(path, true).state == State::Unreadable);
  CHECK(bytes_of(folder.path() + "/elsewhere") == "precious");
}
