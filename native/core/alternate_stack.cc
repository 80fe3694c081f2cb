#include "alternate_stack.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

namespace tenon::core {

AlternateStack::AlternateStack() {
  stack_t present = {};
  if (sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0) return;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_ = kBytes + page;
  stack_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack_ == MAP_FAILED) {
    stack_ = nullptr;
    return;
  }
  mprotect(stack_, page, PROT_NONE);
  stack_t alternate = {};
  alternate.ss_sp = static_cast<char*>(stack_) + page;
  alternate.ss_size = kBytes;
  sigaltstack(&alternate, nullptr);
}

AlternateStack::~AlternateStack() {
  if (stack_ == nullptr) return;
  stack_t alternate = {};
  alternate.ss_flags = SS_DISABLE;
  alternate.ss_size = kBytes;
  sigaltstack(&alternate, nullptr);
  munmap(stack_, size_);
}

}  // namespace tenon::core
