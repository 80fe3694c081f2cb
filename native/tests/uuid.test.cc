#include "uuid.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

using tenon::core::append_uuid;

namespace {

std::string fresh(int64_t now_ms) {
  std::string text;
  REQUIRE(append_uuid(now_ms, text));
  return text;
}

}  // namespace

TEST_CASE(
    "fresh UUIDs sort in the order in which they were made, also within a millisecond and when the clock goes back") {
  const int64_t now = 4'000'000'000'000;  // behind every other test
  std::vector<std::string> made;
  for (unsigned i = 0; i < 10'000; i++) made.push_back(fresh(i % 2 == 0 ? now : now - 5));
  made.push_back(fresh(now + 60'000));
  CHECK(std::is_sorted(made.begin(), made.end()));
  CHECK(std::adjacent_find(made.begin(), made.end()) == made.end());
  for (const std::string& one : made) {
    REQUIRE(one.size() == 36);
    REQUIRE(one[14] == '7');
    REQUIRE(std::string("89ab").find(one[19]) != std::string::npos);
  }
}

TEST_CASE("threads are given UUIDs of their own, each thread in order") {
  std::vector<std::vector<std::string>> made(4);
  std::vector<std::thread> threads;
  for (auto& own : made) {
    threads.emplace_back([&own] {
      for (unsigned i = 0; i < 2'000; i++) {
        std::string text;
        if (append_uuid(5'000'000'000'000, text)) own.push_back(text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::string> all;
  for (const auto& own : made) {
    CHECK(own.size() == 2'000);
    CHECK(std::is_sorted(own.begin(), own.end()));
    all.insert(all.end(), own.begin(), own.end());
  }
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
}
