#ifndef TENON_WIRE_CRASH_NOTE_H
#define TENON_WIRE_CRASH_NOTE_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tenon::wire {

// A file that is mapped in a runner.
struct MappedFile {
  uint64_t low;
  uint64_t high;
  char name[48];  // the end of its path
};

/*
 * What a runner says of its own fault, in memory that its host has too. Whoever reads it after its end copies it first:
 * a plugin may have written anything here.
 */
struct CrashNote {
  enum Stage : uint32_t { kNothing = 0, kPlace = 1, kFrames = 2 };
  static constexpr uint32_t kNoLane = ~0u;

  std::atomic<uint32_t> stage;  // what there is
  int32_t signal;
  int32_t code;   // si_code
  uint32_t lane;  // whose thread it was; kNoLane: one of the plugin's own
  uint64_t address;
  uint64_t pc;
  uint32_t overflow;  // 1: its stack had run out
  uint32_t frames_count;
  uint32_t files_count;
  std::array<uint64_t, 48> frames;  // the fault first, then what called it
  // The library of the plugin first; known since it was opened.
  std::array<MappedFile, 48> files;
};

constexpr size_t kCrashNoteBytes = (sizeof(CrashNote) + 4095) / 4096 * 4096;

}  // namespace tenon::wire

#endif
