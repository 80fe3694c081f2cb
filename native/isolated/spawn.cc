#include "spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

#include "wire/control_socket.h"
#include "wire/environment.h"
#include "wire/protocol.h"

extern char** environ;

namespace tenon::isolated {

namespace {

#if defined(__linux__)
constexpr int kPassRights = 83;  // SO_PASSRIGHTS, which older headers lack
#endif

int shared_memory(size_t size) {
#if defined(__linux__)
  const int memory = static_cast<int>(syscall(SYS_memfd_create, "tenon-lanes", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory < 0) return -1;
  // A runner that made it smaller would have the host end by SIGBUS.
  if (ftruncate(memory, static_cast<off_t>(size)) == 0 &&
      fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
    return memory;
  }
#else
  // macOS lets the size of one be set once only.
  static std::atomic<uint32_t> count{0};
  const std::string name = "/tenon-" + std::to_string(getpid()) + "-" + std::to_string(++count);
  const int memory = shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (memory < 0) return -1;
  shm_unlink(name.c_str());
  fcntl(memory, F_SETFD, FD_CLOEXEC);
  if (ftruncate(memory, static_cast<off_t>(size)) == 0) return memory;
#endif
  close(memory);
  return -1;
}

// Its ends close when another process is begun at this very moment.
bool open_pipe(int (&ends)[2]) {
#if defined(__linux__)
  return pipe2(ends, O_CLOEXEC) == 0;
#else
  if (pipe(ends) != 0) return false;
  for (const int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC);
  return true;
#endif
}

}  // namespace

std::string told(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

void close_if_open(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

bool spawn_runner(const std::string& runner, int library, std::string id, const std::string& temporary,
                  Spawned& spawned, std::string& problem) {
  int memory = shared_memory(wire::kSharedBytes);
  if (memory < 0) return problem = told("no shared memory"), false;
  void* const mapped = mmap(nullptr, wire::kSharedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  spawned.memory = mapped == MAP_FAILED ? nullptr : mapped;
  int sockets[2] = {-1, -1};
  int out[2] = {-1, -1};
  int error[2] = {-1, -1};
  const bool open =
      spawned.memory != nullptr && wire::open_control_sockets(sockets) && open_pipe(out) && open_pipe(error);
  int failed = open ? 0 : errno;
  int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 && failed == 0) failed = errno;
  // Above all places that they are put at, so that none is overwritten before it is.
  std::array<int, 6> given = {null, out[1], error[1], sockets[1], memory, library};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  for (size_t place = 0; place < given.size(); place++) {
    given[place] = fcntl(given[place], F_DUPFD_CLOEXEC, 16);
    if (given[place] < 0 && failed == 0) failed = errno;
    posix_spawn_file_actions_adddup2(&actions, given[place], static_cast<int>(place));
  }
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; entry++) {
    if (wire::is_passed_on(*entry)) environment.push_back(*entry);
  }
  std::string folder = "TMPDIR=" + temporary;
  if (!temporary.empty()) environment.push_back(folder.data());
  environment.push_back(nullptr);
  std::string name = "tenon-runner";
  std::string word = "serve";
  std::array<char*, 4> words = {name.data(), word.data(), id.data(), nullptr};
  if (failed == 0) {
    failed = posix_spawn(&spawned.pid, runner.c_str(), &actions, &attributes, words.data(), environment.data());
    if (failed != 0) spawned.pid = -1;
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  for (int& descriptor : given) close_if_open(descriptor);
  for (int* const descriptor : {&null, &out[1], &error[1], &sockets[1], &memory}) close_if_open(*descriptor);
  spawned.control = sockets[0];
#if defined(__linux__)
  // A socket that lingers, sent to the host, would hold up the thread that closes it. Since Linux 6.16.
  const int refused = 0;
  setsockopt(spawned.control, SOL_SOCKET, kPassRights, &refused, sizeof refused);
#endif
  spawned.output = {out[0], error[0]};
  for (const int end : spawned.output) {
    if (end >= 0) fcntl(end, F_SETFL, O_NONBLOCK);
  }
  if (failed != 0) return errno = failed, problem = told(runner.c_str()), false;
#if defined(__linux__) && defined(SYS_pidfd_open)
  spawned.process = static_cast<int>(syscall(SYS_pidfd_open, spawned.pid, 0));
#endif
  return true;
}

}  // namespace tenon::isolated
