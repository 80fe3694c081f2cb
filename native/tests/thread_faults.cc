#include "thread_faults.h"

#include <pthread.h>

#include <atomic>
#include <cerrno>

namespace {
std::atomic<bool> refused{false};
}  // namespace

#if defined(__linux__)
// The linker puts these two in place of pthread_create (--wrap), for what is linked with this program.
extern "C" {
int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) {
  if (refused.load()) return EAGAIN;
  return __real_pthread_create(thread, attributes, main, argument);
}
}
#endif

namespace tenon::tests {

NoThreads::NoThreads() { refused = true; }
NoThreads::~NoThreads() { refused = false; }

}  // namespace tenon::tests
