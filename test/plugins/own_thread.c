/*
 * Its thread goes on when it has been destroyed, for MS milliseconds, and is in
 *   SLEEP     a system call that ends by itself
 *   READ      a system call that never ends
 *   SPIN      its own code
 * With DEAF it lets no signal in, and is in its own code from the end of initialize on.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define INITIALIZE initialize
#define DESTROY destroy
#include "minimal.h"

#ifndef MS
#define MS 0
#endif

static atomic_bool destroyed;
#ifdef DEAF
static atomic_bool deaf;
#endif
static int ends[2];

static long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void* run(void* unused) {
#ifdef DEAF
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  atomic_store(&deaf, true);
  while (!atomic_load(&destroyed)) continue;
#endif
#ifdef READ
  char byte;
  while (read(ends[0], &byte, 1) != 1) continue;
#endif
  while (!atomic_load(&destroyed)) usleep(1000);
  const long end = now_ms() + MS;
#ifdef SLEEP
  usleep(MS * 1000);
#endif
  while (now_ms() < end) continue;
  return unused;
}

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  pthread_t thread;
  if (pipe(ends) != 0 || pthread_create(&thread, NULL, run, NULL) != 0) return TENON_ERROR;
  pthread_setname_np(thread, "left behind");
#ifdef DEAF
  while (!atomic_load(&deaf)) usleep(1000);
#endif
  return pthread_detach(thread) == 0 ? TENON_OK : TENON_ERROR;
}

static void destroy(tenon_plugin_t* plugin) {
  (void)plugin;
  atomic_store(&destroyed, true);
}
