#include "stack_bounds.h"

#include <pthread.h>

namespace tenon::core {

namespace {

// What code may use below the stack pointer before it has moved it, and what one call may take.
constexpr uint64_t kReachBytes = 64 * 1024;

}  // namespace

StackBounds stack_of_thread() {
#if defined(__linux__)
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* begin = nullptr;
  size_t size = 0;
  const bool known = pthread_attr_getstack(&attributes, &begin, &size) == 0 && begin != nullptr;
  pthread_attr_destroy(&attributes);
  if (!known) return {};
  const uint64_t low = reinterpret_cast<uintptr_t>(begin);
  return {low, low + size};
#elif defined(__APPLE__)
  const uint64_t high = reinterpret_cast<uintptr_t>(pthread_get_stackaddr_np(pthread_self()));
  return {high - pthread_get_stacksize_np(pthread_self()), high};
#else
  return {};
#endif
}

bool is_stack_overflow(const StackBounds& bounds, uint64_t pointer, uint64_t address) {
  const auto [low, high] = bounds;
  if (low == 0 || high <= low || address >= low || pointer > high) return false;
  // The frame of one call may lie below the stack as a whole; a pointer that is further away is nonsense.
  if (pointer < low && low - pointer > high - low) return false;
  return address >= pointer || pointer - address <= kReachBytes;
}

}  // namespace tenon::core
