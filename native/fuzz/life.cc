#include "life.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "front.h"
#include "grammar.h"
#include "host_face.h"
#include "isolated/services.h"
#include "isolated_host.h"
#include "plugin.h"

namespace tenon::fuzz {

using isolated::IsolatedPlugin;
using isolated::Session;

namespace {

// A process that no system has: to be killed and waited for in vain.
constexpr pid_t kNobody = 0x3fffffff;

struct Surroundings {
  // What is reported goes nowhere: a log that fills looks like a leak.
  std::shared_ptr<core::Front> shared_front = std::make_shared<core::Front>("fuzz", TENON_LOG_FATAL);
  core::Front& front = *shared_front;
  core::Plugin& plugin = front.plugin("app");
  core::Plugin& extension = front.plugin("ext");
  // Of the plugin itself; what its runner asks for is answered by the script.
  core::HostFace face{extension, 1, {}};
  std::shared_ptr<const core::Route> route =
      std::make_shared<const core::Route>(*core::gate_route(TENON_HTTP_GET, "/app/:name", 1000));
  std::shared_ptr<const core::Chain> chain =
      std::make_shared<const core::Chain>(core::Chain{1, false, {{&extension, true}, {&extension, false}}});
  void* memory = mmap(nullptr, wire::kSharedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int control[2] = {-1, -1};

  Surroundings() { require(memory != MAP_FAILED && wire::open_control_sockets(control)); }
};

Surroundings& surroundings() {
  static Surroundings only;
  return only;
}

// Descriptors that come with a packet are closed by the system.
void drain(int socket) {
  char byte;
  while (recv(socket, &byte, sizeof byte, MSG_DONTWAIT) >= 0) {
  }
}

}  // namespace

void* shared_memory() { return surroundings().memory; }

void empty(wire::LaneMemory& memory) {
  for (wire::RingMemory* const ring : {&memory.to_runner, &memory.to_host}) {
    for (std::atomic<uint32_t>* const word :
         {&ring->written, &ring->writer_sleeps, &ring->read, &ring->reader_sleeps}) {
      word->store(0);
    }
  }
}

Request::Request() : call(surroundings().front, 1) {
  Surroundings& around = surroundings();
  call.plugin = &around.plugin;
  call.route = around.route.get();
  call.gate_route = around.route;
  call.path_pattern = "/app/:name";
  call.pass = std::make_unique<core::ChainPass>(around.chain);
  call.request.url().assign("/app/x?a=b");
  call.request.header_block().assign("a\nb\n");
  call.request.borrow_body("body");
  call.request.lend();
  // Its front is not told of it.
  call.events = core::kFinished;
}

bool Request::begin(core::Generation& generation) {
  call.pass.reset();
  call.gate_route.reset();
  call.holds = 1;
  call.lease = generation.lease();
  return generation.pool().enter(call, 64);
}

std::unique_ptr<core::Generation> generation_of(const Life& life) {
  Surroundings& around = surroundings();
  core::GenerationSettings settings = {1, "/app", "/app", {1000, 1000, 0}};
  around.plugin.open(64);
  return std::make_unique<core::Generation>(around.shared_front, around.plugin, life.own, std::move(settings));
}

wire::LaneMemory& Life::express() {
  return *reinterpret_cast<wire::LaneMemory*>(static_cast<char*>(shared_memory()) + wire::kExpressAt);
}

Life::Life(Script& script) {
  Surroundings& around = surroundings();
  isolated::Launch launch;
  launch.settings.id = "ext";
  session = std::make_shared<Session>(Session::Key(), scripted_host(), launch);
  session->own_.pid = kNobody;
  session->own_.memory = around.memory;
  session->own_.control = around.control[0];
  session->express_ =
      std::make_unique<isolated::ExpressLane>(*session, *static_cast<wire::SharedHead*>(around.memory), express());
  require(session->ended_bell_.open());
  session->ended_bell_.ring();
  require(session->open_lane(0));
  session->frames.at(session->frames.add(&deferred.call))->deferred = true;
  session->frames.add(&request.call);
  isolated::IsolationSettings plan;
  plan.processes = 1 + script.byte() % 2;
  own = std::make_shared<IsolatedPlugin>(plan);
  own->settings_.launch.settings.id = "ext";
  own->host_ = &around.face.host();
  own->take_shape(~wire::kLateShape, 4, 1);
  own->take_late_shape(wire::kLateShape, 0);
  own->stage_ = IsolatedPlugin::Stage::Ready;
  for (auto& place : own->places_) place.session = session;
}

Life::~Life() {
  own.reset();
  isolated::HostThread::run_begun();
  // As its keeper does once it is gone.
  if (!session->ended()) session->finish(isolated::ProcessEnd{});
  require(session->settle());
  require(session->holdings.size() == 0);
  for (uint32_t lane = 0; lane < wire::kLanes; lane++) {
    if (session->seats_[lane] != nullptr) empty(session->lane_memory(lane));
  }
  empty(express());
  session->reaped_ = true;
  session->own_.memory = nullptr;
  session->own_.control = -1;
  for (const int socket : surroundings().control) drain(socket);
  require(session.use_count() == 1);
}

// What the runner says on a lane: mostly answers and questions in their order, and sometimes anything.
void say(Script& script, wire::RingMemory& memory, const std::vector<uint16_t>& expected) {
  wire::RingWriter out(memory);
  uint32_t returned = 0;
  uint32_t asked = 0;
  // Not all that there is: others say something, too.
  for (int left = 1 + script.byte() % 32; left > 0 && !script.done(); left--) {
    const uint8_t what = script.byte();
    wire::Lane::Head head = {};
    if (what % 4 < 2) {
      head.code = expected[returned % expected.size()];
      head.sequence = returned++;
      head.kind = wire::Lane::Kind::Return;
    } else {
      head.code = question(script);
      head.sequence = asked++;
      head.kind = what % 4 == 2 ? wire::Lane::Kind::Call : wire::Lane::Kind::Post;
    }
    const std::string bytes = fuzz::payload(script, head.code);
    head.size = bytes.size();
    if (what >= 250) head.size = script.number<uint64_t>();
    if (what == 249) head.sequence = script.number<uint32_t>();
    if (what == 248) head.kind = static_cast<wire::Lane::Kind>(script.byte());
    out.write(reinterpret_cast<const char*>(&head), sizeof head);
    out.write(bytes.data(), bytes.size());
  }
  out.publish();
}

int Life::other() const { return surroundings().control[1]; }

}  // namespace tenon::fuzz
