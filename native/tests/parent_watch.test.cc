#include "parent_watch.h"

#include <doctest/doctest.h>

using tenon::core::ParentWatch;

TEST_CASE("a process whose parent is there goes on, however long its event loop stands") {
  ParentWatch watch(7, 100);
  CHECK_FALSE(watch.is_over(1000, 7, 0));
  CHECK_FALSE(watch.is_over(5000, 7, 1000));
}

TEST_CASE("without its parent it is over when its event loop has stood for too long since") {
  ParentWatch watch(7, 100);
  CHECK_FALSE(watch.is_over(1000, 1, 10));
  CHECK_FALSE(watch.is_over(1100, 1, 10));
  CHECK(watch.is_over(1101, 1, 10));
}

TEST_CASE("without its parent it goes on as long as its event loop turns") {
  ParentWatch watch(7, 100);
  for (uint64_t time = 1000; time < 3000; time += 50) CHECK_FALSE(watch.is_over(time, 1, time - 20));
  CHECK_FALSE(watch.is_over(3070, 1, 2970));
  CHECK(watch.is_over(3071, 1, 2970));
  CHECK_FALSE(watch.is_over(3071, 1, 4000));
}
