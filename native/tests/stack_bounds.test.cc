#include "stack_bounds.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <thread>

using namespace tenon::core;

namespace {

constexpr uint64_t kLow = 0x700000000000;
constexpr uint64_t kHigh = kLow + 0x800000;
constexpr StackBounds kStack = {kLow, kHigh};

}  // namespace

TEST_CASE("A fault below a stack that has run out is its overflow, and no other one is") {
  CHECK(is_stack_overflow(kStack, kLow + 16, kLow - 8));
  CHECK(is_stack_overflow(kStack, kLow + 0x8000, kLow - 0x7000));
  // The frame that did not fit any more.
  CHECK(is_stack_overflow(kStack, kLow - 0x100000, kLow - 0x100008));
  CHECK(is_stack_overflow(kStack, kLow - 0x100000, kLow - 0x1000));
  // What is on the stack, and null.
  CHECK_FALSE(is_stack_overflow(kStack, kLow + 16, kLow + 8));
  CHECK_FALSE(is_stack_overflow(kStack, kLow + 16, 0));
  // A thread with room left that uses the guard page of its stack.
  CHECK_FALSE(is_stack_overflow(kStack, kHigh - 0x1000, kLow - 8));
  // Pointers that are no stack of this thread.
  CHECK_FALSE(is_stack_overflow(kStack, 0x4141414141414140, 0x4141414141414138));
  CHECK_FALSE(is_stack_overflow(kStack, 16, 8));
  CHECK_FALSE(is_stack_overflow(kStack, kHigh + 0x1000, kLow - 8));
  CHECK_FALSE(is_stack_overflow({}, kLow + 16, kLow - 8));
}

TEST_CASE("A thread knows its stack") {
  const auto knows = [] {
    const int local = 0;
    const auto place = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(&local));
    const StackBounds bounds = stack_of_thread();
    CHECK(bounds.low < place);
    CHECK(place < bounds.high);
  };
  knows();
  std::thread(knows).join();
}
