#include "serve.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include <cstdio>
#include <memory>
#include <string>

#include "crash_handler.h"
#include "express_lane.h"
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
  // What it prints is read by its host, and a pipe would have it wait for a full buffer, which ends with the process.
  setvbuf(stdout, nullptr, _IOLBF, 0);
  // No child holds it in its stead.
  fcntl(wire::kControlSocket, F_SETFD, FD_CLOEXEC);
#if defined(__linux__)
  // It may be stopped when its host ends, and is to see that.
  prctl(PR_SET_PDEATHSIG, SIGCONT);
#endif
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
  install_crash_handler(*reinterpret_cast<wire::CrashNote*>(static_cast<char*>(memory) + wire::kCrashNoteAt));
  std::string problem;
  wire::Confinement confinement;
  if (!enter_sandbox(settings, wire::kLibrary, confinement, problem)) return fail("could not be confined: " + problem);
  if (const std::string what = lacking(settings, confinement); !what.empty()) return fail("is not confined by " + what);
  wire::Writer confined;
  confinement.write(confined);
  wire::send_packet(wire::kControlSocket, {wire::Packet::Confined, 0}, confined.bytes());
  Host host(settings, wire::kControlSocket, memory);
  PluginServer server(host);
  host.set_server(server);
  std::unique_ptr<ExpressLane> express;
  for (;;) {
    passengers = {};
    const int got = wire::receive_packet(wire::kControlSocket, head, bytes, passengers);
    // Its host is gone, or the plugin has closed what is not its own. No destructor of the plugin runs: it may be in
    // any state. What it has begun ends with it.
    if (got <= 0) {
      if (getpgrp() == getpid()) kill(0, SIGKILL);
      _exit(0);
    }
    if (head.packet != wire::Packet::Lane || passengers.waiting < 0) continue;
    if (head.lane != wire::kExpressLane) {
      host.open_lane(head.lane, passengers.waiting, passengers.ringing);
    } else if (!express) {
      express = std::make_unique<ExpressLane>(host, server, passengers.waiting, passengers.ringing);
      server.set_express(*express);
      if (!express->start()) return fail("could not start a thread");
    }
  }
}

}  // namespace tenon::runner
