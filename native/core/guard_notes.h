#ifndef TENON_CORE_GUARD_NOTES_H
#define TENON_CORE_GUARD_NOTES_H

#include <cstdint>
#include <string>
#include <vector>

#include "image_registry.h"

namespace tenon::core {

// Something that a guard has caught a plugin at; see GuardNote in src/binding/black-box.ts.
struct GuardNote {
  ImageIndex image = kNoImage;
  const char* guard = "";  // static
  std::string detail;
  bool restored = false;
  bool certain = true;
};

// Keep it until it is taken; at most 256 of them, the newest are dropped. [any]
void note_guard(GuardNote note);
// All of them, the oldest first. [front]
std::vector<GuardNote> take_guard_notes();

}  // namespace tenon::core

#endif
