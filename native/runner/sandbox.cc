#include "sandbox.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sandbox_calls.h"
#include "sandbox_files.h"
#include "wire/protocol.h"

#if defined(__linux__)
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

namespace tenon::runner {

namespace {

// What the runner has itself: its socket, what it prints, and two doorbells for each lane.
constexpr rlim_t kOwnDescriptors = 16 + 2 * wire::kLanes;
// Its own data, without the stacks of its threads: see allow_stack.
constexpr rlim_t kOwnDataBytes = 8 * 1024 * 1024;

#if defined(__linux__)
constexpr auto kMemory = RLIMIT_DATA;
#else
constexpr auto kMemory = RLIMIT_AS;
#endif

template <typename Limit>
bool lower(Limit which, rlim_t soft, rlim_t hard) {
  rlimit limit = {};
  if (getrlimit(which, &limit) != 0) return false;
  limit.rlim_max = std::min(limit.rlim_max, hard);
  limit.rlim_cur = std::min(limit.rlim_max, soft);
  return setrlimit(which, &limit) == 0;
}

bool set_limits(const wire::RunnerSettings& settings, std::string& problem) {
  const auto fail = [&problem](const char* what) {
    problem = std::string(what) + ": " + std::strerror(errno);
    return false;
  };
  // With 0 a system that pipes core dumps to a program would still write one, and the process takes long to end.
  if (!lower(RLIMIT_CORE, 1, 1)) return fail("no limit of core dumps");
  if (settings.descriptors > 0) {
    const rlim_t most = settings.descriptors + kOwnDescriptors;
    if (!lower(RLIMIT_NOFILE, most, most)) return fail("no limit of descriptors");
  }
#if !defined(__APPLE__)
  if (settings.memory_bytes > 0) {
    const rlim_t most = settings.memory_bytes + kOwnDataBytes;
    if (!lower(kMemory, most, most + wire::kFirstUpLane * kStackBytes)) return fail("no limit of memory");
  }
#endif
  return true;
}

#if defined(__linux__)

// Of what root may, that which only concerns files that a plugin may open anyway, and ports.
void drop_capabilities() {
  constexpr uint32_t kKept = 1u << CAP_DAC_OVERRIDE | 1u << CAP_NET_BIND_SERVICE;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return;
  for (__user_cap_data_struct& half : data) {
    const uint32_t kept = &half == &data[0] ? kKept : 0;
    half.effective &= kept;
    half.permitted &= kept;
    half.inheritable = 0;
  }
  syscall(SYS_capset, &header, data);
}

// When memory runs out a plugin goes before its host.
void offer_to_oom_killer() {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = write(file, "500", 3);
  close(file);
}

#endif

}  // namespace

bool enter_sandbox(const wire::RunnerSettings& settings, int library, wire::Confinement& confinement,
                   std::string& problem) {
  if (!set_limits(settings, problem)) return false;
#if defined(__linux__)
  offer_to_oom_killer();
  confinement.no_new_privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  if (!settings.sandbox) return true;
  drop_capabilities();
  if (!confinement.no_new_privileges) return true;
  confinement.landlock = confine_files(settings.writable, settings.hidden, library);
  confinement.seccomp = confine_calls(settings.processes > 0, confinement.landlock);
#else
  static_cast<void>(library);
  static_cast<void>(confinement);
#endif
  return true;
}

std::string lacking(const wire::RunnerSettings& settings, const wire::Confinement& confinement) {
  if (!settings.needs_all) return {};
  if (!confinement.seccomp) return confinement.landlock > 0 ? "seccomp" : "seccomp and landlock";
  return confinement.landlock > 0 ? "" : "landlock";
}

void allow_stack(const wire::RunnerSettings& settings) {
  rlimit limit = {};
  if (settings.memory_bytes == 0 || getrlimit(kMemory, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  limit.rlim_cur = std::min(limit.rlim_max, limit.rlim_cur + kStackBytes);
  setrlimit(kMemory, &limit);
}

}  // namespace tenon::runner
