#ifndef TENON_RUNNER_CRASH_PLACE_H
#define TENON_RUNNER_CRASH_PLACE_H

#include <cstdint>

namespace tenon::runner {

// Where in a library a fault was.
struct CrashPlace {
  uint64_t offset;  // from where it is mapped; 0: not known
  bool is_call;     // the fault was in what the instruction before it has called
};

// What a fault needs is there from here on; before the fork of the process that is told of below.
void prepare_crash_place();

// From here on a fault of this process is told to `tell`, in a signal handler, with where it was in the library that is
// opened by `path` (which outlives this process): once without its place, and again with it. Then the process ends as
// it would have.
void tell_crash_place(const char* path, void (*tell)(int signal, const CrashPlace& place));

}  // namespace tenon::runner

#endif
