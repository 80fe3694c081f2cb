#include "control_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace tenon::wire {

namespace {

#if defined(__linux__)
constexpr int kKind = SOCK_SEQPACKET | SOCK_CLOEXEC;
constexpr int kAtOnce = MSG_NOSIGNAL | MSG_DONTWAIT;
constexpr int kCloseOnExec = MSG_CMSG_CLOEXEC;
#else
constexpr int kKind = SOCK_DGRAM;
constexpr int kAtOnce = MSG_DONTWAIT;
constexpr int kCloseOnExec = 0;
#endif

constexpr size_t kMostDescriptors = 8;

}  // namespace

bool open_control_sockets(int (&ends)[2]) {
  if (socketpair(AF_UNIX, kKind, 0, ends) != 0) return false;
#if !defined(__linux__)
  for (const int end : ends) {
    fcntl(end, F_SETFD, FD_CLOEXEC);
    const int on = 1;
    setsockopt(end, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
  }
#endif
  return true;
}

bool send_packet(int socket, const PacketHead& head, std::string_view bytes, const Passengers& passengers) {
  iovec parts[2] = {{const_cast<PacketHead*>(&head), sizeof head}, {const_cast<char*>(bytes.data()), bytes.size()}};
  alignas(cmsghdr) char space[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = bytes.empty() ? 1 : 2;
  if (passengers.waiting >= 0) {
    const int descriptors[2] = {passengers.waiting, passengers.ringing};
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* const control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof descriptors);
    std::memcpy(CMSG_DATA(control), descriptors, sizeof descriptors);
  }
  for (;;) {
    const ssize_t sent = sendmsg(socket, &message, kAtOnce);
    if (sent >= 0) return true;
    if (errno != EINTR) return false;
  }
}

int receive_packet(int socket, PacketHead& head, std::string& bytes, Passengers& passengers) {
  bytes.resize(kPacketBytes);
  iovec parts[2] = {{&head, sizeof head}, {bytes.data(), bytes.size()}};
  // Room for more than is ever sent: what a hostile side sends on top is closed here and does not pile up.
  alignas(cmsghdr) char space[CMSG_SPACE(kMostDescriptors * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  ssize_t got;
  do {
    got = recvmsg(socket, &message, kCloseOnExec);
  } while (got < 0 && errno == EINTR);
  std::vector<int> descriptors;
  for (cmsghdr* control = got < 0 ? nullptr : CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; index++) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(control) + index * sizeof(int), sizeof descriptor);
      descriptors.push_back(descriptor);
    }
  }
  if (descriptors.size() == 2) {
    passengers = {descriptors[0], descriptors[1]};
  } else {
    for (const int descriptor : descriptors) close(descriptor);
  }
  if (got == 0 || (got < 0 && errno == ECONNRESET)) return 0;
  if (got < static_cast<ssize_t>(sizeof head) || (message.msg_flags & MSG_TRUNC) != 0) return -1;
  bytes.resize(static_cast<size_t>(got) - sizeof head);
  return 1;
}

}  // namespace tenon::wire
