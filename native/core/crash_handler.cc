#include "crash_handler.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#if defined(__linux__)
#include <ucontext.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "clock.h"
#include "own_memory.h"
#include "thread_id.h"
#include "thread_record.h"

namespace tenon::core {

namespace {

constexpr std::array<int, 7> kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
constexpr size_t kScanBytes = 256 * 1024;
constexpr uintptr_t kPage = 4096;
// A stack that has run out of its mapping begins a little further up.
constexpr uintptr_t kGuardBytes = 16 * kPage;
constexpr time_t kPatienceSeconds = 1;
// Above the numbers that the system hands out one after the other.
constexpr int kReportFile = 64;

struct Previous {
  struct sigaction action;
  bool kept;
};

struct AbortMessage {
  unsigned int size;
  char text[1];
};

// Everything that a handler needs, found before: it may look nothing up.
struct Handler {
  std::array<Previous, kSignals.size()> previous = {};
  AbortMessage* const* abort_message = nullptr;
  std::atomic<int> report_file{-1};
  struct stat report_facts = {};
};

Handler handler;
bool installed = false;
std::atomic<uint32_t> reporter{0};     // tid of the thread that reports
std::atomic<uint32_t> handling{0};     // tid of the thread that is in the handler of a signal
std::atomic<bool> end_is_told{false};  // of an end by a call
// Who has sent a signal that is caught here: bits 0 to 15 one more than the image, 16 to 23 the signal, 24 to 31 to
// whom, 32 to 63 the tid of the sender. 0: nobody.
std::atomic<uint64_t> sender{0};

bool is_of_this_process(const BoxMemory& box) {
  return box.header.pid.load(std::memory_order_relaxed) == static_cast<uint32_t>(getpid());
}

// Registers of a thread at one moment.
struct Place {
  uintptr_t pc = 0;
  uintptr_t stack = 0;
  uintptr_t link = 0;
};

#if defined(__linux__)

Place note_registers(FaultRecord& fault, const void* context) {
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  Place place;
#if defined(__x86_64__)
  fault.machine = static_cast<uint32_t>(FaultMachine::X64);
  uint32_t count = 0;
  // In the order of their names in box_contents.cc.
  for (const int name : {REG_RIP, REG_RSP, REG_RBP, REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_R8,
                         REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_EFL}) {
    fault.registers[count++] = static_cast<uint64_t>(machine.gregs[name]);
  }
  fault.registers_count = count;
  place.pc = static_cast<uintptr_t>(machine.gregs[REG_RIP]);
  place.stack = static_cast<uintptr_t>(machine.gregs[REG_RSP]);
#elif defined(__aarch64__)
  fault.machine = static_cast<uint32_t>(FaultMachine::Arm64);
  fault.registers[0] = machine.pc;
  fault.registers[1] = machine.sp;
  for (uint32_t index = 0; index < 31; index++) fault.registers[2 + index] = machine.regs[index];
  fault.registers_count = 33;
  place.pc = static_cast<uintptr_t>(machine.pc);
  place.stack = static_cast<uintptr_t>(machine.sp);
  place.link = static_cast<uintptr_t>(machine.regs[30]);
#endif
  return place;
}

#elif defined(__APPLE__)

Place note_registers(FaultRecord& fault, const void* context) {
  const auto* const machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  Place place;
#if defined(__x86_64__)
  const auto& state = machine->__ss;
  fault.machine = static_cast<uint32_t>(FaultMachine::X64);
  uint32_t count = 0;
  for (const uint64_t value : {state.__rip, state.__rsp, state.__rbp, state.__rax, state.__rbx, state.__rcx,
                               state.__rdx, state.__rsi, state.__rdi, state.__r8, state.__r9, state.__r10, state.__r11,
                               state.__r12, state.__r13, state.__r14, state.__r15, state.__rflags}) {
    fault.registers[count++] = value;
  }
  fault.registers_count = count;
  place.pc = static_cast<uintptr_t>(state.__rip);
  place.stack = static_cast<uintptr_t>(state.__rsp);
#elif defined(__aarch64__)
  const auto& state = machine->__ss;
  fault.machine = static_cast<uint32_t>(FaultMachine::Arm64);
  place.pc = static_cast<uintptr_t>(arm_thread_state64_get_pc(state));
  place.stack = static_cast<uintptr_t>(arm_thread_state64_get_sp(state));
  place.link = static_cast<uintptr_t>(arm_thread_state64_get_lr(state));
  fault.registers[0] = place.pc;
  fault.registers[1] = place.stack;
  for (uint32_t index = 0; index < 29; index++) fault.registers[2 + index] = state.__x[index];
  fault.registers[31] = static_cast<uint64_t>(arm_thread_state64_get_fp(state));
  fault.registers[32] = place.link;
  fault.registers_count = 33;
#endif
  return place;
}

#endif

// The upper bits of a pointer may hold a signature.
uintptr_t address_in(uintptr_t word) {
#if defined(__aarch64__)
  return word & ((uintptr_t{1} << 48) - 1);
#else
  return word;
#endif
}

// Up to the end of the page that `address` is in; how much was read.
size_t read_memory(uintptr_t address, void* place, size_t size) {
  if (const std::optional<size_t> got = read_own_memory(address, place, size)) return *got;
  // The end of a process that is well is not made a crash.
  if (handling.load() != thread_id()) return 0;
  // A fault in here leaves what has been written by now.
  size = std::min(size, static_cast<size_t>(kPage - address % kPage));
  std::memcpy(place, reinterpret_cast<const void*>(address), size);
  return size;
}

void add_scanned(FaultRecord& fault, uintptr_t word) {
  const uint32_t count = fault.scanned_count.load(std::memory_order_relaxed);
  if (count == kBoxFrames || (count > 0 && fault.scanned[count - 1] == word)) return;
  fault.scanned[count] = word;
  fault.scanned_count.store(count + 1, std::memory_order_release);
}

// Words that are addresses of plugins' code. A thread has not come back from where such a word says that it came.
void scan_stack(FaultRecord& fault, const Place& place) {
  fault.scanned_count.store(0, std::memory_order_relaxed);
  for (const uintptr_t word : {place.pc, address_in(place.link)}) {
    if (image_registry::find_code(word) != kNoImage) add_scanned(fault, word);
  }
  alignas(uintptr_t) std::array<char, kPage> bytes;
  const uintptr_t begin = place.stack & ~(sizeof(uintptr_t) - 1);
  uintptr_t address = begin;
  bool readable = false;
  while (address - begin < kScanBytes && fault.scanned_count.load(std::memory_order_relaxed) < kBoxFrames) {
    const size_t size = read_memory(address, bytes.data(), bytes.size());
    if (size == 0 && (readable || address - begin >= kGuardBytes)) return;
    readable = readable || size > 0;
    for (size_t at = 0; at + sizeof(uintptr_t) <= size; at += sizeof(uintptr_t)) {
      uintptr_t word;
      std::memcpy(&word, bytes.data() + at, sizeof word);
      word = address_in(word);
      if (image_registry::find_code(word) != kNoImage) add_scanned(fault, word);
    }
    address += kPage - address % kPage;
  }
}

// The unwinder may take locks of the loader that somebody holds for ever, and follows what is on the stack: hence last.
void unwind(FaultRecord& fault, uintptr_t pc) {
  constexpr int kOwn = 16;
  std::array<void*, kBoxFrames + kOwn> frames;
  const int found = backtrace(frames.data(), static_cast<int>(frames.size()));
  const auto end = frames.begin() + std::max(found, 0);
  auto first = std::find(frames.begin(), end, reinterpret_cast<void*>(pc));
  if (pc == 0) first = std::min(frames.begin() + 2, end);
  uint32_t count = 0;
  for (; first != end && count < kBoxFrames; ++first) fault.unwound[count++] = reinterpret_cast<uint64_t>(*first);
  fault.unwound_count.store(count, std::memory_order_release);
}

void enter_stage(FaultRecord& fault, FaultStage stage) {
  fault.stage.store(static_cast<uint32_t>(stage), std::memory_order_release);
}

void note_message(FaultRecord& fault) {
  if (handler.abort_message == nullptr) return;
  const AbortMessage* const message = *handler.abort_message;
  if (message == nullptr) return;
  std::array<char, sizeof fault.message> text;
  const size_t size = read_memory(reinterpret_cast<uintptr_t>(message->text), text.data(), text.size());
  const size_t length = strnlen(text.data(), size);
  put_text(fault.message, sizeof fault.message, {text.data(), length});
}

// Whoever has closed it may have given its number to a file of his own.
bool is_report(int file) {
  struct stat facts = {};
  return file >= 0 && fstat(file, &facts) == 0 && facts.st_ino == handler.report_facts.st_ino &&
         facts.st_dev == handler.report_facts.st_dev;
}

// As long as this descriptor is open, no other file is taken for this one. The host's own is closed with the host, and
// its number given to a file of somebody else.
void keep_report(int file) {
  const int kept = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, kReportFile);
  if (kept < 0) return;
  const int before = handler.report_file.exchange(-1, std::memory_order_acq_rel);
  if (is_report(before)) close(before);
  if (fstat(kept, &handler.report_facts) == 0) handler.report_file.store(kept, std::memory_order_release);
}

void write_report(const BoxMemory& box) {
  const int file = handler.report_file.load(std::memory_order_acquire);
  if (!is_report(file)) return;
  const char* const bytes = reinterpret_cast<const char*>(&box);
  size_t written = 0;
  while (written < sizeof box) {
    const ssize_t count = pwrite(file, bytes + written, sizeof box - written, static_cast<off_t>(written));
    if (count <= 0) return;
    written += static_cast<size_t>(count);
  }
}

// The end comes even when nothing here does any more.
void end_in_time() {
  struct sigaction ordinary = {};
  ordinary.sa_handler = SIG_DFL;
  sigaction(SIGALRM, &ordinary, nullptr);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  const itimerval patience = {{0, 0}, {kPatienceSeconds, 0}};
  setitimer(ITIMER_REAL, &patience, nullptr);
}

void end_by(int signal, const siginfo_t* info) {
  for (size_t index = 0; index < kSignals.size(); index++) {
    if (kSignals[index] != signal) continue;
    const Previous& previous = handler.previous[index];
    struct sigaction ordinary = {};
    ordinary.sa_handler = SIG_DFL;
    sigaction(signal, previous.kept ? &previous.action : &ordinary, nullptr);
  }
  // What an instruction did it does again, with its own registers in the core dump; these are over when they are told.
  const bool again = info->si_code > 0 && signal != SIGTRAP && signal != SIGSYS && signal != SIGABRT
#if defined(BUS_MCEERR_AO)
                     && !(signal == SIGBUS && info->si_code == BUS_MCEERR_AO)
#endif
      ;
  if (again) return;
  pthread_kill(pthread_self(), signal);
}

[[noreturn]] void wait_for_end() {
  for (;;) pause();
}

bool was_sent(const siginfo_t& info) {
  bool by_call = info.si_code == SI_USER || info.si_code == SI_QUEUE;
#if defined(SI_TKILL)
  by_call = by_call || info.si_code == SI_TKILL;
#endif
  return by_call && info.si_pid != getpid();
}

// One more than the image that has sent `signal` to this thread, as far as it has said so; 0: nobody has. What somebody
// has said may be of a signal that came to nothing.
uint32_t sender_of(int signal, const siginfo_t& info, uint32_t tid) {
  const uint64_t said = sender.load(std::memory_order_acquire);
  if ((said >> 16 & 0xff) != static_cast<uint64_t>(signal)) return 0;
  const auto target = static_cast<SentTo>(said >> 24 & 0xff);
#if defined(SI_TKILL)
  if ((target == SentTo::Process) != (info.si_code == SI_USER)) return 0;
#else
  static_cast<void>(info);
#endif
  if (target == SentTo::ThisThread && said >> 32 != tid) return 0;
  return static_cast<uint32_t>(said & 0xffff);
}

bool is_caught(int signal) { return std::find(kSignals.begin(), kSignals.end(), signal) != kSignals.end(); }

void handle_signal(int signal, siginfo_t* info, void* context) {
  const int kept_errno = errno;
  BoxMemory* const box = process_box();
  const uint32_t tid = thread_id();
  if (box == nullptr || !is_of_this_process(*box)) return end_by(signal, info);
  uint32_t nobody = 0;
  if (!handling.compare_exchange_strong(nobody, tid)) {
    // A fault in here: what there is stands in the box.
    if (nobody == tid) return end_by(signal, info);
    wait_for_end();
  }
  end_in_time();
  FaultRecord& fault = box->fault;
  if (end_is_told.load(std::memory_order_acquire)) return end_by(signal, info);
  fault.kind = static_cast<uint32_t>(FaultKind::Signal);
  fault.signal = signal;
  fault.code = info->si_code;
  fault.sent = was_sent(*info) ? 1 : 0;
  fault.tid = tid;
  fault.at = now();
  const bool by_instruction = info->si_code > 0;
  // Only what this process has sent itself has a caller.
  fault.caller = by_instruction || fault.sent != 0 ? 0 : sender_of(signal, *info, tid);
  fault.address = by_instruction ? reinterpret_cast<uint64_t>(info->si_addr) : 0;
  const Place place = note_registers(fault, context);
  fault.pc = place.pc;
  enter_stage(fault, FaultStage::Registers);
  if (signal == SIGABRT) note_message(fault);
  image_registry::find_loading();
  enter_stage(fault, FaultStage::Threads);
  // The stack may not be readable.
  write_report(*box);
  scan_stack(fault, place);
  enter_stage(fault, FaultStage::Scanned);
  write_report(*box);
  unwind(fault, place.pc);
  enter_stage(fault, FaultStage::Unwound);
  write_report(*box);
  errno = kept_errno;
  end_by(signal, info);
}

// An end by a call, told from where it was made.
void tell_end(FaultKind kind, ImageIndex image, int status) {
  BoxMemory* const box = process_box();
  if (box == nullptr || !is_of_this_process(*box)) return;
  uint32_t nobody = 0;
  if (!reporter.compare_exchange_strong(nobody, thread_id())) return;
  FaultRecord& fault = box->fault;
  fault.kind = static_cast<uint32_t>(kind);
  fault.signal = kind == FaultKind::Kill ? status : 0;
  fault.status = status;
  fault.caller = image < kBoxImages ? image + 1 : 0;
  fault.tid = thread_id();
  fault.at = now();
  Place place;
  place.stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  enter_stage(fault, FaultStage::Registers);
  image_registry::find_loading();
  enter_stage(fault, FaultStage::Threads);
  scan_stack(fault, place);
  enter_stage(fault, FaultStage::Scanned);
  unwind(fault, 0);
  enter_stage(fault, FaultStage::Unwound);
  end_is_told.store(true, std::memory_order_release);
  write_report(*box);
}

bool is_in_plugin() {
  if (record_of_thread() != nullptr) return work_of_thread() != Work::None;
  // A thread that nobody knows: a plugin's own where its stack says so.
  FaultRecord found = {};
  Place place;
  place.stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  scan_stack(found, place);
  return found.scanned_count.load(std::memory_order_relaxed) > 0;
}

void tell_exit(FaultKind kind, int status) {
  const BoxMemory* const box = process_box();
  if (box == nullptr || box->header.ended.load(std::memory_order_relaxed) != 0 || !is_in_plugin()) return;
  tell_end(kind, kNoImage, status);
}

void catch_signal(int signal, Previous& previous) {
  struct sigaction own = {};
  own.sa_sigaction = handle_signal;
  own.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&own.sa_mask);
  previous.kept = sigaction(signal, &own, &previous.action) == 0;
}

// Its owner's handler hands over what is not his. He does without an alternate stack, on which alone a stack that is
// used up can be reported. False where he has none: then it is nobody's.
bool chain_signal(int signal, const CrashHandlerOptions& options) {
  if (options.chain == nullptr) return false;
  struct sigaction present = {};
  sigaction(signal, nullptr, &present);
  if ((present.sa_flags & SA_SIGINFO) == 0 && present.sa_handler == SIG_DFL) return false;
  options.chain(signal, handle_signal, false);
  sigaction(signal, nullptr, &present);
  present.sa_flags |= SA_ONSTACK;
  sigfillset(&present.sa_mask);
  return sigaction(signal, &present, nullptr) == 0;
}

}  // namespace

void install_crash_handler(const CrashHandlerOptions& options) {
  if (process_box() == nullptr) return;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  keep_report(options.report_file);
  if (std::exchange(installed, true)) return;
  // The first one loads a library.
  std::array<void*, 4> frames;
  backtrace(frames.data(), static_cast<int>(frames.size()));
  handler.abort_message = static_cast<AbortMessage* const*>(dlsym(RTLD_DEFAULT, "__abort_msg"));
  for (size_t index = 0; index < kSignals.size(); index++) {
    const int signal = kSignals[index];
#if defined(__APPLE__)
    const bool owned = signal == SIGSEGV || signal == SIGBUS;
#else
    const bool owned = signal == SIGSEGV;
#endif
    if (owned && chain_signal(signal, options)) continue;
    catch_signal(signal, handler.previous[index]);
  }
#if defined(__GLIBC__)
  on_exit([](int status, void*) { tell_exit(FaultKind::Exit, status & 0xff); }, nullptr);
#else
  std::atexit([] { tell_exit(FaultKind::Exit, -1); });
#endif
#if !defined(__APPLE__)
  std::at_quick_exit([] { tell_exit(FaultKind::QuickExit, -1); });
#endif
}

void report_end(FaultKind kind, ImageIndex image, int status, SentTo target) {
  BoxMemory* const box = process_box();
  if (box == nullptr || box->header.ended.load(std::memory_order_relaxed) != 0) return;
  const bool follows = kind == FaultKind::Abort || (kind == FaultKind::Kill && is_caught(status));
  if (!follows) {
    tell_end(kind, image, status);
  } else if (is_of_this_process(*box)) {
    const uint64_t caller = image < kBoxImages ? image + 1 : 0;
    const auto signal = static_cast<uint64_t>(kind == FaultKind::Abort ? SIGABRT : status);
    sender.store(caller | signal << 16 | static_cast<uint64_t>(target) << 24 | uint64_t{thread_id()} << 32,
                 std::memory_order_release);
  }
}

void take_end_back(bool sent) {
  const uint32_t tid = thread_id();
  uint64_t said = sender.load(std::memory_order_acquire);
  const bool may_come = sent && static_cast<SentTo>(said >> 24 & 0xff) != SentTo::ThisThread;
  if (said >> 32 == tid && !may_come) sender.compare_exchange_strong(said, 0, std::memory_order_acq_rel);
  BoxMemory* const box = process_box();
  if (box == nullptr || reporter.load(std::memory_order_acquire) != tid || !is_of_this_process(*box)) return;
  FaultRecord& fault = box->fault;
  if (fault.kind != static_cast<uint32_t>(FaultKind::Kill)) return;
  enter_stage(fault, FaultStage::None);
  write_report(*box);
  end_is_told.store(false, std::memory_order_release);
  reporter.store(0, std::memory_order_release);
}

}  // namespace tenon::core
