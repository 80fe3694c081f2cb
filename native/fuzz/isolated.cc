// Fuzzes the host's side of what a runner says to it: rings, lanes, what is asked of each service, what each step and
// life cycle is answered with, packets of the control socket, what is printed. The runner is the script of the fuzzer.
// `cmake` with TENON_SANITIZE=address,undefined and clang has the target tenon-isolated-fuzz, which is built without
// access control, so that a session needs no process:
//   ./tenon-isolated-fuzz -max_len=4096
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "call.h"
#include "front.h"
#include "host_face.h"
#include "isolated/plugin_functions.h"
#include "isolated/services.h"
#include "isolated_host.h"
#include "offers.h"
#include "plugin.h"
#include "script.h"

namespace {

using namespace tenon;
using fuzz::Script;
using isolated::IsolatedPlugin;
using isolated::PluginFunctions;
using isolated::Session;
using wire::Lane;

// A process that no system has: to be killed and waited for in vain.
constexpr pid_t kNobody = 0x3fffffff;

void require(bool good) {
  if (!good) std::abort();
}

struct Surroundings {
  core::Front front{"fuzz", TENON_LOG_ERROR};
  core::Plugin& plugin = front.plugin("app");
  core::Plugin& extension = front.plugin("ext");
  // Of the plugin itself; what its runner asks for is answered by the script.
  core::HostFace face{extension, 1, {}};
  std::shared_ptr<const core::Route> route =
      std::make_shared<const core::Route>(*core::gate_route(TENON_HTTP_GET, "/app/:name", 1000));
  std::shared_ptr<const core::Chain> chain =
      std::make_shared<const core::Chain>(core::Chain{1, false, {{&extension, true}, {&extension, false}}});
  void* memory = mmap(nullptr, wire::kSharedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
};

Surroundings& surroundings() {
  static Surroundings only;
  return only;
}

void empty(wire::LaneMemory& memory) {
  for (wire::RingMemory* const ring : {&memory.to_runner, &memory.to_host}) {
    for (std::atomic<uint32_t>* const word :
         {&ring->written, &ring->writer_sleeps, &ring->read, &ring->reader_sleeps}) {
      word->store(0);
    }
  }
}

// A request within a step, or within a handler.
class Request {
 public:
  Request() : call(surroundings().front, 1) {
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
  void be_in_step(bool required) { call.pass->inside = &call.pass->chain->links[required ? 0 : 1]; }
  core::Call call;
};

// A session without a process, on memory of the fuzzer's. Its lanes see the other side's end once they have read all.
class Life {
 public:
  explicit Life(Script& script) {
    Surroundings& around = surroundings();
    isolated::Launch launch;
    launch.settings.id = "ext";
    session = std::make_shared<Session>(Session::Key(), fuzz::scripted_host(), launch);
    session->own_.pid = kNobody;
    session->own_.memory = around.memory;
    int sockets[2] = {-1, -1};
    require(session->ended_bell_.open() && wire::open_control_sockets(sockets));
    session->ended_bell_.ring();
    session->own_.control = sockets[0];
    other_ = sockets[1];
    for (const uint32_t lane : {0u, 1u, 2u, wire::kFirstUpLane}) empty(session->lane_memory(lane));
    require(session->open_lane(0));
    session->frames.at(session->frames.add(&deferred.call))->deferred = true;
    session->frames.add(&request.call);
    isolated::IsolationSettings plan;
    plan.processes = 1 + script.byte() % 2;
    own = std::make_unique<IsolatedPlugin>(plan);
    own->settings_.launch.settings.id = "ext";
    own->host_ = &around.face.host();
    own->take_shape(~wire::kLateShape, 4, 1);
    own->take_late_shape(wire::kLateShape, 0);
    own->stage_ = IsolatedPlugin::Stage::Ready;
    for (auto& place : own->places_) place.session = session;
  }
  ~Life() {
    own.reset();
    // As its keeper does once it is gone.
    if (!session->ended()) session->finish(isolated::ProcessEnd{});
    while (!session->settle()) std::this_thread::yield();
    require(session->holdings.size() == 0);
    session->reaped_ = true;
    session->own_.memory = nullptr;
    close(other_);
  }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  wire::RingMemory& said(uint32_t lane) { return session->lane_memory(lane).to_host; }
  int other() const { return other_; }

  Request request;
  Request deferred;
  std::shared_ptr<Session> session;
  std::unique_ptr<IsolatedPlugin> own;

 private:
  int other_ = -1;
};

// What the runner says on a lane: mostly answers and questions in their order, and sometimes anything.
void say(Script& script, wire::RingMemory& memory, const std::vector<uint16_t>& expected) {
  wire::RingWriter out(memory);
  uint32_t returned = 0;
  uint32_t asked = 0;
  for (int count = 0; count < 32 && !script.done(); count++) {
    const uint8_t what = script.byte();
    Lane::Head head = {};
    if (what % 4 < 2) {
      head.code = expected[returned % expected.size()];
      head.sequence = returned++;
      head.kind = Lane::Kind::Return;
    } else {
      head.code = static_cast<uint16_t>(wire::kUpLog + script.byte() % 150);
      head.sequence = asked++;
      head.kind = what % 4 == 2 ? Lane::Kind::Call : Lane::Kind::Post;
    }
    const std::string payload = what < 192 ? script.message() : std::string(script.bytes(script.byte()));
    head.size = payload.size();
    if (what >= 250) head.size = script.number<uint64_t>();
    if (what == 249) head.sequence = script.number<uint32_t>();
    if (what == 248) head.kind = static_cast<Lane::Kind>(script.byte());
    out.write(reinterpret_cast<const char*>(&head), sizeof head);
    out.write(payload.data(), payload.size());
  }
  out.publish();
}

// --- what is fuzzed

void ask_services(Script& script) {
  Life life(script);
  // Which is not looked at.
  Lane& lane = *static_cast<Lane*>(surroundings().memory);
  for (int count = 0; count < 16 && !script.done(); count++) {
    const uint8_t what = script.byte();
    const auto code =
        what < 240 ? static_cast<uint16_t>(wire::kUpLog + script.byte() % 150) : script.number<uint16_t>();
    const std::string payload = what < 200 ? script.message() : std::string(script.bytes(script.number<uint16_t>()));
    // Of the exact size: a read beyond it is seen.
    const auto exact = std::make_unique<char[]>(payload.size());
    payload.copy(exact.get(), payload.size());
    std::string answer;
    if (!life.session->serve(lane, code, {exact.get(), payload.size()}, answer)) break;
  }
}

tenon_status accept(const tenon_auth_answer_t*, const tenon_identity_t* identity, uint32_t) {
  return core::Identity::copy(identity, "Key", "ext") ? TENON_OK : TENON_ERROR_ARGUMENT;
}
tenon_status add_role(const tenon_auth_answer_t*, tenon_bytes_t role) {
  return core::is_role(core::view(role)) ? TENON_OK : TENON_ERROR_ARGUMENT;
}
void refuse(const tenon_auth_answer_t*, tenon_bytes_t message, uint32_t) { std::string(core::view(message)); }
tenon_status write_output(const tenon_hook_output_t* output, tenon_bytes_t bytes) {
  return static_cast<std::string*>(output->data)->assign(core::view(bytes)), TENON_OK;
}
void fail_output(const tenon_hook_output_t* output, tenon_bytes_t message) { write_output(output, message); }

void answer_steps(Script& script) {
  Life life(script);
  const uint8_t step = script.byte() % 7;
  static constexpr std::array<uint16_t, 7> codes = {
      wire::kDownHandle, wire::kDownAuthenticate, wire::kDownAuthorize, wire::kDownResolveRoles,
      wire::kDownBefore, wire::kDownAfter,        wire::kDownHook};
  core::Call& call = life.request.call;
  if (step != 0) life.request.be_in_step((script.byte() & 1) != 0);
  // What the fake host is asked meanwhile takes from the end of it.
  say(script, life.said(1), {codes[step]});
  tenon_plugin_t* const plugin = &life.own->plugin_;
  const tenon_auth_answer_t answer = {sizeof answer, nullptr, accept, add_role, refuse};
  const std::array<tenon_bytes_t, 1> roles = {{{"one", 3}}};
  const tenon_identity_t who = {sizeof who, 1, {"ada", 3}, {}, {"Key", 3}, {"ext", 3}, roles.data(), {}};
  std::string given;
  const tenon_hook_output_t output = {sizeof output, &given, write_output, fail_output};
  bool answered = false;
  switch (step) {
    case 0:
      PluginFunctions::handle(plugin, 0, &call, &call);
      break;
    case 1:
      PluginFunctions::authenticate(plugin, 0, &call, {"ada", 3}, &answer);
      break;
    case 2:
      PluginFunctions::authorize(plugin, &call, &who, &answer);
      break;
    case 3:
      PluginFunctions::resolve_roles(plugin, &call, &who, &answer);
      break;
    case 4:
      PluginFunctions::before(plugin, &call, &call, &answered);
      break;
    case 5:
      PluginFunctions::after(plugin, &call, &call);
      break;
    default:
      PluginFunctions::call(plugin, 0, {"input", 5}, &output);
      break;
  }
  // A response is as checked as that of any plugin.
  require(call.response.status() >= 200 && call.response.status() <= 599);
}

tenon_status write_state(const tenon_state_writer_t*, tenon_bytes_t bytes) {
  return std::string(core::view(bytes)).size() <= TENON_STATE_LIMIT ? TENON_OK : TENON_ERROR_TOO_LARGE;
}
void fail_state(const tenon_state_writer_t*, tenon_bytes_t message) { std::string(core::view(message)); }
void fail_load(const tenon_state_reader_t*, tenon_bytes_t message) { std::string(core::view(message)); }

void read_declared(tenon_plugin_t* plugin) {
  core::RouteDefaults defaults = {1000, 1000, 4};
  std::string problem;
  core::check_offers(plugin, problem);
  const auto* const http =
      static_cast<const tenon_plugin_http_t*>(PluginFunctions::get_extension(plugin, TENON_HTTP_ID));
  if (http != nullptr && http->route_count != nullptr && http->route != nullptr) {
    core::check_routes(plugin, *http, defaults, problem);
  }
}

void answer_life(Script& script) {
  Life life(script);
  IsolatedPlugin& own = *life.own;
  tenon_plugin_t* const plugin = &own.plugin_;
  std::string problem;
  switch (script.byte() % 4) {
    case 0:
      own.shape_ = 0;
      say(script, life.said(0), {wire::kDownOpen, wire::kDownCreate, wire::kDownInitialize, wire::kDownDeclare});
      if (own.open_and_create(*life.session, problem) != TENON_OK) break;
      if (plugin->initialize != nullptr && plugin->initialize(plugin) != TENON_OK) break;
      read_declared(plugin);
      break;
    case 1:
      say(script, life.said(0), {wire::kDownDeclare});
      read_declared(plugin);
      break;
    case 2: {
      const tenon_state_writer_t writer = {sizeof writer, nullptr, write_state, fail_state};
      say(script, life.said(0), {wire::kDownSave});
      PluginFunctions::save(plugin, &writer);
      break;
    }
    default: {
      const tenon_state_reader_t reader = {sizeof reader, false, 1, {"state", 5}, nullptr, fail_load};
      say(script, life.said(0),
          {wire::kDownLoad, wire::kDownHealth, wire::kDownQuiesce, wire::kDownConfigure, wire::kDownShutdown});
      PluginFunctions::load(plugin, &reader);
      PluginFunctions::health(plugin);
      PluginFunctions::quiesce(plugin);
      PluginFunctions::changed(plugin, {"app", 3}, {"{}", 2});
      PluginFunctions::shutdown(plugin);
      break;
    }
  }
}

// Writes whatever it likes into both rings, each time this side is about to sleep.
class Meddler final : public wire::Patience {
 public:
  Meddler(Script& script, wire::LaneMemory& memory, const wire::Doorbell& bell)
      : script_(script), memory_(memory), bell_(bell) {}
  int wait_ms() override {
    if (script_.done()) return 0;
    meddle();
    bell_.ring();
    return 1;
  }
  void meddle() {
    const uint8_t what = script_.byte();
    wire::RingMemory& ring = (what & 1) == 0 ? memory_.to_host : memory_.to_runner;
    if ((what & 2) != 0) ring.read.store(script_.number<uint32_t>());
    if ((what & 4) != 0) ring.writer_sleeps.store(script_.byte());
    if ((what & 8) != 0) ring.reader_sleeps.store(script_.byte());
    const std::string_view bytes = script_.bytes(script_.byte());
    for (const char byte : bytes) ring.bytes[place_++ % wire::RingMemory::kBytes] = byte;
    ring.written.store((what & 16) == 0 ? place_ : script_.number<uint32_t>());
  }

 private:
  Script& script_;
  wire::LaneMemory& memory_;
  const wire::Doorbell& bell_;
  uint32_t place_ = 0;
};

// Answers with what it was asked, and asks in turn.
class Echo final : public Lane::Server {
 public:
  explicit Echo(wire::Patience& patience) : patience_(patience) {}
  bool serve(Lane& lane, uint16_t code, std::string_view payload, std::string& answer) override {
    require(payload.size() <= wire::kFromRunnerBytes);
    answer.assign(payload);
    std::string inner;
    if (code % 4 == 0) lane.call(code, {payload}, inner, *this, patience_);
    return code % 8 != 7;
  }

 private:
  wire::Patience& patience_;
};

void meddle_with_lane(Script& script) {
  wire::LaneMemory& memory = *static_cast<wire::LaneMemory*>(surroundings().memory);
  empty(memory);
  wire::Doorbell own;
  wire::Doorbell other;
  require(own.open() && other.open());
  Meddler meddler(script, memory, own);
  meddler.meddle();
  Lane lane(memory, Lane::Side::Host, own, other, -1, (script.byte() & 1) == 0 ? 1024 : wire::kFromRunnerBytes);
  Echo echo(meddler);
  std::string answer;
  const std::string large(1000, 'x');
  for (int count = 0; count < 8 && lane.state() == wire::Outcome::Done && !script.done(); count++) {
    switch (script.byte() % 3) {
      case 0:
        lane.call(wire::kDownHandle, {large, "more"}, answer, echo, meddler);
        break;
      case 1:
        lane.post(wire::kDownHandle, {large}, meddler);
        break;
      default:
        lane.serve(echo, meddler);
        break;
    }
  }
}

void send_packets(Script& script) {
  Life life(script);
  say(script, life.said(wire::kFirstUpLane), {wire::kDownHandle});
  for (int count = 0; count < 4 && !script.done(); count++) {
    const uint8_t what = script.byte();
    wire::PacketHead head = {static_cast<wire::Packet>(what % 8), wire::kFirstUpLane};
    if ((what & 8) != 0) head.lane = script.number<uint32_t>();
    const std::string_view bytes = script.bytes(script.byte());
    wire::Passengers passengers;
    if ((what & 16) != 0) passengers = {life.other(), life.other()};
    if ((what & 32) == 0) {
      wire::send_packet(life.other(), head, bytes, passengers);
    } else {
      if (send(life.other(), bytes.data(), bytes.size(), MSG_DONTWAIT) < 0) break;
    }
    life.session->look_at_control();
  }
}

void print(Script& script) {
  Life life(script);
  int ends[2] = {-1, -1};
  require(pipe(ends) == 0);
  const std::string_view bytes = script.bytes(16 * 1024);
  require(write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  close(ends[1]);
  const int which = bytes.empty() ? 0 : bytes.front() & 1;
  life.session->own_.output[static_cast<size_t>(which)] = ends[0];
  life.session->look_at_output(which);
}

// What it wrote of its own fault.
void leave_note(Script& script) {
  Life life(script);
  char* const note = static_cast<char*>(life.session->own_.memory) + wire::kCrashNoteAt;
  std::memset(note, 0, wire::kCrashNoteBytes);
  isolated::ProcessEnd end;
  end.signal = script.byte() % 65;
  const std::string_view bytes = script.bytes(wire::kCrashNoteBytes);
  std::memcpy(note, bytes.data(), std::min(bytes.size(), wire::kCrashNoteBytes));
  life.session->finish(std::move(end));
  const isolated::ProcessEnd told = life.session->end();
  for (const isolated::CodePlace& place : told.fault ? told.fault->frames : std::vector<isolated::CodePlace>()) {
    require(place.file.size() < sizeof wire::MappedFile::name);
  }
  std::memset(note, 0, wire::kCrashNoteBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr std::array<void (*)(Script&), 9> all = {ask_services, ask_services, answer_steps,
                                                           answer_steps, answer_life,  meddle_with_lane,
                                                           send_packets, print,        leave_note};
  Script script(data, size);
  fuzz::set_script(&script);
  all[script.byte() % all.size()](script);
  fuzz::set_script(nullptr);
  require(fuzz::left_open() == 0);
  return 0;
}
