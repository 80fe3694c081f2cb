#include "crash_handler.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <unistd.h>
#if defined(__linux__)
#include <link.h>
#include <ucontext.h>
#endif

#include <algorithm>
#include <cstring>
#include <string_view>

#include "end_in_time.h"
#include "stack_bounds.h"

namespace tenon::runner {

namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

wire::CrashNote* the_note = nullptr;
std::atomic<bool> is_taken{false};
thread_local uint32_t lane_of_thread = wire::CrashNote::kNoLane;
thread_local core::StackBounds own_stack;

struct Place {
  uint64_t pc = 0;
  uint64_t stack = 0;
};

Place place_of([[maybe_unused]] const void* context) {
#if defined(__linux__) && defined(__x86_64__)
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  return {static_cast<uint64_t>(registers[REG_RIP]), static_cast<uint64_t>(registers[REG_RSP])};
#elif defined(__linux__) && defined(__aarch64__)
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  return {machine.pc, machine.sp};
#else
  return {};
#endif
}

void write_frames(wire::CrashNote& note) {
  constexpr int kOwn = 16;
  std::array<void*, std::tuple_size_v<decltype(note.frames)> + kOwn> found;
  const int count = backtrace(found.data(), static_cast<int>(found.size()));
  const auto end = found.begin() + std::max(count, 0);
  auto first = std::find(found.begin(), end, reinterpret_cast<void*>(static_cast<uintptr_t>(note.pc)));
  if (first == end) first = std::min(found.begin() + 2, end);
  for (; first != end && note.frames_count < note.frames.size(); ++first) {
    note.frames[note.frames_count++] = reinterpret_cast<uintptr_t>(*first);
  }
}

void handle(int number, siginfo_t* info, void* context) {
  if (is_taken.exchange(true)) {
    // Of another thread: it is over when the first one has written. Of this handler: what there is stands there.
    signal(number, SIG_DFL);
    if (the_note->lane != lane_of_thread) pause();
    return;
  }
  wire::CrashNote& note = *the_note;
  const bool by_instruction = info->si_code > 0;
  note.signal = number;
  note.code = info->si_code;
  note.lane = lane_of_thread;
  note.address = by_instruction ? reinterpret_cast<uintptr_t>(info->si_addr) : 0;
  const Place place = place_of(context);
  note.pc = place.pc;
  const bool by_access = by_instruction && (number == SIGSEGV || number == SIGBUS);
  note.overflow = by_access && core::is_stack_overflow(own_stack, place.stack, note.address) ? 1 : 0;
  note.stage.store(wire::CrashNote::kPlace, std::memory_order_release);
  end_in_time();
  write_frames(note);
  note.stage.store(wire::CrashNote::kFrames, std::memory_order_release);
  signal(number, SIG_DFL);
  // What an instruction did it does again; anything else is over when it is told.
  if (!by_instruction || number == SIGTRAP || number == SIGSYS) raise(number);
}

struct Search {
  wire::CrashNote* note;
  uintptr_t inside;
};

#if defined(__linux__)

int add_file(dl_phdr_info* info, size_t, void* data) {
  const Search& search = *static_cast<Search*>(data);
  wire::CrashNote& note = *search.note;
  wire::MappedFile file = {~uint64_t{0}, 0, {}};
  for (int index = 0; index < info->dlpi_phnum; index++) {
    const auto& segment = info->dlpi_phdr[index];
    if (segment.p_type != PT_LOAD) continue;
    const uint64_t low = info->dlpi_addr + segment.p_vaddr;
    file.low = std::min(file.low, low & ~uint64_t{4095});
    file.high = std::max(file.high, low + segment.p_memsz);
  }
  if (file.low >= file.high) return 0;
  std::string_view name(info->dlpi_name);
  if (name.empty()) name = "tenon-runner";
  if (name.size() >= sizeof file.name) name.remove_prefix(name.size() - sizeof file.name + 1);
  name.copy(file.name, name.size());
  const bool own = file.low <= search.inside && search.inside < file.high;
  if (own) {
    note.files[0] = file;
  } else if (note.files_count < note.files.size()) {
    note.files[note.files_count++] = file;
  }
  return 0;
}

#endif

}  // namespace

void install_crash_handler(wire::CrashNote& note) {
  the_note = &note;
  note.lane = wire::CrashNote::kNoLane;
  // It loads a library the first time.
  void* none[1];
  backtrace(none, 1);
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int number : kSignals) sigaction(number, &action, nullptr);
}

void note_files([[maybe_unused]] const void* inside) {
#if defined(__linux__)
  Search search = {the_note, reinterpret_cast<uintptr_t>(inside)};
  the_note->files_count = 1;
  dl_iterate_phdr(add_file, &search);
#endif
}

void enter_lane(uint32_t lane, void* stack, size_t size) {
  lane_of_thread = lane;
  own_stack = core::stack_of_thread();
  stack_t alternate = {};
  alternate.ss_sp = stack;
  alternate.ss_size = size;
  sigaltstack(&alternate, nullptr);
}

void note_lane(uint32_t lane) { lane_of_thread = lane; }

}  // namespace tenon::runner
