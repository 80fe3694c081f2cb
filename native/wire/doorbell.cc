#include "doorbell.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

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
  int ends[2];
#if defined(__linux__)
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
#else
  if (pipe(ends) != 0) return false;
  for (const int end : ends) {
    fcntl(end, F_SETFD, FD_CLOEXEC);
    fcntl(end, F_SETFL, O_NONBLOCK);
  }
#endif
  ends_ = {ends[0], ends[1]};
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

void Doorbell::close_ringing() {
  if (ends_[1] >= 0) ::close(ends_[1]);
  ends_[1] = -1;
}

// Full means rung already, and an end that is gone has nobody to wake.
void Doorbell::ring(uint32_t times) const {
  const std::array<char, kMostTimes> ones = {};
  while (write(ends_[1], ones.data(), std::min(times, kMostTimes)) < 0 && errno == EINTR) {
  }
}

bool Doorbell::hush() const {
  // Once: whoever rings all the while is not listened to all the while.
  char rung[1024];
  ssize_t got;
  do {
    got = read(ends_[0], rung, sizeof rung);
  } while (got < 0 && errno == EINTR);
  return got != 0;
}

}  // namespace tenon::wire
