#include "box_contents.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "image_registry.h"
#include "stack_bounds.h"
#include "thread_record.h"

namespace tenon::core {

namespace {

constexpr std::array<const char*, 18> kNamesX64 = {"rip", "rsp", "rbp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi",
                                                   "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "eflags"};

// Up to its 0, with "?" for what is no printable ASCII or UTF-8 above it.
std::string text_in(const char* place, size_t size) {
  std::string text(place, strnlen(place, size));
  for (char& character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte >= 0x7f) character = '?';
  }
  return text;
}

template <size_t size>
std::string text_of(const char (&place)[size]) {
  return text_in(place, size);
}

uint64_t get(const std::atomic<uint64_t>& word) { return word.load(std::memory_order_relaxed); }
uint32_t get(const std::atomic<uint32_t>& word) { return word.load(std::memory_order_relaxed); }

double milliseconds_of(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

uint64_t since(uint64_t begin, uint64_t time) { return begin == 0 || begin > time ? 0 : time - begin; }

const char* state_name(uint32_t state) {
  switch (static_cast<ImageState>(state)) {
    case ImageState::Loading:
      return "loading";
    case ImageState::Open:
      return "open";
    case ImageState::Serving:
      return "serving";
    case ImageState::Closing:
      return "closing";
    case ImageState::Closed:
      return "closed";
    case ImageState::Pinned:
      return "pinned";
    case ImageState::None:
      break;
  }
  return nullptr;
}

bool is_exit(uint32_t kind) {
  return kind == static_cast<uint32_t>(FaultKind::Exit) || kind == static_cast<uint32_t>(FaultKind::ExitNow) ||
         kind == static_cast<uint32_t>(FaultKind::QuickExit);
}

const char* fault_kind_name(uint32_t kind) {
  switch (static_cast<FaultKind>(kind)) {
    case FaultKind::Signal:
      return "signal";
    case FaultKind::Exit:
      return "exit";
    case FaultKind::ExitNow:
      return "_exit";
    case FaultKind::QuickExit:
      return "quick_exit";
    case FaultKind::Abort:
      return "abort";
    case FaultKind::Kill:
      return "kill";
    case FaultKind::None:
      break;
  }
  return nullptr;
}

const char* stage_name(uint32_t stage) {
  switch (static_cast<FaultStage>(stage)) {
    case FaultStage::Registers:
      return "registers";
    case FaultStage::Threads:
      return "threads";
    case FaultStage::Scanned:
      return "scanned";
    case FaultStage::Unwound:
      return "unwound";
    case FaultStage::None:
      break;
  }
  return nullptr;
}

class Reader {
 public:
  Reader(const BoxMemory& box, uint64_t time) : box_(box), time_(time) {}

  BoxContents read() {
    contents_.pid = get(box_.header.pid);
    contents_.ended = get(box_.header.ended) != 0;
    if (const uint64_t beat = get(box_.header.beat); beat != 0) contents_.beat_ms = milliseconds_of(since(beat, time_));
    read_images();
    read_fault();
    read_threads();
    read_files();
    return std::move(contents_);
  }

 private:
  bool has_image(uint64_t index) const { return index < kBoxImages && state_name(get(box_.images[index].state)); }

  void read_images() {
    for (uint32_t index = 0; index < kBoxImages; index++) {
      const ImageRecord& record = box_.images[index];
      if (!has_image(index)) continue;
      BoxContents::Image image;
      image.index = index;
      image.plugin = text_of(record.plugin);
      image.generation = record.generation;
      image.sha256 = text_of(record.sha256);
      image.state = state_name(get(record.state));
      image.proven = record.proven == 1;
      image.low = get(record.low);
      image.high = get(record.high);
      contents_.images.push_back(std::move(image));
    }
  }

  std::optional<BoxContents::Work> work_in(const WorkWords& words, bool is_over) const {
    const uint64_t what = get(words.what);
    const uint64_t image = what & 0xffff;
    const char* const name = work_name(static_cast<Work>(what >> 16 & 0xff));
    if (what == 0 || *name == '\0' || !has_image(image)) return std::nullopt;
    BoxContents::Work work;
    work.image = static_cast<uint32_t>(image);
    work.work = name;
    work.request = get(words.request);
    const uint64_t slot = what >> 24 & 0xffffff;
    if (slot > 0 && slot <= kBoxRoutes) work.route = text_of(box_.routes[slot - 1].name);
    uint64_t time = get(words.time);
    // Of what the event loop is in, the time is not taken: it began after the loop has turned last.
    if (!is_over) time = since(time == 0 ? get(box_.header.beat) : time, end());
    work.ms = milliseconds_of(time);
    return work;
  }

  uint64_t end() const { return contents_.fault ? fault_time_ : time_; }

  void read_threads() {
    for (const ThreadRecord& record : box_.threads) {
      const uint32_t tid = get(record.tid);
      if (tid == 0) continue;
      BoxContents::Thread thread;
      thread.tid = tid;
      thread.kind = thread_kind_name(static_cast<ThreadKind>(get(record.kind)));
      thread.inside = work_in(record.now, false);
      const uint64_t count = get(record.count);
      for (uint64_t back = 1; back <= std::min<uint64_t>(count, kBoxBefore); back++) {
        auto work = work_in(record.before[(count - back) % kBoxBefore], true);
        if (work) thread.before.push_back(std::move(*work));
      }
      contents_.threads.push_back(std::move(thread));
    }
    if (contents_.fault && contents_.fault->tid != 0) add_stranger(contents_.fault->tid);
  }

  // The thread of a fault that the core has not started.
  void add_stranger(uint32_t tid) {
    const auto same = [tid](const BoxContents::Thread& known) { return known.tid == tid; };
    if (std::any_of(contents_.threads.begin(), contents_.threads.end(), same)) return;
    BoxContents::Thread thread;
    thread.tid = tid;
    thread.kind = contents_.fault->scanned.empty() ? "other" : "own";
    contents_.threads.push_back(std::move(thread));
  }

  static std::vector<uint64_t> frames(const uint64_t (&list)[kBoxFrames], uint32_t count) {
    return {list, list + std::min(count, kBoxFrames)};
  }

  void read_fault() {
    const FaultRecord& record = box_.fault;
    const char* const stage = stage_name(get(record.stage));
    const char* const kind = fault_kind_name(record.kind);
    if (stage == nullptr || kind == nullptr) return;
    BoxContents::Fault fault;
    fault.kind = kind;
    fault.signal = record.signal;
    if (is_exit(record.kind) && record.status >= 0 && record.status <= 0xff) fault.status = record.status;
    fault.code = record.code;
    fault.sent = record.sent != 0;
    fault.address = record.address;
    fault.pc = record.pc;
    fault.tid = record.tid;
    if (record.caller > 0 && has_image(record.caller - 1)) fault.caller = record.caller - 1;
    fault.message = text_of(record.message);
    fault.registers = registers(record);
    fault.overflow = is_overflow(record);
    fault.scanned = frames(record.scanned, get(record.scanned_count));
    fault.unwound = frames(record.unwound, get(record.unwound_count));
    fault.stage = stage;
    fault_time_ = record.at;
    contents_.fault = std::move(fault);
  }

  bool is_overflow(const FaultRecord& record) const {
    const bool by_access = record.signal == SIGSEGV || record.signal == SIGBUS;
    // In both lists of registers the stack pointer comes second.
    if (!by_access || record.code <= 0 || record.registers_count < 2) return false;
    for (const ThreadRecord& thread : box_.threads) {
      if (record.tid == 0 || get(thread.tid) != record.tid) continue;
      return is_stack_overflow({get(thread.stack_low), get(thread.stack_high)}, record.registers[1], record.address);
    }
    return false;
  }

  static std::vector<std::pair<std::string, uint64_t>> registers(const FaultRecord& record) {
    std::vector<std::pair<std::string, uint64_t>> list;
    const uint32_t count = std::min(record.registers_count, kBoxRegisters);
    if (record.machine == static_cast<uint32_t>(FaultMachine::X64)) {
      for (uint32_t index = 0; index < count && index < kNamesX64.size(); index++) {
        list.emplace_back(kNamesX64[index], record.registers[index]);
      }
    }
    if (record.machine == static_cast<uint32_t>(FaultMachine::Arm64)) {
      for (uint32_t index = 0; index < count && index < 33; index++) {
        list.emplace_back(index == 0   ? "pc"
                          : index == 1 ? "sp"
                                       : "x" + std::to_string(index - 2),
                          record.registers[index]);
      }
    }
    return list;
  }

  void read_files() {
    for (const FileRecord& record : box_.files) {
      if (get(record.low) == 0) continue;
      contents_.files.push_back({get(record.low), get(record.high), text_of(record.name)});
    }
  }

  const BoxMemory& box_;
  const uint64_t time_;
  uint64_t fault_time_ = 0;
  BoxContents contents_;
};

// Read, not mapped: whoever has the box too may make it shorter.
bool read_bytes(int descriptor, void* place, size_t size) {
  auto* const bytes = static_cast<char*>(place);
  size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(descriptor, bytes + done, size - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

bool is_box(const BoxHeader& header) { return header.magic == kBoxMagic && header.layout == kBoxLayout; }

}  // namespace

std::unique_ptr<BoxMemory> copy_box(int descriptor, std::string& problem) {
  auto box = std::make_unique<BoxMemory>();
  if (!read_bytes(descriptor, static_cast<void*>(box.get()), sizeof(BoxMemory)) || !is_box(box->header)) {
    problem = "it is no black box, or that of another release";
    return nullptr;
  }
  return box;
}

BoxContents read_box(const BoxMemory& box, uint64_t time) { return Reader(box, time).read(); }

std::optional<double> beat_of_box(int descriptor, uint64_t time) {
  BoxHeader header = {};
  if (!read_bytes(descriptor, static_cast<void*>(&header), sizeof header) || !is_box(header)) return std::nullopt;
  const uint64_t beat = get(header.beat);
  if (beat == 0) return std::nullopt;
  return milliseconds_of(since(beat, time));
}

}  // namespace tenon::core
