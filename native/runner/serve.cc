#include "serve.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include <string>

#include "host.h"
#include "plugin_server.h"
#include "sandbox.h"
#include "wire/control_socket.h"

namespace tenon::runner {

namespace {

void close_others() {
#if defined(__linux__) && defined(SYS_close_range)
  if (syscall(SYS_close_range, static_cast<unsigned>(wire::kFirstFree), ~0u, 0u) == 0) return;
#endif
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const int end = limit.rlim_cur > 65536 ? 65536 : static_cast<int>(limit.rlim_cur);
  for (int descriptor = wire::kFirstFree; descriptor < end; descriptor++) close(descriptor);
}

int fail(const std::string& sentence) {
  wire::send_packet(wire::kControlSocket, {wire::Packet::Failed, 0}, sentence);
  return 1;
}

}  // namespace

int serve() {
  close_others();
  wire::PacketHead head = {};
  std::string bytes;
  wire::Passengers passengers;
  if (wire::receive_packet(wire::kControlSocket, head, bytes, passengers) != 1) return 2;
  wire::RunnerSettings settings;
  wire::Reader reader(bytes);
  if (head.packet != wire::Packet::Start || !settings.read(reader) || settings.protocol != wire::kProtocol) {
    return fail("is of another build than its host");
  }
  void* const memory = mmap(nullptr, wire::kSharedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, wire::kSharedMemory, 0);
  close(wire::kSharedMemory);
  if (memory == MAP_FAILED) return fail("could not map the memory that it shares with its host");
  std::string problem;
  if (!enter_sandbox(settings, problem)) return fail("could not be confined: " + problem);
  Host host(settings, wire::kControlSocket, memory);
  PluginServer server(host);
  host.set_server(server);
  for (;;) {
    passengers = {};
    const int got = wire::receive_packet(wire::kControlSocket, head, bytes, passengers);
    // Its host is gone. No destructor of the plugin runs: it may be in any state.
    if (got == 0) _exit(0);
    if (got > 0 && head.packet == wire::Packet::Lane && passengers.waiting >= 0) {
      host.open_lane(head.lane, passengers.waiting, passengers.ringing);
    }
  }
}

}  // namespace tenon::runner
