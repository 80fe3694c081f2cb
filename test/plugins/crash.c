/*
 * Crashes as it is asked: GET /inline and GET /pool with ?fault=NAME, see `faults` below; an unknown name answers
 * "well". Macros: IN_CONSTRUCTOR and IN_INITIALIZE name a fault that happens there.
 */
#define _GNU_SOURCE
#ifndef IN_CONSTRUCTOR
#define IN_CONSTRUCTOR ""
#endif
#ifndef IN_INITIALIZE
#define IN_INITIALIZE ""
#endif
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

static const tenon_host_http_t* http;
static int* volatile nowhere;
static volatile int sink;
static pthread_barrier_t met;

__attribute__((noinline)) static void segv(void) { *nowhere = 1; }
static void trap(void) { __builtin_trap(); }
static void divide(void) { raise(SIGFPE); }
static void leave(void) { exit(0); }
static void leave_now(void) { _exit(3); }
static void kill_hard(void) { kill(getpid(), SIGKILL); }
static void say_last_words(void) {
  printf("its last words\n");
  kill_hard();
}
static void stop(void) { raise(SIGSTOP); }
static void user_signal(void) { raise(SIGUSR2); }
/* A signal that ends nothing, for it is blocked. */
static void blocked_signal(void) {
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &blocked, NULL);
  raise(SIGUSR2);
  segv();
}

static void jump_nowhere(void) {
  void (*volatile gone)(void) = (void (*)(void))(uintptr_t)0x10;
  gone();
  sink = 1;
}

__attribute__((noinline)) static int deeper(volatile char* above) {
  volatile char room[4096];
  room[0] = (char)(above[0] + 1);
  return sink == -1 ? 0 : deeper(room) + room[0];
}
static void overflow(void) {
  volatile char first = 0;
  sink = deeper(&first);
}

static void free_twice(void) {
  void* volatile block = malloc(200);
  free(block);
  free(block);
}

static void* on_thread(void* fault) {
  ((void (*)(void))fault)();
  return NULL;
}
static void start(void (*fault)(void)) {
  pthread_t thread;
  pthread_create(&thread, NULL, on_thread, (void*)fault);
  pthread_join(thread, NULL);
}
static void own_thread(void) { start(segv); }
static void own_thread_overflow(void) { start(overflow); }
static void own_thread_exit(void) { start(leave); }

/* All of them at the same time. */
static void* together(void* unused) {
  (void)unused;
  pthread_barrier_wait(&met);
  segv();
  return NULL;
}
static void four_threads(void) {
  pthread_barrier_init(&met, NULL, 4);
  pthread_t threads[4];
  for (int index = 0; index < 4; index++) pthread_create(&threads[index], NULL, together, NULL);
  for (int index = 0; index < 4; index++) pthread_join(threads[index], NULL);
}

/* A stack that nobody can read, for whoever follows it. */
static void lose_stack(void) {
#if defined(__x86_64__)
  __asm__ volatile("mov $0x40, %rsp\n\tmov $0x40, %rbp\n\tmovl $1, 0");
#else
  __asm__ volatile("mov x9, #0x40\n\tmov sp, x9\n\tmov x29, x9\n\tmov x30, x9\n\tstr x9, [xzr]");
#endif
}

/* The memory that a report would be written to, away. */
static void lose_box(void) {
  FILE* const maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    uintptr_t low = 0;
    uintptr_t high = 0;
    if (strstr(line, "tenon:box") == NULL || sscanf(line, "%lx-%lx", &low, &high) != 2) continue;
    munmap((void*)low, high - low);
  }
  segv();
}

static void scribble(void) {
  FILE* const maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    uintptr_t low = 0;
    uintptr_t high = 0;
    if (strstr(line, "tenon:box") == NULL || sscanf(line, "%lx-%lx", &low, &high) != 2) continue;
    memset((char*)low + 4096, 0x5a, high - low - 4096);
  }
  segv();
}

static void close_all(void) {
  for (int descriptor = 3; descriptor < 1024; descriptor++) close(descriptor);
  segv();
}

/* A generation leaves the address of its code in the process, a later one calls it. */
__attribute__((noinline)) static void left_behind(void) { sink++; }
static void leave_address(void) {
  char text[32];
  snprintf(text, sizeof text, "%p", (void*)left_behind);
  setenv("LEFT_BEHIND", text, 1);
}
static void call_address(void) {
  const char* const text = getenv("LEFT_BEHIND");
  ((void (*)(void))(uintptr_t)strtoull(text == NULL ? "0" : text, NULL, 16))();
  sink = 2;
}

static void hang(void) {
  for (;;) pause();
}

static const struct {
  const char* name;
  void (*run)(void);
} faults[] = {{"segv", segv},
              {"trap", trap},
              {"divide", divide},
              {"abort", abort},
              {"exit", leave},
              {"_exit", leave_now},
              {"kill", kill_hard},
              {"say-last-words", say_last_words},
              {"stop", stop},
              {"user-signal", user_signal},
              {"blocked-signal", blocked_signal},
              {"jump", jump_nowhere},
              {"overflow", overflow},
              {"heap", free_twice},
              {"thread", own_thread},
              {"thread-overflow", own_thread_overflow},
              {"thread-exit", own_thread_exit},
              {"together", four_threads},
              {"lose-stack", lose_stack},
              {"lose-box", lose_box},
              {"scribble", scribble},
              {"close-all", close_all},
              {"leave-address", leave_address},
              {"call-address", call_address},
              {"hang", hang}};

static void fault(const char* name, size_t size) {
  for (size_t index = 0; index < sizeof faults / sizeof faults[0]; index++)
    if (strlen(faults[index].name) == size && memcmp(faults[index].name, name, size) == 0) faults[index].run();
}

__attribute__((constructor)) static void construct(void) { fault(IN_CONSTRUCTOR, strlen(IN_CONSTRUCTOR)); }

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
  (void)plugin;
  (void)index;
  tenon_bytes_t name;
  if (http->query_value(request, TEXT("fault"), &name)) fault(name.data, name.size);
  return http->set_body(response, TEXT("well"));
}

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  fault(IN_INITIALIZE, strlen(IN_INITIALIZE));
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

TENON_PLUGIN("crash", "Crash", "1.0.0", "A plugin of the tests.", NULL, TENON_TRIAL_FULL, create)
