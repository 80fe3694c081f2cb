#include "sandbox_files.h"

#if defined(__linux__)

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>

namespace tenon::runner {

namespace {

// As in linux/landlock.h, which may be older than the kernel that this runs on.
enum Right : uint64_t {
  kWriteFile = 1u << 1,
  kReadFile = 1u << 2,
  kReadFolder = 1u << 3,
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

void allow_open(int ruleset, int place, uint64_t rights) {
  struct stat facts = {};
  if (fstat(place, &facts) != 0) return;
  if (!S_ISDIR(facts.st_mode)) rights &= kReadFile | kWriteFile | kTruncate | kControl;
  const PathRule rule = {rights, place};
  syscall(kAddRule, ruleset, kPathBeneath, &rule, 0);
}

// As in linux/openat2.h.
struct How {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};
constexpr long kOpenBy = 437;
constexpr uint64_t kNoLinks = 0x04;  // RESOLVE_NO_SYMLINKS

// What is not there cannot be written to; the folder that it would be in decides. The links that there were have been
// followed: one on the way is new, and may be the plugin's.
void allow(int ruleset, const char* path, uint64_t rights) {
  const How how = {O_PATH | O_CLOEXEC, 0, kNoLinks};
  int place = static_cast<int>(syscall(kOpenBy, AT_FDCWD, path, &how, sizeof how));
  // What runs containers may not know the call yet; of the links, then, the last is seen.
  if (place < 0 && (errno == ENOSYS || errno == EPERM)) place = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
  if (place < 0) return;
  allow_open(ruleset, place, rights);
  close(place);
}

// Whether `path` is `folder` or below it.
bool is_within(std::string_view path, std::string_view folder) {
  if (folder == "/") return true;
  return path.substr(0, folder.size()) == folder && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::string real(const std::string& path) {
  char resolved[PATH_MAX];
  return realpath(path.c_str(), resolved) == nullptr ? path : resolved;
}

// All at and below `path`, without symbolic links, but what is hidden. A right counts for all that is below a folder:
// one that has something hidden gives none itself.
void allow_but(int ruleset, const std::string& path, uint64_t rights, const std::vector<std::string>& hidden) {
  const auto any = [&hidden](const auto& is) { return std::any_of(hidden.begin(), hidden.end(), is); };
  if (any([&path](const std::string& one) { return is_within(path, one); })) return;
  if (!any([&path](const std::string& one) { return is_within(one, path); })) {
    return allow(ruleset, path.c_str(), rights);
  }
  const std::string below = path == "/" ? path : path + '/';
  DIR* const folder = opendir(path.c_str());
  if (folder == nullptr) {
    // Its entries are not known, but the way to what is hidden is.
    for (const std::string& one : hidden) {
      if (!is_within(one, path)) continue;
      allow_but(ruleset, one.substr(0, one.find('/', below.size())), rights, hidden);
    }
    return;
  }
  while (const dirent* const entry = readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") allow_but(ruleset, below + entry->d_name, rights, hidden);
  }
  closedir(folder);
}

}  // namespace

uint32_t confine_files(const std::vector<std::string>& writable, const std::vector<std::string>& hidden, int library) {
  const long asked = syscall(kCreate, nullptr, 0, kAskVersion);
  if (asked <= 0) return 0;
  const auto version = static_cast<uint32_t>(asked);
  const uint64_t reading = hidden.empty() ? 0 : kReadFile | kReadFolder;
  const uint64_t rights = rights_of(version) | reading;
  const Ruleset wanted = {rights, 0, version >= kSignalsScopedSince ? kAbstractSockets | kSignals : 0u};
  const size_t size = version >= kSignalsScopedSince ? sizeof wanted : version >= 4 ? 16 : 8;
  const int ruleset = static_cast<int>(syscall(kCreate, &wanted, size, 0));
  if (ruleset < 0) return 0;
  std::vector<std::string> secret;
  for (const std::string& path : hidden) secret.push_back(real(path));
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
    allow(ruleset, path, rights);
  }
  for (const std::string& path : writable) {
    const bool has_hidden =
        std::any_of(secret.begin(), secret.end(), [&path](const std::string& one) { return is_within(one, path); });
    // Named on purpose, it counts although it may be below something hidden.
    if (has_hidden) {
      allow_but(ruleset, path, rights, secret);
    } else {
      allow(ruleset, path.c_str(), rights);
    }
  }
  if (reading != 0) {
    allow_but(ruleset, "/", reading, secret);
    allow_open(ruleset, library, kReadFile);
  }
  const bool confined = syscall(kRestrict, ruleset, 0) == 0;
  close(ruleset);
  return confined ? version : 0;
}

}  // namespace tenon::runner

#endif
