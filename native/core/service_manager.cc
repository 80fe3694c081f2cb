#include "service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace tenon::core {

Told notify_system(const std::string& socket, const std::string& text, std::string& problem) {
  sockaddr_un address = {};
  if (socket.size() < 2 || (socket[0] != '/' && socket[0] != '@') || socket.size() >= sizeof(address.sun_path)) {
    problem = "neither an absolute path nor a name after @, or too long";
    return Told::Failed;
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket.data(), socket.size());
  if (socket[0] == '@') address.sun_path[0] = '\0';
  // Such a name ends where the address does, a path at its zero.
  const size_t end = socket[0] == '@' ? 0 : 1;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size() + end);
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  if (descriptor < 0) return problem = std::strerror(errno), Told::Failed;
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  const ssize_t sent =
      sendto(descriptor, text.data(), text.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&address), length);
  const int failed = sent < 0 ? errno : 0;
  close(descriptor);
  if (failed == 0) return Told::Yes;
  if (failed == EAGAIN || failed == EWOULDBLOCK || failed == ENOBUFS) return Told::Busy;
  problem = std::strerror(failed);
  return Told::Failed;
}

int reap_strangers(const std::vector<pid_t>& own) {
  int count = 0;
  for (;;) {
    siginfo_t ended = {};
    // Looked at first: whoever has started one of `own` waits for it, too, and comes again when it was in the way.
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0) return count;
    if (ended.si_pid == 0 || std::find(own.begin(), own.end(), ended.si_pid) != own.end()) return count;
    if (waitpid(ended.si_pid, nullptr, WNOHANG) > 0) count++;
  }
}

}  // namespace tenon::core
