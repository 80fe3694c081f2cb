#include "doorbell.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#if defined(__linux__)
#include <sys/eventfd.h>
#endif

namespace tenon::wire {

Doorbell::Doorbell(Doorbell&& other) noexcept : ends_(std::exchange(other.ends_, {-1, -1})) {}

Doorbell& Doorbell::operator=(Doorbell&& other) noexcept {
  if (this == &other) return *this;
  close();
  ends_ = std::exchange(other.ends_, {-1, -1});
  return *this;
}

bool Doorbell::open() {
  close();
#if defined(__linux__)
  const int end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (end < 0) return false;
  ends_ = {end, end};
#else
  int ends[2];
  if (pipe(ends) != 0) return false;
  for (const int end : ends) {
    fcntl(end, F_SETFD, FD_CLOEXEC);
    fcntl(end, F_SETFL, O_NONBLOCK);
  }
  ends_ = {ends[0], ends[1]};
#endif
  return true;
}

void Doorbell::adopt(int waiting, int ringing) {
  close();
  ends_ = {waiting, ringing};
}

void Doorbell::close() {
  if (ends_[1] >= 0 && ends_[1] != ends_[0]) ::close(ends_[1]);
  if (ends_[0] >= 0) ::close(ends_[0]);
  ends_ = {-1, -1};
}

// Full means rung already, and an end that is gone has nobody to wake.
void Doorbell::ring() const {
  const uint64_t one = 1;
  while (write(ends_[1], &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Doorbell::hush() const {
  uint64_t rung[8];
  for (;;) {
    const ssize_t got = read(ends_[0], rung, sizeof rung);
    if (got < 0 && errno == EINTR) continue;
    if (got < static_cast<ssize_t>(sizeof rung)) return;
  }
}

}  // namespace tenon::wire
