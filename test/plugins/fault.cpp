/*
 * Does one thing wrong, of the list at `kinds`, in one place. Where a request can say it, the query does:
 *   POST /inline?kind=K   on the event loop
 *   POST /pool?kind=K     on a thread of the pool, with a deadline of 500 ms
 *   POST /own?kind=K      on a thread of its own, 20 ms after the answer
 * Else the words in `order` do, which whoever publishes the library writes into its file: the place (constructor,
 * initialize, ready, shutdown), the kind, and "host" where it is to be well in its trial.
 *   GET /who              "GENERATION SERIAL": the number that the host gave it, and the last word of `order`
 *   GET /address          of a function in this image, for `unloaded`
 *   GET /slow             200 ms on the pool
 * PLUGIN_ID is its id.
 */
#undef NDEBUG
#include <alloca.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cfenv>
#include <clocale>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>

#include "ordered.h"

#include <tenon/ext/config.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "fault"
#endif

namespace {

const tenon_host_config_t* config;

/* The exchange that a kind needs; null outside of requests. */
struct Exchange {
  tenon_request_t* request;
  tenon_response_t* response;
};

int* volatile nowhere;
void (*volatile no_function)();
char* volatile far_away = reinterpret_cast<char*>(uintptr_t{0x6b6b6b6b6b6b6000});
volatile int zero;
volatile size_t deep = SIZE_MAX;
void* volatile leaked[4096];
volatile unsigned next_leaked;
pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
std::jmp_buf jump;

void null_write() { *nowhere = 1; }
void null_call() { no_function(); }
void wild_read() { zero = *far_away; }
void write_to_code() { *reinterpret_cast<volatile char*>(reinterpret_cast<uintptr_t>(&null_write)) = 1; }

void bus_error() {
  const int file = memfd_create("fault", MFD_CLOEXEC);
  if (ftruncate(file, 4096) != 0) return;
  const auto bytes = static_cast<volatile char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  if (ftruncate(file, 0) == 0) bytes[0] = 1;
}

void divide_by_zero() {
#if defined(__x86_64__)
  zero = 100 / zero;
#else
  raise(SIGFPE);
#endif
}

void illegal_instruction() {
#if defined(__x86_64__)
  __asm__ volatile("ud2");
#else
  __asm__ volatile(".inst 0");
#endif
}

void breakpoint() {
#if defined(__x86_64__)
  __asm__ volatile("int3");
#else
  __asm__ volatile("brk #0");
#endif
}

void call_abort() { std::abort(); }
void fail_assertion() { assert(zero == 1); }

void double_free() {
  void* volatile block = std::malloc(64);
  std::free(block);
  std::free(block);
}

/* The size of a block stands before it, and glibc looks at it when the block is freed. */
void corrupt_heap() {
  void* volatile block = std::malloc(2000);
  static_cast<volatile uint64_t*>(block)[-1] = 0x7878787878787878;
  std::free(block);
}

void throw_exception() { throw std::runtime_error("thrown by a fault"); }
void throw_in_noexcept() noexcept { throw_exception(); }

size_t recurse(size_t depth) {
  volatile char room[256];
  room[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : recurse(depth - 1) + static_cast<size_t>(room[0]);
}
void overflow_stack() { zero = static_cast<int>(recurse(deep)); }

void overflow_by_alloca() {
  for (size_t size = 4096; size < deep / 4; size *= 2) {
    const auto room = static_cast<volatile char*>(alloca(size));
    room[0] = 1;
  }
}

void exit_with_0() { std::exit(0); }
void exit_with_3() { std::exit(3); }
void exit_at_once() { _exit(0); }
void exit_quickly() { std::quick_exit(0); }
void kill_itself() {
  kill(getpid(), SIGKILL);
  pause();
}
void stop_itself() { raise(SIGSTOP); }

void spin() {
  while (zero == 0) continue;
}
void deadlock() {
  pthread_mutex_lock(&held);
  pthread_mutex_lock(&held);
}
void sleep_for_ever() {
  while (zero == 0) pause();
}
void end_thread() { pthread_exit(nullptr); }

/* Out of a function that the host calls while it is called. */
void jump_over_host() {
  if (config == nullptr || setjmp(jump) != 0) return;
  config->own(
      host, [](void*, tenon_bytes_t) { std::longjmp(jump, 1); }, nullptr);
}

void close_all() {
  for (int descriptor = 3; descriptor < 256; descriptor++) close(descriptor);
}

/* The child lives on as a second host, if nobody stops it; it does not live long. */
void fork_off() {
  if (fork() != 0) return;
  sigevent end{};
  end.sigev_notify = SIGEV_SIGNAL;
  end.sigev_signo = SIGKILL;
  timer_t timer;
  const itimerspec in_5_s = {{0, 0}, {5, 0}};
  if (timer_create(CLOCK_MONOTONIC, &end, &timer) != 0 || timer_settime(timer, 0, &in_5_s, nullptr) != 0) _exit(1);
}

void change_directory() { zero = chdir("/"); }
void change_umask() { umask(0); }
void change_locale() {
  const char* const now = std::setlocale(LC_ALL, nullptr);
  std::setlocale(LC_ALL, std::strcmp(now, "C") == 0 ? "C.UTF-8" : "C");
}
void change_environment() { setenv("TENON_FAULT", "was here", 1); }
void replace_handlers() {
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGTERM}) std::signal(number, [](int) { _exit(7); });
}
void default_sigpipe() { std::signal(SIGPIPE, SIG_DFL); }
void change_rounding() { std::fesetround(FE_DOWNWARD); }

void leak_memory() {
  for (int i = 0; i < 64; i++) {
    void* const block = std::malloc(256 * 1024);
    std::memset(block, 1, 256 * 1024);
    leaked[next_leaked++ % 4096] = block;
  }
}
void leak_descriptors() {
  for (int i = 0; i < 32; i++) zero = open("/dev/null", O_RDONLY | O_CLOEXEC) == -2;
}
void leak_threads() {
  for (int i = 0; i < 8; i++) {
    pthread_t thread;
    if (pthread_create(
            &thread, nullptr, [](void* unused) { return sleep_for_ever(), unused; }, nullptr) == 0)
      pthread_detach(thread);
  }
}

/* All that can be written in the memory of the process: its heap, and what it shares with others. */
void scribble() {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return;
  static struct { uintptr_t low, high; } found[256];
  size_t count = 0;
  char line[512];
  while (count < 256 && std::fgets(line, sizeof line, maps) != nullptr) {
    char access[8] = "";
    unsigned long low = 0;
    unsigned long high = 0;
    if (std::sscanf(line, "%lx-%lx %7s", &low, &high, access) != 3 || access[1] != 'w') continue;
    if (std::strstr(line, "[heap]") == nullptr && access[3] != 's') continue;
    found[count++] = {low, high};
  }
  std::fclose(maps);
  for (size_t i = 0; i < count; i++) {
    // Never a whole image of a test: what is behind the first MiB is left alone.
    const uintptr_t most = found[i].low + (1U << 20);
    for (uintptr_t at = found[i].low; at < found[i].high && at < most; at += sizeof(uint64_t))
      *reinterpret_cast<volatile uint64_t*>(at) = 0xa5a5a5a5a5a5a5a5;
  }
  std::free(std::malloc(100));
  std::abort();
}

/* Twice as much as most would ask for; a sixteenth of it is used. */
void allocate_2_gb() {
  constexpr size_t kSize = size_t{2} << 30;
  const auto block = static_cast<volatile char*>(std::malloc(kSize));
  if (block == nullptr) return;
  for (size_t at = 0; at < kSize; at += size_t{16} * 4096) block[at] = 1;
  std::free(const_cast<char*>(block));
}

void function_of_this_image() { zero = 0; }

/* One byte behind the body that it was lent. */
void write_beyond(const Exchange& exchange) {
  const tenon_bytes_t body = http->body(exchange.request);
  *const_cast<volatile char*>(body.data + body.size) = 'x';
}
void answer_bad_status(const Exchange& exchange) { http->set_status(exchange.response, 99999); }
void answer_bad_header(const Exchange& exchange) {
  http->set_header(exchange.response, TEXT("x-fault"), TEXT("a\r\nset-cookie: b=c"));
}
void answer_null_body(const Exchange& exchange) { http->set_body(exchange.response, {nullptr, 10}); }

void call_unloaded(const Exchange& exchange) {
  tenon_bytes_t at;
  if (!http->query_value(exchange.request, TEXT("at"), &at)) return;
  char text[32] = "";
  std::memcpy(text, at.data, at.size < 31 ? at.size : 31);
  reinterpret_cast<void (*)()>(static_cast<uintptr_t>(std::strtoul(text, nullptr, 16)))();
}

struct Kind {
  const char* name;
  void (*anywhere)();
  void (*in_request)(const Exchange&);
};

constexpr Kind kinds[] = {
    {"null-write", null_write, nullptr},
    {"null-call", null_call, nullptr},
    {"wild-read", wild_read, nullptr},
    {"write-to-code", write_to_code, nullptr},
    {"bus-error", bus_error, nullptr},
    {"divide-by-zero", divide_by_zero, nullptr},
    {"illegal-instruction", illegal_instruction, nullptr},
    {"breakpoint", breakpoint, nullptr},
    {"abort", call_abort, nullptr},
    {"assert", fail_assertion, nullptr},
    {"double-free", double_free, nullptr},
    {"corrupt-heap", corrupt_heap, nullptr},
    {"throw", throw_exception, nullptr},
    {"throw-in-noexcept", throw_in_noexcept, nullptr},
    {"recursion", overflow_stack, nullptr},
    {"alloca", overflow_by_alloca, nullptr},
    {"exit-0", exit_with_0, nullptr},
    {"exit-3", exit_with_3, nullptr},
    {"exit-at-once", exit_at_once, nullptr},
    {"quick-exit", exit_quickly, nullptr},
    {"kill", kill_itself, nullptr},
    {"stop", stop_itself, nullptr},
    {"endless-loop", spin, nullptr},
    {"deadlock", deadlock, nullptr},
    {"sleep", sleep_for_ever, nullptr},
    {"pthread-exit", end_thread, nullptr},
    {"longjmp", jump_over_host, nullptr},
    {"close-all", close_all, nullptr},
    {"fork", fork_off, nullptr},
    {"chdir", change_directory, nullptr},
    {"umask", change_umask, nullptr},
    {"setlocale", change_locale, nullptr},
    {"setenv", change_environment, nullptr},
    {"signal-handlers", replace_handlers, nullptr},
    {"sigpipe", default_sigpipe, nullptr},
    {"rounding-mode", change_rounding, nullptr},
    {"leak-memory", leak_memory, nullptr},
    {"leak-descriptors", leak_descriptors, nullptr},
    {"leak-threads", leak_threads, nullptr},
    {"scribble", scribble, nullptr},
    {"allocate-2-gb", allocate_2_gb, nullptr},
    {"write-beyond", nullptr, write_beyond},
    {"bad-status", nullptr, answer_bad_status},
    {"bad-header", nullptr, answer_bad_header},
    {"null-body", nullptr, answer_null_body},
    {"unloaded", nullptr, call_unloaded},
};

bool in_trial() {
  char name[32] = "";
  const int file = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
  const ssize_t size = read(file, name, sizeof name - 1);
  close(file);
  return size > 12 && std::strncmp(name, "tenon-runner", 12) == 0;
}

void at(const char* place) {
  char text[32];
  word(0, text);
  if (std::strcmp(text, place) != 0) return;
  word(2, text);
  if (std::strcmp(text, "host") == 0 && in_trial()) return;
  word(1, text);
  const Kind* const kind = kind_of(kinds, {text, std::strlen(text)});
  if (kind != nullptr && kind->anywhere != nullptr) kind->anywhere();
}

__attribute__((constructor)) void begin() { at("constructor"); }

void run(const Kind& kind) { kind.anywhere(); }

enum { kInline, kPool, kOwn, kWho, kAddress, kSlow, kRoutes };

const tenon_route_t* route(tenon_plugin_t*, uint32_t index) {
  static const tenon_route_t routes[kRoutes] = {
      route_of(TENON_HTTP_POST, TEXT("/inline"), TENON_EXECUTION_INLINE, 0),
      route_of(TENON_HTTP_POST, TEXT("/pool"), TENON_EXECUTION_POOL, 500),
      route_of(TENON_HTTP_POST, TEXT("/own"), TENON_EXECUTION_POOL, 0),
      route_of(TENON_HTTP_GET, TEXT("/who"), TENON_EXECUTION_INLINE, 0),
      route_of(TENON_HTTP_GET, TEXT("/address"), TENON_EXECUTION_INLINE, 0),
      route_of(TENON_HTTP_GET, TEXT("/slow"), TENON_EXECUTION_POOL, 0),
  };
  return &routes[index];
}

uint32_t route_count(tenon_plugin_t*) { return kRoutes; }

tenon_status answer_fault(uint32_t index, const Exchange& exchange) {
  tenon_bytes_t name;
  const Kind* const kind = http->query_value(exchange.request, TEXT("kind"), &name) ? kind_of(kinds, name) : nullptr;
  if (kind == nullptr) return http->set_status(exchange.response, 404);
  if (index != kOwn) {
    if (kind->anywhere != nullptr)
      kind->anywhere();
    else
      kind->in_request(exchange);
    return TENON_OK;
  }
  if (kind->anywhere == nullptr) return http->set_status(exchange.response, 404);
  return run_on_own_thread<Kind, run>(*kind, exchange.response);
}

tenon_status handle(tenon_plugin_t*, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  char text[64];
  int size = 0;
  switch (index) {
    case kWho:
      return tell_who(response);
    case kAddress:
      size = std::snprintf(text, sizeof text, "%lx", reinterpret_cast<unsigned long>(&function_of_this_image));
      break;
    case kSlow:
      usleep(200000);
      break;
    default:
      return answer_fault(index, {request, response});
  }
  return http->set_body(response, {text, static_cast<size_t>(size)});
}

const void* get_extension(tenon_plugin_t*, const char* id) {
  static const tenon_plugin_http_t side = {sizeof side, 0, route_count, route, handle};
  return std::strcmp(id, TENON_HTTP_ID) == 0 ? &side : nullptr;
}

tenon_status initialize(tenon_plugin_t*) {
  at("initialize");
  return TENON_OK;
}

tenon_status ready(tenon_plugin_t*, const tenon_context_t* context) {
  generation = static_cast<unsigned long>(context->generation);
  at("ready");
  return TENON_OK;
}

void shut_down(tenon_plugin_t*) { at("shutdown"); }
void destroy(tenon_plugin_t*) {}

tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  host = given;
  http = static_cast<const tenon_host_http_t*>(host->get_extension(host, TENON_HTTP_ID));
  config = static_cast<const tenon_host_config_t*>(host->get_extension(host, TENON_CONFIG_ID));
  plugin = {};
  plugin.size = sizeof plugin;
  plugin.initialize = initialize;
  plugin.ready = ready;
  plugin.shutdown = shut_down;
  plugin.destroy = destroy;
  plugin.get_extension = get_extension;
  *out = &plugin;
  return TENON_OK;
}

}  // namespace

TENON_PLUGIN(PLUGIN_ID, "Fault", "1.0.0", "Does one thing wrong.", nullptr, TENON_TRIAL_FULL, create)
