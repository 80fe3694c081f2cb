#ifndef TENON_CORE_THREAD_GUARD_H
#define TENON_CORE_THREAD_GUARD_H

#include <signal.h>

#include <cstdint>

#include "alternate_stack.h"
#include "thread_record.h"

namespace tenon::core {

// Floating-point mode (rounding, traps, flush-to-zero) of the thread, as it was when this began; put back at the end.
// Sticky exception flags are left alone. Two register reads: fenv.h would save the whole x87 environment.
class FloatingPointGuard {
 public:
  FloatingPointGuard() { read(saved_); }
  ~FloatingPointGuard() {
    Mode mode;
    read(mode);
    if (mode.vector != saved_.vector || mode.scalar != saved_.scalar) write(saved_);
  }
  FloatingPointGuard(const FloatingPointGuard&) = delete;
  FloatingPointGuard& operator=(const FloatingPointGuard&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr uint32_t kSticky = 0x3f;
  struct Mode {
    uint32_t vector;
    uint16_t scalar;
  };
  static void read(Mode& mode) {
    uint32_t vector;
    __asm__ __volatile__("stmxcsr %0" : "=m"(vector));
    __asm__ __volatile__("fnstcw %0" : "=m"(mode.scalar));
    mode.vector = vector & ~kSticky;
  }
  static void write(const Mode& mode) {
    __asm__ __volatile__("ldmxcsr %0" : : "m"(mode.vector));
    __asm__ __volatile__("fldcw %0" : : "m"(mode.scalar));
  }
#elif defined(__aarch64__)
  struct Mode {
    uint64_t vector;
    uint64_t scalar;
  };
  static void read(Mode& mode) {
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode.vector));
    mode.scalar = 0;
  }
  static void write(const Mode& mode) { __asm__ __volatile__("msr fpcr, %0" : : "r"(mode.vector)); }
#else
#error "FloatingPointGuard knows x86-64 and arm64"
#endif
  Mode saved_;
};

// What a thread of the core needs around it: it is known as the core's, only synchronous signals are open (the others
// are the host's) and the one that asks a thread for its place, what it does stands in the black box, and a crash
// report has a stack to run on. Lives on a thread of `start_core_thread`, from its first to its last function.
class ThreadGuard {
 public:
  explicit ThreadGuard(ThreadKind kind);
  ~ThreadGuard();
  ThreadGuard(const ThreadGuard&) = delete;
  ThreadGuard& operator=(const ThreadGuard&) = delete;

  // Put the signal mask back, whatever plugin code made of it.
  void restore_signals();

 private:
  const ThreadRecordGuard record_;
  const AlternateStack stack_;
  sigset_t mask_;
};

// Whether this thread has those signals blocked, and no others, that a ThreadGuard blocks: here, or where a thread that
// has started it was guarded. [any]
bool has_signals_of_host();

// No signal is blocked on this thread while this lives, when those are that a ThreadGuard blocks. [any]
class OpenSignals {
 public:
  OpenSignals();
  ~OpenSignals();
  OpenSignals(const OpenSignals&) = delete;
  OpenSignals& operator=(const OpenSignals&) = delete;

 private:
  bool is_open_;
  sigset_t mask_;
};

}  // namespace tenon::core

#endif
