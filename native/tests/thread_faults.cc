#include "thread_faults.h"

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>

namespace {

std::atomic<bool> refused{false};

enum class Others { Made, Held, Refused };

struct Holding {
  std::mutex mutex;
  std::condition_variable changed;
  Others others = Others::Made;
  bool counts = false;
  pthread_t own = {};
  int made = 0;
  int made_elsewhere = 0;
  int waiting = 0;
};

Holding& holding() {
  static Holding instance;
  return instance;
}

void set(Others others, bool counts = true) {
  Holding& all = holding();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (counts && !all.counts) all.made = all.made_elsewhere = 0;
  all.counts = counts;
  all.others = others;
  all.changed.notify_all();
}

// Whether the thread may be made, by now.
[[maybe_unused]] bool may_be_made() {
  Holding& all = holding();
  std::unique_lock<std::mutex> lock(all.mutex);
  if (!all.counts) return true;
  if (pthread_equal(all.own, pthread_self()) != 0) return all.made++, true;
  all.waiting++;
  all.changed.wait(lock, [&all] { return all.others != Others::Held; });
  all.waiting--;
  if (all.others == Others::Refused) return false;
  return all.made_elsewhere++, true;
}

}  // namespace

#if defined(__linux__)
// The linker puts these two in place of pthread_create (--wrap), for what is linked with this program.
extern "C" {
int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) {
  if (refused.load() || !may_be_made()) return EAGAIN;
  return __real_pthread_create(thread, attributes, main, argument);
}
}
#endif

namespace tenon::tests {

NoThreads::NoThreads() { refused = true; }
NoThreads::~NoThreads() { refused = false; }

HeldThreads::HeldThreads() {
  holding().own = pthread_self();
  set(Others::Held);
}

HeldThreads::~HeldThreads() { set(Others::Made, false); }

void HeldThreads::refuse() { set(Others::Refused); }

void HeldThreads::release() { set(Others::Made); }

int HeldThreads::made_here() const {
  const std::lock_guard<std::mutex> lock(holding().mutex);
  return holding().made;
}

int HeldThreads::made_elsewhere() const {
  const std::lock_guard<std::mutex> lock(holding().mutex);
  return holding().made_elsewhere;
}

int HeldThreads::waiting() const {
  const std::lock_guard<std::mutex> lock(holding().mutex);
  return holding().waiting;
}

}  // namespace tenon::tests
