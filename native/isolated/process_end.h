#ifndef TENON_ISOLATED_PROCESS_END_H
#define TENON_ISOLATED_PROCESS_END_H

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wire/crash_note.h"

namespace tenon::isolated {

// An address of a process that has ended.
struct CodePlace {
  uint64_t address = 0;
  bool in_library = false;  // of the plugin
  std::string file;         // empty: nobody knows
  uint64_t offset = 0;      // from the begin of the file's mapping
};

// What a process said of its own fault.
struct Fault {
  int32_t signal = 0;
  int32_t code = 0;
  uint32_t lane = wire::CrashNote::kNoLane;
  uint64_t address = 0;
  bool overflow = false;          // its stack had run out
  std::vector<CodePlace> frames;  // the fault first
};

// What a lane was in when its process ended.
struct Doing {
  uint32_t lane;
  uint16_t code;     // wire::Down
  uint64_t request;  // its number; 0: none
  uint64_t ms;       // for how long
};

// How a process of a plugin ended.
struct ProcessEnd {
  pid_t pid = 0;
  uint64_t at = 0;  // ms since 1970
  uint64_t uptime_ms = 0;
  std::string how;       // as Session::how_ended
  int signal = 0;        // 0: it exited
  int status = 0;        // where it exited
  bool by_host = false;  // the host has killed it, for `how`
  std::optional<Fault> fault;
  std::vector<Doing> doing;
  std::vector<std::string> said;  // the last lines on stderr
};

// None, when nothing was written, or nothing that can be. Reads a copy: `note` is the runner's.
std::optional<Fault> read_fault(const wire::CrashNote& note);

// "handle" of wire::kDownHandle, and so on; "call" of what has no name.
const char* name_of_step(uint16_t code);
// SIGSEGV, or `signal 40`.
std::string name_of_signal(int number);

}  // namespace tenon::isolated

#endif
