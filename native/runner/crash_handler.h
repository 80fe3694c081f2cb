#ifndef TENON_RUNNER_CRASH_HANDLER_H
#define TENON_RUNNER_CRASH_HANDLER_H

#include <cstddef>
#include <cstdint>

#include "wire/crash_note.h"

namespace tenon::runner {

// From here on a fault is written into `note`, and then ends the process as it would have. Before the library is
// opened: a plugin may handle signals itself.
void install_crash_handler(wire::CrashNote& note);

// Whose code is where. Once the library is opened; `inside` is any address in it.
void note_files(const void* inside);

// This thread serves `lane`, and handles a fault on `stack`, which outlives it.
void enter_lane(uint32_t lane, void* stack, size_t size);
// It is in what has this number from here on.
void note_lane(uint32_t lane);

}  // namespace tenon::runner

#endif
