#ifndef TENON_CORE_THREAD_ID_H
#define TENON_CORE_THREAD_ID_H

#include <cstdint>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <pthread.h>
#endif

namespace tenon::core {

// Of this thread, as the system and debuggers have it. [any, signal]
inline uint32_t thread_id() {
#if defined(__linux__)
  return static_cast<uint32_t>(syscall(SYS_gettid));
#else
  uint64_t id = 0;
  pthread_threadid_np(nullptr, &id);
  return static_cast<uint32_t>(id);
#endif
}

}  // namespace tenon::core

#endif
