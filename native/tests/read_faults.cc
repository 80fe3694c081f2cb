#include "read_faults.h"

#include <atomic>
#include <cerrno>

#if defined(__linux__)
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

namespace {
std::atomic<bool> refused{false};
}  // namespace

#if defined(__linux__)
extern "C" ssize_t process_vm_readv(pid_t process, const iovec* local, unsigned long local_count, const iovec* remote,
                                    unsigned long remote_count, unsigned long flags) noexcept {
  if (refused) {
    errno = EPERM;
    return -1;
  }
  return syscall(SYS_process_vm_readv, process, local, local_count, remote, remote_count, flags);
}
#endif

namespace tenon::tests {

RefusedReads::RefusedReads() { refused = true; }
RefusedReads::~RefusedReads() { refused = false; }

}  // namespace tenon::tests
