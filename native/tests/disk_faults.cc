#include "disk_faults.h"

#if defined(__linux__)

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace {

std::atomic<int> writes_fail{0};
std::atomic<int> syncs_fail{0};
std::atomic<int> spared{0};
std::atomic<int> stuck{0};
std::atomic<int> little_room{0};
std::atomic<int> slow_reads{0};
std::atomic<int> struck{0};

constexpr off_t kLittleRoom = 17 << 20;

// Files of a database, and the one that is written to see whether there is room.
bool is_of_database(int descriptor) {
  char link[64] = "/proc/self/fd/";
  char digits[16];
  int count = 0;
  for (int rest = descriptor; rest > 0 || count == 0; rest /= 10) digits[count++] = static_cast<char>('0' + rest % 10);
  size_t at = std::strlen(link);
  while (count > 0) link[at++] = digits[--count];
  link[at] = '\0';
  char path[512];
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return false;
  path[size] = '\0';
  const auto ends = [&](const char* end) {
    const size_t length = std::strlen(end);
    return static_cast<size_t>(size) >= length && std::strcmp(path + size - length, end) == 0;
  };
  return ends(".log") || ends(".sst") || ends("tenon-probe") || std::strstr(path, "/MANIFEST-") != nullptr;
}

bool strikes_now(const std::atomic<int>& kind, int descriptor, int error) {
  if (kind.load(std::memory_order_relaxed) == 0 || !is_of_database(descriptor)) return false;
  if (spared.fetch_sub(1) > 0) return false;
  struck++;
  errno = error;
  return true;
}

// A disk that does not answer.
void wait_if_stuck(int descriptor) {
  if (stuck.load(std::memory_order_relaxed) == 0 || !is_of_database(descriptor)) return;
  struck++;
  while (stuck.load() != 0) usleep(1000);
}

void wait_if_slow(int descriptor) {
  if (slow_reads.load(std::memory_order_relaxed) == 0 || !is_of_database(descriptor)) return;
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  if (std::strcmp(name, "tenon:indexes") != 0) return;
  struck++;
  usleep(5000);
}

}  // namespace

extern "C" {

ssize_t pread(int descriptor, void* data, size_t size, off_t offset) {
  wait_if_slow(descriptor);
  return syscall(SYS_pread64, descriptor, data, size, offset);
}

ssize_t pread64(int descriptor, void* data, size_t size, off_t offset) { return pread(descriptor, data, size, offset); }

ssize_t write(int descriptor, const void* data, size_t size) {
  if (strikes_now(writes_fail, descriptor, ENOSPC)) return -1;
  wait_if_stuck(descriptor);
  return syscall(SYS_write, descriptor, data, size);
}

ssize_t pwrite(int descriptor, const void* data, size_t size, off_t offset) {
  if (strikes_now(writes_fail, descriptor, ENOSPC)) return -1;
  return syscall(SYS_pwrite64, descriptor, data, size, offset);
}

ssize_t pwrite64(int descriptor, const void* data, size_t size, off_t offset) {
  return pwrite(descriptor, data, size, offset);
}

int posix_fallocate(int descriptor, off_t offset, off_t size) {
  if (strikes_now(writes_fail, descriptor, ENOSPC)) return ENOSPC;
  if (size > kLittleRoom && strikes_now(little_room, descriptor, ENOSPC)) return ENOSPC;
  return syscall(SYS_fallocate, descriptor, 0, offset, size) == 0 ? 0 : errno;
}

int posix_fallocate64(int descriptor, off_t offset, off_t size) { return posix_fallocate(descriptor, offset, size); }

int fdatasync(int descriptor) {
  if (strikes_now(syncs_fail, descriptor, EIO)) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, descriptor));
}

int fsync(int descriptor) {
  if (strikes_now(syncs_fail, descriptor, EIO)) return -1;
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

}  // extern "C"

namespace tenon::test {

DiskFault::DiskFault(Kind kind, int spares) {
  spared = spares;
  switch (kind) {
    case Kind::FullDisk:
      writes_fail = 1;
      break;
    case Kind::FailingSync:
      syncs_fail = 1;
      break;
    case Kind::StuckDisk:
      stuck = 1;
      break;
    case Kind::LittleRoom:
      little_room = 1;
      break;
    case Kind::SlowReads:
      slow_reads = 1;
      break;
  }
}

DiskFault::~DiskFault() {
  writes_fail = 0;
  syncs_fail = 0;
  stuck = 0;
  little_room = 0;
  slow_reads = 0;
}

int DiskFault::strikes() { return struck.load(); }

}  // namespace tenon::test

#endif
