#include "thread_guard.h"

#include <pthread.h>

#include <initializer_list>

#include "image_threads.h"

namespace tenon::core {

ThreadGuard::ThreadGuard(ThreadKind kind) : record_(kind) {
  enter_core_thread();
  sigfillset(&mask_);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&mask_, signal);
  if (const int probe = thread_probe_signal(); probe != 0) sigdelset(&mask_, probe);
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  // A plugin that cancels the thread that it is called on would take it from the host.
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
}

ThreadGuard::~ThreadGuard() { leave_core_thread(); }

void ThreadGuard::restore_signals() { pthread_sigmask(SIG_SETMASK, &mask_, nullptr); }

}  // namespace tenon::core
