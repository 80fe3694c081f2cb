#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include "record.h"
#include "store.h"
#include "store_harness.h"

extern char** environ;

using namespace tenon::core;
using namespace tenon::test;

namespace {

constexpr int kThreads = 3;
constexpr int kKeys = 40;

using Model = std::map<std::string, std::string>;  // key -> title

// What a thread of the writer does, one step after the other: the same whenever it is asked.
class Steps {
 public:
  Steps(unsigned seed, int thread) : random_(seed * 31 + static_cast<unsigned>(thread)), thread_(thread) {}

  // Key and title of each write of the next step; an empty title removes.
  std::vector<std::pair<std::string, std::string>> next() {
    std::vector<std::pair<std::string, std::string>> step;
    const unsigned size = random_() % 4 == 0 ? 5 : 1;
    for (unsigned at = 0; at < size; at++) {
      const std::string key = "t" + std::to_string(thread_) + "-" + std::to_string(random_() % kKeys);
      const bool removes = random_() % 5 == 0;
      step.emplace_back(key, removes ? "" : std::to_string(count_++) + std::string(random_() % 300, 'x'));
    }
    return step;
  }

 private:
  std::mt19937 random_;
  int thread_;
  int count_ = 0;
};

void perform(const std::vector<std::pair<std::string, std::string>>& step, Model& model) {
  for (const auto& [key, title] : step) {
    if (title.empty()) {
      model.erase(key);
    } else {
      model[key] = title;
    }
  }
}

bool write_step(Store& store, Table* table, const std::vector<std::pair<std::string, std::string>>& step) {
  // A put before each removal, so that there is something to remove.
  std::vector<std::string> texts;
  for (const auto& [key, title] : step) {
    texts.push_back(R"({"id":")" + key + R"(","title":")" + title + R"(","state":"s)" +
                    std::to_string(title.size() % 7) + R"("})");
  }
  std::vector<Write> writes;
  for (size_t at = 0; at < step.size(); at++) {
    writes.push_back(put(table, texts[at]));
    if (step[at].second.empty()) writes.push_back(removal(table, step[at].first));
  }
  std::vector<Written> results;
  StoreFailure failure;
  return store.write(writes, results, failure);
}

StoreOptions crash_options(const std::string& directory) {
  StoreOptions options = options_in(directory);
  options.write_buffer_bytes = 128 << 10;
  options.sync_ms = 10;
  return options;
}

const char* text_of(const char* name) {
  const char* const text = getenv(name);
  return text == nullptr ? "" : text;
}

std::string title_of(std::string_view record) {
  const tenon_value_t value = value_of(record, 1);
  return {value.text.data, value.text.size};
}

Model stored(Store& store, const Table& table) {
  Model model;
  StoreFailure failure;
  tenon_scan_t scan = {};
  scan.field = -1;
  const auto cursor = store.scan(table, scan, failure);
  std::string_view key;
  std::string_view record;
  while (cursor->next(key, record, failure)) model[std::string(key)] = title_of(record);
  CHECK(failure.status == TENON_OK);
  return model;
}

// Every record is in the index, under its value, and nothing else is.
void check_index(Store& store, const Table& table, const Model& model) {
  StoreFailure failure;
  tenon_scan_t scan = {};
  scan.field = static_cast<int32_t>(field_of(store, table, "state"));
  const auto cursor = store.scan(table, scan, failure);
  REQUIRE(cursor != nullptr);
  std::string_view key;
  std::string_view record;
  std::string last;
  size_t entries = 0;
  while (cursor->next(key, record, failure)) {
    const tenon_value_t value = value_of(record, 2);
    std::string state(value.text.data, value.text.size);
    REQUIRE(state >= last);
    last = std::move(state);
    REQUIRE(model.count(std::string(key)) == 1);
    entries++;
  }
  CHECK(entries == model.size());
}

// Starts this test program again, as the writer that is to be killed.
pid_t start_writer(const std::string& directory, unsigned seed, int acknowledgements) {
  setenv("TENON_CRASH_DIRECTORY", directory.c_str(), 1);
  setenv("TENON_CRASH_SEED", std::to_string(seed).c_str(), 1);
  setenv("TENON_CRASH_PIPE", std::to_string(acknowledgements).c_str(), 1);
  std::string program = "/proc/self/exe";
  std::string chosen = "--test-case=a writer that is killed";
  std::string skipped = "--no-skip";
  char* const arguments[] = {program.data(), chosen.data(), skipped.data(), nullptr};
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) == 0);
  return child;
}

}  // namespace

TEST_CASE("a writer that is killed" * doctest::skip()) {
  const std::string directory = text_of("TENON_CRASH_DIRECTORY");
  const int pipe = std::atoi(text_of("TENON_CRASH_PIPE"));
  const auto seed = static_cast<unsigned>(std::atoi(text_of("TENON_CRASH_SEED")));
  auto store = open_store(crash_options(directory));
  Table* const table = define(*store, kTask);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; thread++) {
    threads.emplace_back([&, thread] {
      Steps steps(seed, thread);
      for (;;) {
        if (!write_step(*store, table, steps.next())) _exit(1);
        const char done = static_cast<char>('0' + thread);
        if (::write(pipe, &done, 1) != 1) _exit(2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("what was acknowledged outlives the writer's death, the index agrees, and the feed has no gap") {
  const Folder folder;
  const std::string directory = folder.path();
  std::mt19937 random(20260101);
  const int rounds = getenv("TENON_TEST_LONG") != nullptr ? 200 : 20;
  Model before;
  Model fed;
  uint64_t from = 0;
  size_t acknowledged_in_all = 0;
  for (int round = 0; round < rounds; round++) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    REQUIRE(fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0);
    const auto seed = static_cast<unsigned>(random());
    const pid_t child = start_writer(directory, seed % 100'000, ends[1]);
    close(ends[1]);
    std::array<size_t, kThreads> acknowledged = {};
    const auto count = [&](ssize_t size, const char* bytes) {
      for (ssize_t at = 0; at < size; at++) acknowledged[static_cast<size_t>(bytes[at] - '0')]++;
    };
    // Killed some time after its first write.
    char bytes[4096];
    count(::read(ends[0], bytes, 1), bytes);
    const auto death = std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 150'000);
    pollfd waiting = {ends[0], POLLIN, 0};
    while (std::chrono::steady_clock::now() < death) {
      if (poll(&waiting, 1, 1) > 0) count(::read(ends[0], bytes, sizeof bytes), bytes);
    }
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    for (ssize_t size = 1; size > 0;) count(size = ::read(ends[0], bytes, sizeof bytes), bytes);
    close(ends[0]);

    auto store = open_store(crash_options(directory));
    Table* const table = store->find("todo", "Task");
    REQUIRE(table != nullptr);
    const Model found = stored(*store, *table);
    // Each thread has done what it said, and perhaps one step more.
    for (int thread = 0; thread < kThreads; thread++) {
      const std::string prefix = "t" + std::to_string(thread);
      const auto own = [&prefix](const Model& model) {
        Model part;
        for (const auto& one : model) {
          if (one.first.compare(0, prefix.size(), prefix) == 0) part.insert(one);
        }
        return part;
      };
      Steps steps(seed % 100'000, thread);
      Model expected = own(before);
      for (size_t step = 0; step < acknowledged[static_cast<size_t>(thread)]; step++) perform(steps.next(), expected);
      Model further = expected;
      perform(steps.next(), further);
      const Model present = own(found);
      const bool good = present == expected || present == further;
      REQUIRE_MESSAGE(
          good, "round " << round << ", thread " << thread << ", steps " << acknowledged[static_cast<size_t>(thread)]);
      acknowledged_in_all += acknowledged[static_cast<size_t>(thread)];
    }
    check_index(*store, *table, found);
    // What the feed tells from where it was read last makes the same of what was there.
    StoreFailure failure;
    auto feed = store->feed({table}, from, failure);
    REQUIRE_MESSAGE(feed != nullptr, failure.problem.message);
    Store::Change change;
    while (feed->next(0, change, failure)) {
      REQUIRE(change.sequence > from);
      from = change.sequence;
      if (change.removed) {
        fed.erase(std::string(change.key));
      } else {
        fed[std::string(change.key)] = title_of(change.record);
      }
    }
    CHECK(failure.status == TENON_ERROR_AGAIN);
    REQUIRE(fed == found);
    before = found;
  }
  CHECK(acknowledged_in_all > static_cast<size_t>(rounds) * 10);
}
