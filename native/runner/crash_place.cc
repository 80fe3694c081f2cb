#include "crash_place.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <unistd.h>
#if defined(__linux__)
#include <ucontext.h>
#endif

#include <array>
#include <cstddef>
#include <cstring>

#include "end_in_time.h"

namespace tenon::runner {

namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
constexpr size_t kStackBytes = 64 * 1024;
constexpr int kFrames = 64;

const char* library = nullptr;
void (*told)(int signal, const CrashPlace& place) = nullptr;
pid_t process = 0;
alignas(16) char handler_stack[kStackBytes];

const void* pc_of([[maybe_unused]] const void* context) {
  uintptr_t pc = 0;
#if defined(__linux__) && defined(__x86_64__)
  pc = static_cast<uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
#elif defined(__linux__) && defined(__aarch64__)
  pc = static_cast<const ucontext_t*>(context)->uc_mcontext.pc;
#endif
  return reinterpret_cast<const void*>(pc);
}

uint64_t offset_of(const void* address) {
  Dl_info info = {};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr || std::strcmp(info.dli_fname, library) != 0) return 0;
  return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(info.dli_fbase);
}

CrashPlace place_of(const void* pc) {
  if (const uint64_t offset = offset_of(pc); offset != 0) return {offset, false};
  std::array<void*, kFrames> frames;
  const int count = backtrace(frames.data(), kFrames);
  for (int index = 0; index < count; index++) {
    if (const uint64_t offset = offset_of(frames[static_cast<size_t>(index)]); offset != 0) return {offset, true};
  }
  return {0, false};
}

void handle(int number, siginfo_t* info, void* context) {
  for (const int each : kSignals) signal(each, SIG_DFL);
  if (getpid() == process) {
    end_in_time();
    told(number, {0, false});
    told(number, place_of(pc_of(context)));
  }
  // What an instruction did it does again; anything else is over when it is told.
  if (info->si_code <= 0 || number == SIGTRAP || number == SIGSYS) raise(number);
}

}  // namespace

void prepare_crash_place() {
  // It loads a library the first time.
  std::array<void*, 1> none;
  backtrace(none.data(), 1);
}

void tell_crash_place(const char* path, void (*tell)(int signal, const CrashPlace& place)) {
  library = path;
  told = tell;
  process = getpid();
  stack_t alternate = {};
  alternate.ss_sp = handler_stack;
  alternate.ss_size = sizeof handler_stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int number : kSignals) sigaction(number, &action, nullptr);
}

}  // namespace tenon::runner
