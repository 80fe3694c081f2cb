#ifndef TENON_CORE_STACK_BOUNDS_H
#define TENON_CORE_STACK_BOUNDS_H

#include <cstdint>

namespace tenon::core {

// What a thread may use of its stack, its guard pages excluded. Zeros: not known.
struct StackBounds {
  uint64_t low = 0;
  uint64_t high = 0;
};

// Of this thread; takes locks and allocates. [its thread]
StackBounds stack_of_thread();

// Whether a fault at `address`, at a time when the stack pointer was `pointer`, was a use of what is below the stack:
// it had run out. False where that is not known. [any, signal]
bool is_stack_overflow(const StackBounds& bounds, uint64_t pointer, uint64_t address);

}  // namespace tenon::core

#endif
