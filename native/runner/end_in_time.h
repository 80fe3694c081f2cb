#ifndef TENON_RUNNER_END_IN_TIME_H
#define TENON_RUNNER_END_IN_TIME_H

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

namespace tenon::runner {

// For the handler of a fault: the process ends soon also when the loader or the unwinder waits for a lock that nobody
// gives back.
inline void end_in_time() {
  signal(SIGALRM, SIG_DFL);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  const itimerval patience = {{0, 0}, {0, 250'000}};
  setitimer(ITIMER_REAL, &patience, nullptr);
}

}  // namespace tenon::runner

#endif
