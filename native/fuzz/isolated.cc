// Fuzzes the host's side of what a runner says to it: rings, lanes, what is asked of each service, what each step and
// life cycle is answered with, packets of the control socket, what is printed. The runner is the script of the fuzzer.
// `cmake` with TENON_SANITIZE=address,undefined and clang has the target tenon-isolated-fuzz, which is built without
// access control, so that a session needs no process:
//   ./tenon-isolated-fuzz -max_len=4096 -entropic=0
// Entropy would cost more than the executions that it chooses. An execution begins no thread, and what it needs of the
// system is that of the one before; so long as that is so, thousands of them fit into a second.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grammar.h"
#include "isolated/plugin_functions.h"
#include "isolated/services.h"
#include "isolated_host.h"
#include "life.h"
#include "offers.h"

namespace {

using namespace tenon;
using fuzz::empty;
using fuzz::Life;
using fuzz::require;
using fuzz::say;
using fuzz::Script;
using fuzz::shared_memory;
using isolated::HostThread;
using isolated::IsolatedPlugin;
using isolated::PluginFunctions;
using wire::Lane;

// --- what is fuzzed

void ask_services(Script& script) {
  Life life(script);
  const uint8_t with = script.byte();
  // What the tasks and requests that it asks for are answered with.
  if ((with & 1) != 0) say(script, life.said(1), {wire::kDownRunTask, wire::kDownEndTask});
  if ((with & 2) != 0) say(script, life.said(2), {wire::kDownFetched, wire::kDownEndTask});
  // Which is not looked at.
  Lane& lane = *static_cast<Lane*>(shared_memory());
  std::string answer;
  // Few questions about tables mean anything before one is open.
  if ((with & 4) == 0) life.session->serve(lane, wire::kUpTablesOpen, wire::Writer().text("T").bytes(), answer);
  for (int count = 0; count < 24 && !script.done(); count++) {
    const uint16_t code = fuzz::question(script);
    const std::string payload = fuzz::payload(script, code);
    // Of the exact size: a read beyond it is seen.
    const auto exact = std::make_unique<char[]>(payload.size());
    payload.copy(exact.get(), payload.size());
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
  const uint8_t with = script.byte();
  if (step != 0) life.request.be_in_step((with & 1) != 0);
  if ((with & 0xf0) == 0xf0) {
    // None takes the place of the one that has ended.
    life.session->finish({});
    life.own->stage_ = IsolatedPlugin::Stage::Ended;
  }
  say(script, life.said(1), {codes[step]});
  // Of the tasks that it asks for meanwhile.
  say(script, life.said(2), {wire::kDownRunTask, wire::kDownEndTask, wire::kDownFetched});
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
  switch (script.byte() % 6) {
    case 0:
      own.shape_ = 0;
      own.is_quiet_ = (script.byte() & 1) != 0;
      own.keep_state(1, "state");
      say(script, life.said(0),
          {wire::kDownOpen, wire::kDownCreate, wire::kDownInitialize, wire::kDownDeclare, wire::kDownLoad,
           wire::kDownReady, wire::kDownQuiesce});
      own.bring_up(*life.session, problem);
      break;
    case 1:
      own.shape_ = 0;
      say(script, life.said(0), {wire::kDownOpen, wire::kDownCreate, wire::kDownInitialize, wire::kDownDeclare});
      if (own.open_and_create(*life.session, problem) != TENON_OK) break;
      if (plugin->initialize != nullptr && plugin->initialize(plugin) != TENON_OK) break;
      read_declared(plugin);
      break;
    case 2:
      say(script, life.said(0), {wire::kDownDeclare, wire::kDownDeclare});
      read_declared(plugin);
      break;
    case 3: {
      const tenon_state_writer_t writer = {sizeof writer, nullptr, write_state, fail_state};
      say(script, life.said(0), {wire::kDownSave});
      PluginFunctions::save(plugin, &writer);
      break;
    }
    case 4: {
      const std::array<tenon_log_field_t, 1> fields = {{{{"a", 1}, {"b", 1}}}};
      tenon_event_t event = {};
      event.size = sizeof event;
      event.topic = event.source = event.message = {"app.topic", 9};
      event.fields = fields.data();
      event.field_count = fields.size();
      const std::array<tenon_event_t, 2> events = {event, event};
      say(script, life.said(1), {wire::kDownEvents});
      PluginFunctions::on_event(plugin, events.data(), events.size(), 1);
      break;
    }
    default: {
      const tenon_state_reader_t reader = {sizeof reader, false, 1, {"state", 5}, nullptr, fail_load};
      say(script, life.said(0),
          {wire::kDownReady, wire::kDownLoad, wire::kDownHealth, wire::kDownQuiesce, wire::kDownResume,
           wire::kDownConfigure, wire::kDownShutdown, wire::kDownDestroy});
      const tenon_context_t context = {sizeof context, {"app", 3}, {"/app", 4}, 1};
      PluginFunctions::ready(plugin, &context);
      PluginFunctions::load(plugin, &reader);
      PluginFunctions::health(plugin);
      PluginFunctions::quiesce(plugin);
      PluginFunctions::resume(plugin);
      PluginFunctions::changed(plugin, {"app", 3}, {"{}", 2});
      PluginFunctions::shutdown(plugin);
      PluginFunctions::destroy(plugin);
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
    if ((what & 64) != 0) {
      const auto kind = static_cast<Lane::Kind>(1 + script_.byte() % 3);
      const Lane::Head head = {script_.byte() % 4u, wire::kDownHandle, kind, 0, script_.number<uint16_t>()};
      put({reinterpret_cast<const char*>(&head), sizeof head}, ring);
    }
    put(script_.bytes(script_.byte()), ring);
    // More than what is small may be.
    if ((what & 32) != 0) place_ += 2000;
    ring.written.store((what & 16) == 0 ? place_ : script_.number<uint32_t>());
  }

 private:
  void put(std::string_view bytes, wire::RingMemory& ring) {
    for (const char byte : bytes) ring.bytes[place_++ % wire::RingMemory::kBytes] = byte;
  }

  Script& script_;
  wire::LaneMemory& memory_;
  const wire::Doorbell& bell_;
  uint32_t place_ = 0;
};

// Answers with what it was asked, and asks in turn.
class Echo final : public Lane::Server {
 public:
  Echo(wire::Patience& patience, uint64_t limit) : patience_(patience), limit_(limit) {}
  bool serve(Lane& lane, uint16_t code, std::string_view payload, std::string& answer) override {
    require(payload.size() <= limit_);
    answer.assign(payload);
    std::string inner;
    if (code % 4 == 0) lane.call(code, {payload}, inner, *this, patience_);
    require(inner.size() <= limit_);
    return code % 8 != 7;
  }

 private:
  wire::Patience& patience_;
  const uint64_t limit_;
};

void meddle_with_lane(Script& script) {
  // Not the shared memory: what is beyond both rings is seen.
  static const auto own_memory = std::make_unique<wire::LaneMemory>();
  wire::LaneMemory& memory = *own_memory;
  empty(memory);
  memory.to_host.bytes.fill(0);
  wire::Doorbell own;
  wire::Doorbell other;
  require(own.open() && other.open());
  Meddler meddler(script, memory, own);
  meddler.meddle();
  const uint64_t limit = (script.byte() & 1) == 0 ? 1024 : wire::kFromRunnerBytes;
  Lane lane(memory, Lane::Side::Host, own, other, -1, limit);
  Echo echo(meddler, limit);
  std::string answer;
  // Two of the large ones are more than the ring holds.
  const std::string large((script.byte() & 1) == 0 ? 1000 : 40'000, 'x');
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
    HostThread::run_begun();
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
  char* const memory = static_cast<char*>(shared_memory()) + wire::kCrashNoteAt;
  auto& note = *reinterpret_cast<wire::CrashNote*>(memory);
  std::memset(memory, 0, wire::kCrashNoteBytes);
  isolated::ProcessEnd end;
  end.signal = script.byte() % 65;
  note.signal = (script.byte() & 1) == 0 ? end.signal : script.number<int32_t>();
  note.stage.store(script.byte() % 4);
  note.frames_count = script.byte() < 240 ? script.byte() : script.number<uint32_t>();
  note.files_count = script.byte() < 240 ? script.byte() : script.number<uint32_t>();
  note.pc = script.byte();
  for (uint64_t& frame : note.frames) frame = script.byte();
  // Few addresses, so that some are in some file.
  for (int count = script.byte() % 4; count > 0; count--) {
    wire::MappedFile& file = note.files[script.byte() % note.files.size()];
    file.low = script.byte();
    file.high = script.byte();
    const std::string_view name = script.bytes(script.byte());
    name.copy(file.name, sizeof file.name);
  }
  if ((script.byte() & 1) != 0) {
    const std::string_view bytes = script.bytes(wire::kCrashNoteBytes);
    bytes.copy(memory, wire::kCrashNoteBytes);
  }
  life.session->finish(std::move(end));
  const isolated::ProcessEnd told = life.session->end();
  for (const isolated::CodePlace& place : told.fault ? told.fault->frames : std::vector<isolated::CodePlace>()) {
    require(place.file.size() < sizeof wire::MappedFile::name);
  }
  std::memset(memory, 0, wire::kCrashNoteBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr std::array<void (*)(Script&), 11> all = {
      ask_services,     ask_services, answer_steps, answer_steps, answer_life,         fuzz::answer_express,
      meddle_with_lane, send_packets, print,        leave_note,   fuzz::answer_express};
  if (size < 2) return 0;
  // What the host is made to answer is the end of it.
  const size_t of_host = std::min<size_t>(data[1], (size - 2) / 2);
  Script host(data + size - of_host, of_host);
  Script script(data + 2, size - 2 - of_host);
  fuzz::set_script(&host);
  all[data[0] % all.size()](script);
  fuzz::set_script(nullptr);
  require(fuzz::left_open() == 0);
  return 0;
}
