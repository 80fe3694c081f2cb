#include "remove_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::core {

namespace {

constexpr size_t kMostLevels = 256;
constexpr size_t kNamesAtOnce = 1024;
// Somebody may make files as fast as they are removed.
constexpr size_t kMostNames = 16 << 20;
constexpr int kFolder = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

class Folder {
 public:
  explicit Folder(int descriptor) : descriptor_(descriptor) {}
  Folder(Folder&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Folder& operator=(Folder&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

bool is_own(const struct stat& facts) { return S_ISDIR(facts.st_mode) && facts.st_uid == geteuid(); }

void let_in(int above, const char* name) {
#if defined(__linux__)
  // Of what was looked at, and nothing that has taken its name since.
  const Folder place(openat(above, name, O_PATH | kFolder));
  struct stat facts = {};
  if (place.get() < 0 || fstat(place.get(), &facts) != 0 || !is_own(facts)) return;
  chmod(("/proc/self/fd/" + std::to_string(place.get())).c_str(), S_IRWXU);
#else
  struct stat facts = {};
  if (fstatat(above, name, &facts, AT_SYMLINK_NOFOLLOW) != 0 || !is_own(facts)) return;
  fchmodat(above, name, S_IRWXU, AT_SYMLINK_NOFOLLOW);
#endif
}

Folder open_folder(int above, const char* name) {
  Folder folder(openat(above, name, O_RDONLY | kFolder));
  if (folder.get() < 0 && errno == EACCES) {
    let_in(above, name);
    folder = Folder(openat(above, name, O_RDONLY | kFolder));
  }
  return folder;
}

struct Level {
  Level(Folder opened, std::string as) : folder(std::move(opened)), name(std::move(as)) {}

  Folder folder;
  std::string name;                // in the folder above
  std::vector<std::string> names;  // that are still to be removed
  bool has_more = true;
  bool has_lost = true;  // something, since it was listed
};

class Removal {
 public:
  explicit Removal(int parent) : parent_(parent) {}

  bool run(const std::string& name) {
    Folder top = open_folder(parent_, name.c_str());
    if (top.get() < 0) return errno == ENOENT;
    struct stat facts = {};
    if (fstat(top.get(), &facts) != 0) return false;
    device_ = facts.st_dev;
    enter(std::move(top), name);
    while (!levels_.empty()) step();
    return is_gone_;
  }

 private:
  void step() {
    Level& level = levels_.back();
    if (!level.names.empty()) {
      const std::string name = std::move(level.names.back());
      level.names.pop_back();
      remove(level, name);
    } else if (level.has_more && level.has_lost && names_ < kMostNames) {
      list(level);
    } else {
      leave();
    }
  }

  // `level` is no longer valid afterwards.
  void remove(Level& level, const std::string& name) {
    const int above = level.folder.get();
    struct stat facts = {};
    if (fstatat(above, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (!S_ISDIR(facts.st_mode)) {
      level.has_lost |= unlinkat(above, name.c_str(), 0) == 0;
      return;
    }
    if (levels_.size() < kMostLevels && facts.st_dev == device_) {
      Folder folder = open_folder(above, name.c_str());
      if (folder.get() >= 0 && fstat(folder.get(), &facts) == 0 && facts.st_dev == device_)
        return enter(std::move(folder), name);
    }
    level.has_lost |= unlinkat(above, name.c_str(), AT_REMOVEDIR) == 0;
  }

  void enter(Folder folder, const std::string& name) {
    struct stat facts = {};
    if (fstat(folder.get(), &facts) == 0 && is_own(facts) && (facts.st_mode & S_IRWXU) != S_IRWXU)
      fchmod(folder.get(), S_IRWXU);
    levels_.emplace_back(std::move(folder), name);
  }

  void leave() {
    const std::string name = std::move(levels_.back().name);
    levels_.pop_back();
    const int above = levels_.empty() ? parent_ : levels_.back().folder.get();
    is_gone_ = unlinkat(above, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
    if (!levels_.empty()) levels_.back().has_lost |= is_gone_;
  }

  void list(Level& level) {
    level.has_more = false;
    level.has_lost = false;
    const int descriptor = openat(level.folder.get(), ".", O_RDONLY | kFolder);
    if (descriptor < 0) return;
    DIR* const entries = fdopendir(descriptor);
    if (entries == nullptr) {
      close(descriptor);
      return;
    }
    while (const dirent* const entry = readdir(entries)) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (level.names.size() == kNamesAtOnce) {
        level.has_more = true;
        break;
      }
      level.names.emplace_back(name);
    }
    closedir(entries);
    names_ += level.names.size();
  }

  const int parent_;
  dev_t device_ = 0;
  std::vector<Level> levels_;
  size_t names_ = 0;
  bool is_gone_ = false;
};

}  // namespace

bool remove_folder(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos || path.front() != '/') return false;
  const size_t slash = path.rfind('/', end);
  const std::string name = path.substr(slash + 1, end - slash);
  if (name == "." || name == "..") return false;
#if defined(__linux__)
  constexpr int kPlace = O_PATH | kFolder;
#else
  constexpr int kPlace = O_RDONLY | kFolder;
#endif
  const Folder parent(open(slash == 0 ? "/" : path.substr(0, slash).c_str(), kPlace));
  if (parent.get() < 0) return errno == ENOENT;
  return Removal(parent.get()).run(name);
}

}  // namespace tenon::core
