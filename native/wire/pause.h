#ifndef TENON_WIRE_PAUSE_H
#define TENON_WIRE_PAUSE_H

namespace tenon::wire {

// Between two looks at what another processor is to write.
inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace tenon::wire

#endif
