#include "machine.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <link.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <mach-o/dyld.h>
#include <sys/mount.h>
#include <sys/param.h>
#endif

namespace tenon::core {

bool may_execute(const std::string& directory) {
#if defined(__linux__)
  struct statvfs facts = {};
  return statvfs(directory.c_str(), &facts) == 0 && (facts.f_flag & ST_NOEXEC) == 0;
#else
  struct statfs facts = {};
  return statfs(directory.c_str(), &facts) == 0 && (facts.f_flags & MNT_NOEXEC) == 0;
#endif
}

bool image_mapped(const std::string& path) {
#if defined(__linux__)
  const auto look = [](dl_phdr_info* image, size_t, void* wanted) -> int {
    return image->dlpi_name != nullptr && *static_cast<const std::string*>(wanted) == image->dlpi_name ? 1 : 0;
  };
  return dl_iterate_phdr(look, const_cast<std::string*>(&path)) != 0;
#else
  for (uint32_t index = 0; index < _dyld_image_count(); index++) {
    const char* const name = _dyld_get_image_name(index);
    if (name != nullptr && path == name) return true;
  }
  return false;
#endif
}

Exchange exchange_names(const std::string& one, const std::string& other, std::string& problem) {
#if defined(__linux__)
  constexpr unsigned int exchange = 2;  // RENAME_EXCHANGE, which not every libc names
  const long result = syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), exchange);
#else
  const int result = renamex_np(one.c_str(), other.c_str(), RENAME_SWAP);
#endif
  if (result == 0) return Exchange::done;
  if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) return Exchange::unsupported;
  problem = std::strerror(errno);
  return Exchange::failed;
}

bool FileLock::acquire(const std::string& path, int& holder, std::string& problem) {
  holder = 0;
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return problem = std::strerror(errno), false;
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    problem = std::strerror(errno);
    char text[32] = {};
    if (pread(descriptor, text, sizeof(text) - 1, 0) > 0) holder = std::atoi(text);
    close(descriptor);
    return false;
  }
  const std::string id = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    problem = std::strerror(errno);
    close(descriptor);
    return false;
  }
  descriptor_ = descriptor;
  return true;
}

void FileLock::release() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

}  // namespace tenon::core
