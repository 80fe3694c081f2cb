#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "rocksdb.h"
#include "store.h"
#include "store_harness.h"

using namespace tenon::core;
using namespace tenon::test;

namespace {

StoreFailure refusal(const StoreOptions& options) {
  StoreFailure failure;
  CHECK(Store::open(options, failure) == nullptr);
  return failure;
}

bool says(const StoreFailure& failure, const std::string& part) {
  return failure.problem.message.find(part) != std::string::npos;
}

// A closed store with a table, some of which is in a table file.
void make_store(const Folder& folder) {
  StoreOptions options = options_in(folder.path());
  options.write_buffer_bytes = 64 << 10;
  auto store = open_store(options);
  Table* const table = define(*store, kTask);
  const std::string filling(1000, 'x');
  for (int count = 0; count < 500; count++) {
    const std::string json = R"({"id":"k)" + std::to_string(count) + R"(","title":")" + filling + R"("})";
    REQUIRE(write(*store, put(table, json)));
  }
}

std::string file_with(const std::string& directory, const std::string& part) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().find(part) != std::string::npos) return entry.path().string();
  }
  FAIL("no file of that name: " << part);
  return {};
}

// Takes one entry of the catalogue out of a closed store.
void remove_from_catalogue(const std::string& directory, const std::string& key) {
  std::string why;
  const auto library = Rocksdb::load(rocksdb_libraries(), why);
  REQUIRE_MESSAGE(library != nullptr, why);
  const Rocksdb& rocks = *library;
  const RocksdbOwned<rocksdb_options_t> options(rocks.options_create(), rocks.options_destroy);
  const RocksdbOwned<rocksdb_writeoptions_t> how(rocks.writeoptions_create(), rocks.writeoptions_destroy);
  RocksdbError error(rocks);
  size_t count = 0;
  char** const names = rocks.list_column_families(options.get(), directory.c_str(), &count, error.out());
  REQUIRE(names != nullptr);
  const std::vector<const rocksdb_options_t*> settings(count, options.get());
  std::vector<rocksdb_column_family_handle_t*> handles(count, nullptr);
  rocksdb_t* const database = rocks.open_column_families(options.get(), directory.c_str(), static_cast<int>(count),
                                                         names, settings.data(), handles.data(), error.out());
  REQUIRE_MESSAGE(database != nullptr, std::string(error.text()));
  size_t main = 0;
  while (std::string_view(names[main]) != "default") main++;
  const RocksdbOwned<rocksdb_writebatch_t> batch(rocks.writebatch_create(), rocks.writebatch_destroy);
  rocks.writebatch_delete_cf(batch.get(), handles[main], key.data(), key.size());
  rocks.write(database, how.get(), batch.get(), error.out());
  CHECK_FALSE(static_cast<bool>(error));
  for (rocksdb_column_family_handle_t* const handle : handles) rocks.column_family_handle_destroy(handle);
  rocks.close(database);
  rocks.list_column_families_destroy(names, count);
}

}  // namespace

TEST_CASE("records whose definition is missing are kept, and the folder is refused") {
  const Folder folder;
  make_store(folder);
  remove_from_catalogue(folder.path(), "d:todo/Task");
  for (int time = 0; time < 2; time++) {
    const StoreFailure failure = refusal(options_in(folder.path()));
    CHECK(failure.status == TENON_ERROR_INVALID);
    CHECK_MESSAGE(says(failure, "todo/Task"), failure.problem.message);
  }
}

TEST_CASE("a table without records whose definition is missing is one that was never made") {
  const Folder folder;
  define(*open_store(options_in(folder.path())), kTask);
  remove_from_catalogue(folder.path(), "d:todo/Task");
  auto store = open_store(options_in(folder.path()));
  CHECK(store->tables().empty());
  StoreFailure failure;
  CHECK(store->count(*define(*store, kTask), {}, failure) == 0);
}

TEST_CASE("without a RocksDB it says what was tried") {
  const Folder folder;
  StoreOptions options = options_in(folder.path());
  options.libraries = {"/nowhere/librocksdb.so", "libc.so.6"};
  const StoreFailure failure = refusal(options);
  CHECK(failure.status == TENON_ERROR_UNSUPPORTED);
  CHECK(says(failure, "/nowhere/librocksdb.so"));
  CHECK(says(failure, "libc.so.6"));
  CHECK(says(failure, "has no function rocksdb_"));
  CHECK_FALSE(std::filesystem::exists(folder.path()));
}

TEST_CASE("the first library that is a RocksDB is taken, and its version told") {
  const Folder folder;
  StoreOptions options = options_in(folder.path());
  options.libraries.insert(options.libraries.begin(), "/nowhere/librocksdb.so");
  auto store = open_store(options);
  CHECK(store->library() == rocksdb_libraries().front());
  CHECK(store->version().find('.') != std::string::npos);
  struct stat facts;
  REQUIRE(stat(folder.path().c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0700);
}

TEST_CASE("a folder that is open is not opened a second time") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  const StoreFailure failure = refusal(options_in(folder.path()));
  CHECK(failure.status == TENON_ERROR_STATE);
  CHECK(says(failure, "open in this process"));
}

TEST_CASE("who has the folder open in another process is named") {
  const Folder folder;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // As RocksDB does it.
    REQUIRE(mkdir(folder.path().c_str(), 0700) == 0);
    FILE* const file = std::fopen((folder.path() + "/LOCK").c_str(), "w");
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    const char done = file != nullptr && fcntl(fileno(file), F_SETLK, &lock) == 0 ? 'y' : 'n';
    if (::write(ready[1], &done, 1) != 1) _exit(1);
    for (;;) pause();
  }
  char done = 'n';
  CHECK(::read(ready[0], &done, 1) == 1);
  CHECK(done == 'y');
  const StoreFailure failure = refusal(options_in(folder.path()));
  CHECK(failure.status == TENON_ERROR_STATE);
  CHECK(says(failure, "process " + std::to_string(child)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  CHECK(open_store(options_in(folder.path())) != nullptr);
}

TEST_CASE("a folder that misses a file is refused, and the file named") {
  for (const char* const part : {"CURRENT", "MANIFEST-", ".sst"}) {
    const Folder folder;
    make_store(folder);
    const std::filesystem::path file = file_with(folder.path(), part);
    std::filesystem::remove(file);
    const StoreFailure failure = refusal(options_in(folder.path()));
    CHECK(failure.status == TENON_ERROR_INVALID);
    CHECK_MESSAGE(says(failure, file.stem().string()), failure.problem.message);
  }
}

TEST_CASE("a folder with a damaged file is refused, and the file named") {
  for (const char* const part : {"CURRENT", "MANIFEST-", ".sst"}) {
    const Folder folder;
    make_store(folder);
    const std::filesystem::path file = file_with(folder.path(), part);
    std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).write("\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
    const StoreFailure failure = refusal(options_in(folder.path()));
    CHECK(failure.status == TENON_ERROR_INVALID);
    CHECK_MESSAGE(says(failure, file.stem().string()), failure.problem.message);
  }
}

TEST_CASE("a copy is a store of its own, with what was there when it was made") {
  const Folder folder;
  auto store = open_store(options_in(folder.path()));
  Table* const table = define(*store, kTask);
  REQUIRE(write(*store, put(table, R"({"id":"a","rank":1})")));
  StoreFailure failure;
  REQUIRE(store->put_note("seed", "hash", failure));
  REQUIRE(store->checkpoint(folder.path("copy"), failure));
  CHECK_FALSE(store->checkpoint(folder.path("copy"), failure));
  REQUIRE(write(*store, put(table, R"({"id":"b","rank":1})")));
  auto copy = open_store(options_in(folder.path("copy")));
  Table* const copied = copy->find("todo", "Task");
  REQUIRE(copied != nullptr);
  CHECK(read(*copy, *copied, "a") != "none");
  CHECK(read(*copy, *copied, "b") == "none");
  std::string note;
  CHECK(copy->get_note("seed", note));
  CHECK(note == "hash");
  CHECK_FALSE(copy->get_note("other", note));
  CHECK(copy->identity().size() == 32);
  CHECK(copy->identity() != store->identity());
  const std::string identity = store->identity();
  store.reset();
  CHECK(open_store(options_in(folder.path()))->identity() == identity);
}

TEST_CASE("figures are JSON, and estimates follow what is written") {
  const Folder folder;
  make_store(folder);
  auto store = open_store(options_in(folder.path()));
  const TableFacts facts = store->facts(*store->find("todo", "Task"));
  CHECK(facts.estimate == 500);
  CHECK(facts.bytes > 0);
  const std::string metrics = store->metrics();
  CHECK(metrics.front() == '{');
  CHECK(metrics.back() == '}');
  CHECK(metrics.find("\"feedBytes\":") != std::string::npos);
}
