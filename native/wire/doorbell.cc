#include "doorbell.h"

#include <fcntl.h>
#include <unistd.h>

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

// Full means rung already, and an end that is gone has nobody to wake.
void Doorbell::ring() const {
  const char one = 1;
  while (write(ends_[1], &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Doorbell::hush() const {
  // Once: whoever rings all the while is not listened to all the while.
  char rung[1024];
  while (read(ends_[0], rung, sizeof rung) < 0 && errno == EINTR) {
  }
}

}  // namespace tenon::wire
