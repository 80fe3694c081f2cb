#include "process_end.h"

#include <signal.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "wire/protocol.h"

namespace tenon::isolated {

namespace {

struct Named {
  int number;
  const char* name;
};
constexpr std::array kNames = {
    Named{SIGHUP, "SIGHUP"},   Named{SIGINT, "SIGINT"},       Named{SIGQUIT, "SIGQUIT"}, Named{SIGILL, "SIGILL"},
    Named{SIGTRAP, "SIGTRAP"}, Named{SIGABRT, "SIGABRT"},     Named{SIGBUS, "SIGBUS"},   Named{SIGFPE, "SIGFPE"},
    Named{SIGKILL, "SIGKILL"}, Named{SIGUSR1, "SIGUSR1"},     Named{SIGSEGV, "SIGSEGV"}, Named{SIGUSR2, "SIGUSR2"},
    Named{SIGPIPE, "SIGPIPE"}, Named{SIGALRM, "SIGALRM"},     Named{SIGTERM, "SIGTERM"}, Named{SIGXCPU, "SIGXCPU"},
    Named{SIGXFSZ, "SIGXFSZ"}, Named{SIGVTALRM, "SIGVTALRM"}, Named{SIGPROF, "SIGPROF"}, Named{SIGSYS, "SIGSYS"},
};

struct NamedStep {
  uint16_t code;
  const char* name;
};
constexpr std::array kSteps = {
    NamedStep{wire::kDownOpen, "open"},
    NamedStep{wire::kDownCreate, "create"},
    NamedStep{wire::kDownInitialize, "initialize"},
    NamedStep{wire::kDownReady, "ready"},
    NamedStep{wire::kDownHealth, "health"},
    NamedStep{wire::kDownQuiesce, "quiesce"},
    NamedStep{wire::kDownResume, "resume"},
    NamedStep{wire::kDownShutdown, "shutdown"},
    NamedStep{wire::kDownDestroy, "destroy"},
    NamedStep{wire::kDownDeclare, "routes"},
    NamedStep{wire::kDownSave, "save"},
    NamedStep{wire::kDownLoad, "load"},
    NamedStep{wire::kDownConfigure, "configure"},
    NamedStep{wire::kDownHandle, "handle"},
    NamedStep{wire::kDownAuthenticate, "authenticate"},
    NamedStep{wire::kDownResolveRoles, "resolve_roles"},
    NamedStep{wire::kDownAuthorize, "authorize"},
    NamedStep{wire::kDownBefore, "before"},
    NamedStep{wire::kDownAfter, "after"},
    NamedStep{wire::kDownHook, "hook"},
    NamedStep{wire::kDownRunTask, "task"},
    NamedStep{wire::kDownEndTask, "end_task"},
    NamedStep{wire::kDownEvents, "event"},
    NamedStep{wire::kDownFetched, "fetched"},
};

std::string printable(const char* text, size_t size) {
  std::string result(text, strnlen(text, size));
  std::replace_if(
      result.begin(), result.end(), [](char one) { return one < 0x20 || one > 0x7e; }, '?');
  return result;
}

CodePlace place_of(const wire::CrashNote& note, size_t files, uint64_t address) {
  CodePlace place;
  place.address = address;
  for (size_t index = 0; index < files; index++) {
    const wire::MappedFile& file = note.files[index];
    if (address < file.low || address >= file.high) continue;
    place.in_library = index == 0;
    // Whatever is there, the last of it is its end.
    place.file = printable(file.name, sizeof file.name - 1);
    place.offset = address - file.low;
    return place;
  }
  return place;
}

}  // namespace

std::optional<Fault> read_fault(const wire::CrashNote& shared) {
  const uint32_t stage = shared.stage.load(std::memory_order_acquire);
  if (stage == wire::CrashNote::kNothing) return std::nullopt;
  const auto note = std::make_unique<wire::CrashNote>();
  std::memcpy(static_cast<void*>(note.get()), &shared, sizeof shared);
  if (note->signal <= 0 || note->signal > 64) return std::nullopt;
  const size_t files = std::min<size_t>(note->files_count, note->files.size());
  Fault fault;
  fault.signal = note->signal;
  fault.code = note->code;
  fault.lane = note->lane;
  fault.address = note->address;
  fault.overflow = note->overflow == 1;
  fault.frames.push_back(place_of(*note, files, note->pc));
  const size_t frames =
      stage < wire::CrashNote::kFrames ? 0 : std::min<size_t>(note->frames_count, note->frames.size());
  for (size_t index = 0; index < frames; index++) {
    if (index == 0 && note->frames[0] == note->pc) continue;
    fault.frames.push_back(place_of(*note, files, note->frames[index]));
  }
  return fault;
}

const char* name_of_step(uint16_t code) {
  for (const NamedStep& named : kSteps) {
    if (named.code == code) return named.name;
  }
  return "call";
}

std::string name_of_signal(int number) {
  for (const Named& named : kNames) {
    if (named.number == number) return named.name;
  }
  return "signal " + std::to_string(number);
}

}  // namespace tenon::isolated
