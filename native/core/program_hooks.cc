#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

#include "import_hooks.h"
#include "thread_guard.h"

// Programs that a plugin starts. Threads of the host have signals blocked, and a program keeps what was blocked where
// it was started: SIGTERM would not end it. What a plugin has blocked itself stays so.
namespace tenon::core {

namespace {

namespace original {
int (*posix_spawn)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                   char* const*);
int (*posix_spawnp)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                    char* const*);
int (*system)(const char*);
}  // namespace original

class SpawnAttributes {
 public:
  SpawnAttributes() : status_(posix_spawnattr_init(&attributes_)) {}
  ~SpawnAttributes() {
    if (status_ == 0) posix_spawnattr_destroy(&attributes_);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;

  // As `asked` says, with no signal blocked; null when the system does not give them.
  const posix_spawnattr_t* open(const posix_spawnattr_t* asked, short flags) {
    if (status_ != 0) return nullptr;
    // glibc and musl keep nothing of it elsewhere.
    if (asked != nullptr) attributes_ = *asked;
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setflags(&attributes_, static_cast<short>(flags | POSIX_SPAWN_SETSIGMASK));
    return &attributes_;
  }

 private:
  posix_spawnattr_t attributes_;
  const int status_;
};

template <auto& function>
int spawn_hook(pid_t* child, const char* program, const posix_spawn_file_actions_t* actions,
               const posix_spawnattr_t* asked, char* const* arguments, char* const* environment) {
  short flags = 0;
  const bool is_told = asked == nullptr || posix_spawnattr_getflags(asked, &flags) == 0;
  SpawnAttributes attributes;
  const posix_spawnattr_t* const open = is_told && (flags & POSIX_SPAWN_SETSIGMASK) == 0 && has_signals_of_host()
                                            ? attributes.open(asked, flags)
                                            : nullptr;
  return function(child, program, actions, open != nullptr ? open : asked, arguments, environment);
}

int system_hook(const char* command) {
  const OpenSignals open;
  return original::system(command);
}

}  // namespace

void lend_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const int flags = fcntl(stream, F_GETFD);
    if (flags > 0) fcntl(stream, F_SETFD, flags & ~FD_CLOEXEC);
  }
}

void add_program_hooks(std::vector<ImportHook>& hooks) {
  hooks.insert(hooks.end(),
               {
                   import_hook("posix_spawn", &spawn_hook<original::posix_spawn>, original::posix_spawn),
                   import_hook("posix_spawnp", &spawn_hook<original::posix_spawnp>, original::posix_spawnp),
                   import_hook("system", &system_hook, original::system),
               });
}

}  // namespace tenon::core
