/*
 * Asks the system for what it is told to: GET /pool and GET /inline with ?do=NAME, see `deeds` below, and &on=NUMBER
 * for those that need one. The answer is what it got, as a number. Macros: PLUGIN_ID, VERSION.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "hooks"
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif

static const tenon_host_http_t* http;
static int ends[2];
static pthread_t thread;
static char* block;
static volatile int forever = 1;

static long open_file(long unused) {
  (void)unused;
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}
static long close_file(long descriptor) { return close((int)descriptor) == 0 ? 0 : -errno; }
static long close_everything(long from) { return close_range((unsigned)from, ~0U, 0) == 0 ? 0 : -errno; }
static long over_output(long from) { return dup2((int)from, STDOUT_FILENO) == 1 ? 0 : -errno; }

static void* wait_for_end(void* unused) {
  char byte;
  while (read(ends[0], &byte, 1) < 0 && errno == EINTR) continue;
  return unused;
}
static long start_thread(long unused) {
  (void)unused;
  if (pipe(ends) != 0) return -errno;
  const int status = pthread_create(&thread, NULL, wait_for_end, NULL);
  pthread_setname_np(thread, "own");
  return status;
}
static long end_thread(long unused) {
  (void)unused;
  if (write(ends[1], "x", 1) != 1) return -errno;
  close(ends[0]);
  close(ends[1]);
  return pthread_join(thread, NULL);
}

static long allocate(long bytes) {
  block = malloc((size_t)bytes);
  return block == NULL ? -1 : 0;
}
static long release(long unused) {
  free(block);
  block = NULL;
  return unused;
}

static long status_of(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
static long fork_child(long unused) {
  const pid_t child = fork();
  while (child == 0) pause();
  (void)unused;
  return status_of(child);
}
static long spawn(long unused) {
  char* arguments[] = {"sh", "-c", "exit 6", NULL};
  char* none[] = {NULL};
  pid_t child = 0;
  const int status = posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, none);
  (void)unused;
  return status == 0 ? status_of(child) : -status;
}
static long ask_shell(long unused) {
  (void)unused;
  return WEXITSTATUS(system("exit 5"));
}

static long leave_thread(long unused) {
  (void)unused;
  pthread_exit(NULL);
}
static long cancel_thread(long unused) {
  (void)unused;
  pthread_cancel(pthread_self());
  pthread_testcancel();
  return 1;
}

static long end(long status) { exit((int)status); }
static int* volatile at_end;
static int zero;
__attribute__((destructor)) static void touch_at_end(void) { *at_end = 1; }
__attribute__((constructor)) static void be_well(void) { at_end = &zero; }
/* What runs at the exit crashes. */
static long end_and_crash(long status) {
  at_end = NULL;
  exit((int)status);
}
static long end_now(long status) { _exit((int)status); }
static long end_quickly(long status) { quick_exit((int)status); }
static long end_badly(long unused) {
  (void)unused;
  abort();
}
static long kill_process(long signal) { return kill(getpid(), (int)signal) == 0 ? 0 : -errno; }
static long raise_signal(long signal) { return raise((int)signal) == 0 ? 0 : -errno; }
static long kill_parent(long signal) { return kill(getppid(), (int)signal) == 0 ? 0 : -errno; }
static long kill_around(long signal) { return kill(0, (int)signal) == 0 ? 0 : -errno; }
static long kill_group(long signal) { return kill(-getpgrp(), (int)signal) == 0 ? 0 : -errno; }
static long kill_group_by_name(long signal) { return killpg(getpgrp(), (int)signal) == 0 ? 0 : -errno; }
static long kill_this_thread(long signal) { return -pthread_kill(pthread_self(), (int)signal); }
static long kill_thread_number(long signal) { return kill(gettid(), (int)signal) == 0 ? 0 : -errno; }
static long queue_signal(long signal) {
  const union sigval none = {0};
  return sigqueue(getpid(), (int)signal, none) == 0 ? 0 : -errno;
}
/* The signal that it has ended by. */
static long kill_child(long signal) {
  char* arguments[] = {"sleep", "60", NULL};
  char* none[] = {NULL};
  pid_t child = 0;
  int status = 0;
  if (posix_spawn(&child, "/bin/sleep", NULL, NULL, arguments, none) != 0) return -1;
  if (kill(child, (int)signal) != 0) return -errno;
  return waitpid(child, &status, 0) == child && WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static void* end_process(void* status) { exit((int)(intptr_t)status); }
static long end_on_thread(long status) {
  if (pthread_create(&thread, NULL, end_process, (void*)(intptr_t)status) != 0) return -1;
  return pthread_join(thread, NULL);
}

static __attribute__((noinline)) int deeper(volatile char* above) {
  volatile char room[4096];
  room[0] = (char)(above[0] + 1);
  return forever ? deeper(room) + room[0] : 0;
}
static void* overflow(void* unused) {
  volatile char first = 0;
  deeper(&first);
  return unused;
}
static long overflow_on_thread(long unused) {
  if (pthread_create(&thread, NULL, overflow, NULL) != 0) return -1;
  (void)unused;
  return pthread_join(thread, NULL);
}

static const struct {
  const char* name;
  long (*run)(long on);
} deeds[] = {{"open", open_file},
             {"close", close_file},
             {"close-everything", close_everything},
             {"over-output", over_output},
             {"start-thread", start_thread},
             {"end-thread", end_thread},
             {"allocate", allocate},
             {"release", release},
             {"fork", fork_child},
             {"spawn", spawn},
             {"system", ask_shell},
             {"leave-thread", leave_thread},
             {"cancel-thread", cancel_thread},
             {"exit", end},
             {"exit-and-crash", end_and_crash},
             {"_exit", end_now},
             {"quick_exit", end_quickly},
             {"abort", end_badly},
             {"kill", kill_process},
             {"raise", raise_signal},
             {"kill-parent", kill_parent},
             {"kill-around", kill_around},
             {"kill-group", kill_group},
             {"killpg", kill_group_by_name},
             {"pthread_kill", kill_this_thread},
             {"kill-thread", kill_thread_number},
             {"sigqueue", queue_signal},
             {"kill-child", kill_child},
             {"exit-on-thread", end_on_thread},
             {"overflow-on-thread", overflow_on_thread}};

static long perform(tenon_bytes_t name, long on) {
  for (size_t index = 0; index < sizeof deeds / sizeof deeds[0]; index++)
    if (strlen(deeds[index].name) == name.size && memcmp(deeds[index].name, name.data, name.size) == 0)
      return deeds[index].run(on);
  return -1;
}

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_route_t routes[] = {{.size = sizeof(tenon_route_t),
                                        .method = TENON_HTTP_GET,
                                        .pattern = {"/inline", 7},
                                        .execution = TENON_EXECUTION_INLINE},
                                       {.size = sizeof(tenon_route_t),
                                        .method = TENON_HTTP_GET,
                                        .pattern = {"/pool", 5},
                                        .execution = TENON_EXECUTION_POOL}};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return sizeof routes / sizeof routes[0];
}
static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}
static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  tenon_bytes_t name = {0};
  tenon_bytes_t number = {0};
  char text[32] = "0";
  (void)plugin;
  (void)index;
  http->query_value(request, TEXT("do"), &name);
  if (http->query_value(request, TEXT("on"), &number) && number.size < sizeof text) {
    memcpy(text, number.data, number.size);
    text[number.size] = 0;
  }
  const int size = snprintf(text, sizeof text, "%ld", perform(name, atol(text)));
  return http->set_body(response, (tenon_bytes_t){text, (size_t)size});
}

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  return TENON_OK;
}
static void destroy(tenon_plugin_t* plugin) { (void)plugin; }
static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  static const tenon_plugin_http_t extension = {
      .size = sizeof extension, .route_count = route_count, .route = route, .handle = handle};
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &extension : NULL;
}
static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {
      .size = sizeof plugin, .initialize = initialize, .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  *out = &plugin;
  return http == NULL ? TENON_ERROR_UNSUPPORTED : TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Hooks", VERSION, "A plugin of the tests.", NULL, TENON_TRIAL_FULL, create)
