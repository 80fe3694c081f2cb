#include "thread_guard.h"

#include <pthread.h>

#include <initializer_list>

#include "image_threads.h"

namespace tenon::core {

namespace {

sigset_t signals_of_host() {
  sigset_t mask;
  sigfillset(&mask);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&mask, signal);
  if (const int probe = thread_probe_signal(); probe != 0) sigdelset(&mask, probe);
  return mask;
}

}  // namespace

ThreadGuard::ThreadGuard(ThreadKind kind) : record_(kind), mask_(signals_of_host()) {
  enter_core_thread();
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  // A plugin that cancels the thread that it is called on would take it from the host.
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
}

ThreadGuard::~ThreadGuard() { leave_core_thread(); }

void ThreadGuard::restore_signals() { pthread_sigmask(SIG_SETMASK, &mask_, nullptr); }

bool has_signals_of_host() {
  const sigset_t theirs = signals_of_host();
  sigset_t present;
  if (pthread_sigmask(SIG_SETMASK, nullptr, &present) != 0) return false;
  for (int signal = 1; signal < NSIG; signal++) {
    // Nobody blocks these two, whatever a set says.
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    if (sigismember(&present, signal) != sigismember(&theirs, signal)) return false;
  }
  return true;
}

OpenSignals::OpenSignals() : is_open_(has_signals_of_host()) {
  sigset_t none;
  sigemptyset(&none);
  if (is_open_) pthread_sigmask(SIG_SETMASK, &none, &mask_);
}

OpenSignals::~OpenSignals() {
  if (is_open_) pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

}  // namespace tenon::core
