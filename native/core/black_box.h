#ifndef TENON_CORE_BLACK_BOX_H
#define TENON_CORE_BLACK_BOX_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tenon::core {

/*
 * What lies in a black box. It is shared with a process that may be of another release: whatever changes here changes
 * `kBoxLayout`, but for what comes into room that was empty: 0 says that it is not known. Everything is written with
 * plain stores, also in a signal handler, and nothing here is believed when it is read: see box_contents.h.
 */
constexpr uint64_t kBoxMagic = 0x786f426e6f6e6554ULL;  // "TenonBox"
constexpr uint32_t kBoxLayout = 1;

constexpr uint32_t kBoxImages = 1024;
constexpr uint32_t kBoxThreads = 512;
constexpr uint32_t kBoxRoutes = 8192;
constexpr uint32_t kBoxFiles = 256;
constexpr uint32_t kBoxBefore = 4;
constexpr uint32_t kBoxFrames = 64;
constexpr uint32_t kBoxRegisters = 40;

struct BoxHeader {
  uint64_t magic;
  uint32_t layout;
  std::atomic<uint32_t> pid;
  std::atomic<uint64_t> beat;  // ns of the monotonic clock; 0: it has not turned yet
  std::atomic<uint32_t> ended;
  std::atomic<uint32_t> images;  // places that have been taken once
};

struct ImageRecord {
  std::atomic<uint32_t> state;
  uint32_t proven;              // 1: its build has shown before that it is well
  std::atomic<uint64_t> order;  // grows from image to image
  std::atomic<uint64_t> low;
  std::atomic<uint64_t> high;
  std::atomic<uint64_t> code_low;
  std::atomic<uint64_t> code_high;
  uint64_t generation;
  char plugin[64];
  char sha256[72];
  char file[128];  // its name, until it is open
};

// `what`: bits 0 to 15 the image, 16 to 23 the work, 24 to 47 one more than the place of the route. 0: nothing.
struct WorkWords {
  std::atomic<uint64_t> what;
  std::atomic<uint64_t> request;
  std::atomic<uint64_t> time;  // ns: when it began, of what is over how long it took; 0: not known
};

struct alignas(64) ThreadRecord {
  std::atomic<uint32_t> tid;  // 0: nobody's
  std::atomic<uint32_t> kind;
  std::atomic<uint64_t> count;  // of what is in `before`, for ever
  WorkWords now;
  WorkWords before[kBoxBefore];
  std::atomic<uint64_t> stack_low;  // as StackBounds
  std::atomic<uint64_t> stack_high;
};
static_assert(sizeof(ThreadRecord) == 192);

struct RouteRecord {
  char name[128];  // method and path
};

struct FileRecord {
  std::atomic<uint64_t> low;  // 0: none
  std::atomic<uint64_t> high;
  char name[240];
};

enum class FaultKind : uint32_t { None, Signal, Exit, ExitNow, QuickExit, Abort, Kill };
enum class FaultStage : uint32_t { None, Registers, Threads, Scanned, Unwound };
enum class FaultMachine : uint32_t { None, X64, Arm64 };

struct FaultRecord {
  std::atomic<uint32_t> stage;
  uint32_t kind;
  int32_t signal;
  int32_t code;
  uint32_t sent;
  uint32_t tid;
  uint32_t caller;  // one more than the index of the image
  int32_t status;
  uint64_t at;  // ns of the monotonic clock
  uint64_t address;
  uint64_t pc;
  uint32_t machine;
  uint32_t registers_count;
  uint64_t registers[kBoxRegisters];
  char message[512];
  std::atomic<uint32_t> scanned_count;
  std::atomic<uint32_t> unwound_count;
  uint64_t scanned[kBoxFrames];
  uint64_t unwound[kBoxFrames];
};

struct BoxMemory {
  BoxHeader header;
  FaultRecord fault;
  ImageRecord images[kBoxImages];
  ThreadRecord threads[kBoxThreads];
  RouteRecord routes[kBoxRoutes];
  FileRecord files[kBoxFiles];
};

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

// Memory for a box that another process can be given: its descriptor, or -1 and why in `problem`.
int create_box(std::string& problem);

// From here on this process writes into the box that `descriptor` is of, or without one (-1) into one of its own. Once:
// true when it has one already. False and why in `problem`.
bool open_box(int descriptor, std::string& problem);

// The box of this process, or null. It stays. [any, signal]
BoxMemory* process_box();

void beat_box();            // [any]
void end_box_on_purpose();  // [any]
// The route in place `index` of the box is `method` `path` from here on. [front]
void name_route(uint32_t index, std::string_view method, std::string_view path);

// The places of one front's routes in the box, taken by the block and given back at its end.
class RoutePlaces {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  RoutePlaces() { blocks_.fill(kNone); }
  ~RoutePlaces();
  RoutePlaces(const RoutePlaces&) = delete;
  RoutePlaces& operator=(const RoutePlaces&) = delete;

  void name(uint32_t slot, std::string_view method, std::string_view path);  // [front]
  // Of a slot that has been named; kNone: there was none left.
  uint32_t of(uint32_t slot) const {
    const uint32_t block = slot / kBlock;
    return block >= kBlocks || blocks_[block] == kNone ? kNone : blocks_[block] * kBlock + slot % kBlock;
  }

 private:
  static constexpr uint32_t kBlocks = 32;
  static constexpr uint32_t kBlock = kBoxRoutes / kBlocks;
  std::array<uint32_t, kBlocks> blocks_;
};

// As much of `text` as fits, and a 0.
void put_text(char* place, size_t size, std::string_view text);

}  // namespace tenon::core

#endif
