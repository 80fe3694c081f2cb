#include "thread_guard.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <initializer_list>

#include "image_threads.h"

namespace tenon::core {

namespace {
constexpr size_t kAlternateStack = 64 * 1024;
}

ThreadGuard::ThreadGuard() {
  enter_core_thread();
  sigfillset(&mask_);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&mask_, signal);
  if (const int probe = thread_probe_signal(); probe != 0) sigdelset(&mask_, probe);
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);

  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  stack_size_ = kAlternateStack + page;
  stack_ = mmap(nullptr, stack_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack_ == MAP_FAILED) {
    stack_ = nullptr;
    return;
  }
  mprotect(stack_, page, PROT_NONE);
  stack_t alternate = {};
  alternate.ss_sp = static_cast<char*>(stack_) + page;
  alternate.ss_size = kAlternateStack;
  sigaltstack(&alternate, nullptr);
}

ThreadGuard::~ThreadGuard() {
  leave_core_thread();
  if (stack_ == nullptr) return;
  stack_t alternate = {};
  alternate.ss_flags = SS_DISABLE;
  alternate.ss_size = kAlternateStack;
  sigaltstack(&alternate, nullptr);
  munmap(stack_, stack_size_);
}

void ThreadGuard::restore_signals() { pthread_sigmask(SIG_SETMASK, &mask_, nullptr); }

}  // namespace tenon::core
