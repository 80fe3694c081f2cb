#include "sandbox_files.h"

#if defined(__linux__)

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tenon::runner {

namespace {

// As in linux/landlock.h, which may be older than the kernel that this runs on.
enum Right : uint64_t {
  kWriteFile = 1u << 1,
  kRemoveDirectory = 1u << 4,
  kRemoveFile = 1u << 5,
  kMakeAny = 0x7fu << 6,  // MAKE_CHAR to MAKE_SYM
  kRefer = 1u << 13,      // since version 2
  kTruncate = 1u << 14,   // since version 3
  kControl = 1u << 15,    // ioctl of devices; since version 5
};
enum Scope : uint64_t { kAbstractSockets = 1u << 0, kSignals = 1u << 1 };

struct Ruleset {
  uint64_t files;
  uint64_t network;
  uint64_t scoped;
};

struct __attribute__((packed)) PathRule {
  uint64_t allowed;
  int32_t parent;
};

constexpr long kCreate = 444;
constexpr long kAddRule = 445;
constexpr long kRestrict = 446;
constexpr int kPathBeneath = 1;
constexpr unsigned kAskVersion = 1;

uint64_t rights_of(uint32_t version) {
  uint64_t rights = kWriteFile | kRemoveDirectory | kRemoveFile | kMakeAny;
  if (version >= 2) rights |= kRefer;
  if (version >= 3) rights |= kTruncate;
  if (version >= 5) rights |= kControl;
  return rights;
}

// What is not there cannot be written to; the folder that it would be in decides.
void allow(int ruleset, const char* path, uint64_t rights) {
  const int place = open(path, O_PATH | O_CLOEXEC);
  if (place < 0) return;
  struct stat facts = {};
  if (fstat(place, &facts) == 0) {
    if (!S_ISDIR(facts.st_mode)) rights &= kWriteFile | kTruncate | kControl;
    const PathRule rule = {rights, place};
    syscall(kAddRule, ruleset, kPathBeneath, &rule, 0);
  }
  close(place);
}

}  // namespace

uint32_t confine_files(const std::vector<std::string>& writable) {
  const long asked = syscall(kCreate, nullptr, 0, kAskVersion);
  if (asked <= 0) return 0;
  const auto version = static_cast<uint32_t>(asked);
  const uint64_t rights = rights_of(version);
  const Ruleset wanted = {rights, 0, version >= kSignalsScopedSince ? kAbstractSockets | kSignals : 0u};
  const size_t size = version >= kSignalsScopedSince ? sizeof wanted : version >= 4 ? 16 : 8;
  const int ruleset = static_cast<int>(syscall(kCreate, &wanted, size, 0));
  if (ruleset < 0) return 0;
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
    allow(ruleset, path, rights);
  }
  for (const std::string& path : writable) allow(ruleset, path.c_str(), rights);
  const bool confined = syscall(kRestrict, ruleset, 0) == 0;
  close(ruleset);
  return confined ? version : 0;
}

}  // namespace tenon::runner

#endif
