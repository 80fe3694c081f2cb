#ifndef TENON_CORE_BOX_CONTENTS_H
#define TENON_CORE_BOX_CONTENTS_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "black_box.h"

namespace tenon::core {

// What a black box says, as far as it can be understood: BoxContents of src/binding/black-box.ts. A plugin may have
// written anywhere in it: texts are printable and bounded, indexes are of images that are there.
struct BoxContents {
  struct Image {
    uint32_t index = 0;
    std::string plugin;
    uint64_t generation = 0;
    std::string sha256;
    const char* state = "";
    bool proven = false;
    uint64_t low = 0;
    uint64_t high = 0;
  };
  struct Work {
    uint32_t image = 0;
    const char* work = "";
    std::string route;
    uint64_t request = 0;
    double ms = 0;
  };
  struct Thread {
    uint32_t tid = 0;
    const char* kind = "";
    std::optional<Work> inside;
    std::vector<Work> before;
  };
  struct Fault {
    const char* kind = "";
    int32_t signal = 0;
    int32_t status = -1;  // not known
    int32_t code = 0;
    bool sent = false;
    bool overflow = false;
    uint64_t address = 0;
    uint64_t pc = 0;
    uint32_t tid = 0;
    int64_t caller = -1;
    std::string message;
    std::vector<std::pair<std::string, uint64_t>> registers;
    std::vector<uint64_t> unwound;
    std::vector<uint64_t> scanned;
    const char* stage = "";
  };
  struct File {
    uint64_t low = 0;
    uint64_t high = 0;
    std::string name;
  };

  uint32_t pid = 0;
  bool ended = false;
  std::optional<double> beat_ms;
  std::vector<Image> images;
  std::vector<Thread> threads;
  std::optional<Fault> fault;
  std::vector<File> files;
};

// A copy of the box that `descriptor` is of, which nobody writes to; null and why in `problem`.
std::unique_ptr<BoxMemory> copy_box(int descriptor, std::string& problem);

// `time`: ns of the monotonic clock, for how long things have taken by then; the time of a fault counts before it.
BoxContents read_box(const BoxMemory& box, uint64_t time);

// ms since the event loop of the box's process turned last, without reading the rest; nothing before the first time,
// and where it is no box.
std::optional<double> beat_of_box(int descriptor, uint64_t time);

}  // namespace tenon::core

#endif
