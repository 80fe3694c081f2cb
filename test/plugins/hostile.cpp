/*
 * Attacks the process that it is in, and the host that began it, in one way of the list at `kinds`. Only for a process
 * of its own: in the host most of these end whatever runs there.
 *   POST /pool?kind=K     on a thread of the pool, with a deadline of 2 s; 403 when it was not let
 *   POST /own?kind=K      on a thread of its own, 20 ms after the answer
 *   GET /who              "GENERATION SERIAL": the number that the host gave it, and the last word of `order`
 * PLUGIN_ID is its id.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "ordered.h"

#include <tenon/ext/log.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "hostile"
#endif

namespace {

const tenon_host_log_t* logs;
volatile int never;
uint64_t drawn = 0x9e3779b97f4a7c15;

uint64_t draw() {
  drawn ^= drawn << 13;
  drawn ^= drawn >> 7;
  drawn ^= drawn << 17;
  return drawn;
}

/* What an attack came to: done, or what the kernel said. */
int errno_of(long result) { return result < 0 ? errno : 0; }

struct Range {
  volatile uint64_t* words;
  size_t count;
};

/* The memory that it shares with the host. */
Range lanes() {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return {nullptr, 0};
  char line[512];
  Range found = {nullptr, 0};
  while (found.count == 0 && std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long low = 0;
    unsigned long high = 0;
    if (std::strstr(line, "tenon-lanes") == nullptr || std::sscanf(line, "%lx-%lx", &low, &high) != 2) continue;
    found = {reinterpret_cast<volatile uint64_t*>(low), (high - low) / sizeof(uint64_t)};
  }
  std::fclose(maps);
  return found;
}

/* So that the host looks at what was written. */
void ring_all() {
  const char one = 1;
  for (int descriptor = 4; descriptor < 64; descriptor++) {
    char target[64] = "";
    char link[32];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (readlink(link, target, sizeof target - 1) < 0 || std::strstr(target, "pipe:") == nullptr) continue;
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    never = static_cast<int>(write(descriptor, &one, sizeof one)) == -2;
  }
}

template <typename Draw>
int write_over_lanes(Draw next) {
  const Range all = lanes();
  for (size_t at = 0; at < all.count; at++) all.words[at] = next();
  ring_all();
  return 0;
}

int scribble_random() { return write_over_lanes(draw); }
int scribble_ones() {
  return write_over_lanes([] { return ~uint64_t{0}; });
}
int scribble_zeros() {
  return write_over_lanes([] { return uint64_t{0}; });
}

/* Goes on while the host reads what is written here: what it has checked changes under it. */
int scribble_on() {
  static Range all;
  all = lanes();
  pthread_t thread;
  const int failed = pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        // A second, for the case that nobody ends it.
        const std::time_t end = std::time(nullptr) + 2;
        while (all.count != 0 && std::time(nullptr) < end) {
          for (int i = 0; i < 4096; i++) all.words[draw() % all.count] = draw();
        }
        return nullptr;
      },
      nullptr);
  if (failed == 0) pthread_detach(thread);
  return failed;
}

int unmap_lanes() {
  const Range all = lanes();
  return errno_of(munmap(const_cast<uint64_t*>(all.words), all.count * sizeof(uint64_t)));
}

int close_everything() { return errno_of(syscall(SYS_close_range, 0U, ~0U, 0U)); }
/* Also for the thread of its process that waits there. */
int close_control() {
  shutdown(3, SHUT_RDWR);
  return errno_of(close(3));
}
int close_doorbells() { return errno_of(syscall(SYS_close_range, 4U, ~0U, 0U)); }

int write_control() {
  char bytes[256];
  for (char& byte : bytes) byte = static_cast<char>(draw());
  return errno_of(send(3, bytes, sizeof bytes, MSG_NOSIGNAL));
}
int write_empty_control() { return errno_of(send(3, "", 0, MSG_NOSIGNAL)); }

/* Asks for lanes without end. */
int flood_control() {
  for (uint32_t turn = 0; turn < 20000; turn++) {
    const uint32_t packet[2] = {3, 128 + turn % 32};
    if (send(3, packet, sizeof packet, MSG_NOSIGNAL) < 0) return 0;
  }
  return 0;
}

/* As many descriptors as go with one packet. */
int send_descriptors() {
  constexpr int kCount = 200;
  int descriptors[kCount];
  for (int& descriptor : descriptors) descriptor = 1;
  uint32_t packet[2] = {3, 128};
  iovec part = {packet, sizeof packet};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof descriptors)] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  cmsghdr* const control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof descriptors);
  std::memcpy(CMSG_DATA(control), descriptors, sizeof descriptors);
  for (int turn = 0; turn < 100; turn++) {
    if (sendmsg(3, &message, MSG_NOSIGNAL) < 0) return errno;
  }
  return 0;
}

int loop_blocked() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (never == 0) continue;
  return 0;
}

/* Past its deadline of 2 s, within the grace. */
int answer_late() {
  usleep(2200000);
  return 0;
}

/* Never more than a small machine can bear, if nothing stops it. */
int eat_memory() {
  constexpr size_t kBlock = size_t{8} << 20;
  for (int block = 0; block < 64; block++) {
    auto* const bytes = static_cast<volatile char*>(std::malloc(kBlock));
    if (bytes == nullptr) std::abort();
    bytes[0] = 1;
  }
  return 0;
}

int fork_bomb() {
  for (int child = 0; child < 100; child++) {
    const pid_t pid = fork();
    if (pid < 0) return errno;
    if (pid == 0) {
      alarm(20);
      pause();
      _exit(0);
    }
  }
  return 0;
}

/* A child that leaves the session, and holds all descriptors that its parent had. */
int leave_child() {
  const pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid == 0) {
    setsid();
    alarm(20);
    pause();
    _exit(0);
  }
  kill(getpid(), SIGKILL);
  return 0;
}

int run_program() {
  char program[] = "/bin/true";
  char* words[] = {program, nullptr};
  char* none[] = {nullptr};
  execve(program, words, none);
  return errno;
}

/* Never the first process of the machine, whose children those are that have lost their parent. */
pid_t host_process() {
  const pid_t pid = getppid();
  if (pid <= 1) _exit(0);
  return pid;
}

int kill_host() { return errno_of(kill(host_process(), SIGKILL)); }
int stop_host() { return errno_of(kill(host_process(), SIGSTOP)); }
int kill_group() { return errno_of(kill(0, SIGKILL)); }
int trace_host() { return errno_of(ptrace(PTRACE_SEIZE, host_process(), nullptr, nullptr)); }

int write_host_memory() {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/mem", host_process());
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return errno;
  close(file);
  return 0;
}
int read_host_memory() {
  char byte;
  iovec here = {&byte, 1};
  iovec there = {const_cast<char*>(&order[0]), 1};
  const long got = syscall(SYS_process_vm_readv, host_process(), &here, 1UL, &there, 1UL, 0UL);
  // No such address there: it was let look.
  return got < 0 && errno != EFAULT ? errno : 0;
}
int limit_host() {
  const struct { uint64_t now, most; } none = {8, 8};
  return errno_of(syscall(SYS_prlimit64, host_process(), 7 /* RLIMIT_NOFILE */, &none, nullptr));
}

int print_much() {
  static char line[4096];
  std::memset(line, 'x', sizeof line - 1);
  for (int turn = 0; turn < 2000; turn++) std::fprintf(turn % 2 == 0 ? stdout : stderr, "%s\n", line);
  return 0;
}
int log_much() {
  for (int turn = 0; turn < 20000; turn++) {
    logs->write(host, TENON_LOG_INFO, TEXT("the same line again and again"), nullptr, 0);
  }
  return 0;
}

int take_descriptors() {
  int last = 0;
  for (int turn = 0; turn < 100000 && last >= 0; turn++) last = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return 0;
}

struct Kind {
  const char* name;
  int (*run)();
};

constexpr Kind kinds[] = {
    {"scribble-random", scribble_random},
    {"scribble-ones", scribble_ones},
    {"scribble-zeros", scribble_zeros},
    {"scribble-on", scribble_on},
    {"unmap-lanes", unmap_lanes},
    {"close-everything", close_everything},
    {"close-control", close_control},
    {"close-doorbells", close_doorbells},
    {"write-control", write_control},
    {"write-empty-control", write_empty_control},
    {"flood-control", flood_control},
    {"send-descriptors", send_descriptors},
    {"loop-blocked", loop_blocked},
    {"answer-late", answer_late},
    {"eat-memory", eat_memory},
    {"fork-bomb", fork_bomb},
    {"leave-child", leave_child},
    {"run-program", run_program},
    {"kill-host", kill_host},
    {"stop-host", stop_host},
    {"kill-group", kill_group},
    {"trace-host", trace_host},
    {"write-host-memory", write_host_memory},
    {"read-host-memory", read_host_memory},
    {"limit-host", limit_host},
    {"print-much", print_much},
    {"log-much", log_much},
    {"take-descriptors", take_descriptors},
};

void run(const Kind& kind) { kind.run(); }

/* Answers of a size and a number that no host takes. */
bool answer_hostile(tenon_bytes_t name, tenon_response_t* response) {
  if (is(name, "huge-body")) {
    constexpr size_t kSize = size_t{100} << 20;
    char* const bytes = static_cast<char*>(std::malloc(kSize));
    if (bytes == nullptr) std::abort();
    std::memset(bytes, 'x', kSize);
    http->set_body(response, {bytes, kSize});
    std::free(bytes);
    return true;
  }
  if (is(name, "many-headers")) {
    for (int turn = 0; turn < 100000; turn++) http->add_header(response, TEXT("x-again"), TEXT("and again"));
    return true;
  }
  return false;
}

enum { kPool, kOwn, kWho, kRoutes };

const tenon_route_t* route(tenon_plugin_t*, uint32_t index) {
  static const tenon_route_t routes[kRoutes] = {
      route_of(TENON_HTTP_POST, TEXT("/pool"), TENON_EXECUTION_POOL, 2000),
      route_of(TENON_HTTP_POST, TEXT("/own"), TENON_EXECUTION_POOL, 0),
      route_of(TENON_HTTP_GET, TEXT("/who"), TENON_EXECUTION_INLINE, 0),
  };
  return &routes[index];
}
uint32_t route_count(tenon_plugin_t*) { return kRoutes; }

tenon_status handle(tenon_plugin_t*, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
  if (index == kWho) return tell_who(response);
  tenon_bytes_t name;
  if (!http->query_value(request, TEXT("kind"), &name)) return http->set_status(response, 404);
  if (index == kPool && answer_hostile(name, response)) return TENON_OK;
  const Kind* const kind = kind_of(kinds, name);
  if (kind == nullptr) return http->set_status(response, 404);
  if (index == kPool) {
    const int error = kind->run();
    return http->set_status(response, error == EPERM || error == EACCES ? 403 : error == 0 ? 200 : 500);
  }
  return run_on_own_thread<Kind, run>(*kind, response);
}

const void* get_extension(tenon_plugin_t*, const char* id) {
  static const tenon_plugin_http_t side = {sizeof side, 0, route_count, route, handle};
  return std::strcmp(id, TENON_HTTP_ID) == 0 ? &side : nullptr;
}

tenon_status ready(tenon_plugin_t*, const tenon_context_t* context) {
  generation = static_cast<unsigned long>(context->generation);
  drawn ^= static_cast<uint64_t>(getpid());
  return TENON_OK;
}

void destroy(tenon_plugin_t*) {}

tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  host = given;
  http = static_cast<const tenon_host_http_t*>(host->get_extension(host, TENON_HTTP_ID));
  logs = static_cast<const tenon_host_log_t*>(host->get_extension(host, TENON_LOG_ID));
  plugin = {};
  plugin.size = sizeof plugin;
  plugin.ready = ready;
  plugin.destroy = destroy;
  plugin.get_extension = get_extension;
  *out = &plugin;
  return TENON_OK;
}

}  // namespace

TENON_PLUGIN(PLUGIN_ID, "Hostile", "1.0.0", "Attacks its host.", nullptr, TENON_TRIAL_FULL, create)
