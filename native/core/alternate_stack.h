#ifndef TENON_CORE_ALTERNATE_STACK_H
#define TENON_CORE_ALTERNATE_STACK_H

#include <cstddef>

namespace tenon::core {

// A stack for signal handlers of this thread, with a page that nobody can touch below it: a thread that has used up its
// own can still be reported. One for each thread; a thread that has one keeps it. [its thread]
class AlternateStack {
 public:
  static constexpr size_t kBytes = 64 * 1024;

  AlternateStack();
  ~AlternateStack();
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

 private:
  void* stack_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tenon::core

#endif
