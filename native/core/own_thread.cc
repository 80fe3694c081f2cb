#include "own_thread.h"

#include <limits.h>
#include <pthread.h>

#include <cstdint>
#include <memory>
#include <new>

#include "alternate_stack.h"
#include "plugin_gauges.h"
#include "thread_record.h"

namespace tenon::core {

namespace {

#if defined(__SANITIZE_THREAD__)
#define TENON_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TENON_THREAD_SANITIZER 1
#endif
#endif

// Rounds of destructors in which a value is there. ThreadSanitizer lets go of a thread before the last one.
#if defined(TENON_THREAD_SANITIZER)
constexpr uint32_t kThreadRounds = PTHREAD_DESTRUCTOR_ITERATIONS - 1;
constexpr uint32_t kRoutineRounds = kThreadRounds;
#else
constexpr uint32_t kThreadRounds = PTHREAD_DESTRUCTOR_ITERATIONS;
constexpr uint32_t kRoutineRounds = PTHREAD_DESTRUCTOR_ITERATIONS + 1;
#endif

class OwnThread {
 public:
  explicit OwnThread(ImageIndex image) : record_(ThreadKind::Own), inside_(image, Work::Own), image_(image) {
    gauges::add_threads(image, 1);
  }
  ~OwnThread() { gauges::add_threads(image_, -1); }
  OwnThread(const OwnThread&) = delete;
  OwnThread& operator=(const OwnThread&) = delete;

  uint32_t rounds = 1;  // of destructors

 private:
  const ThreadRecordGuard record_;
  const AlternateStack stack_;
  const Inside inside_;
  const ImageIndex image_;
};

thread_local bool own = false;
thread_local uint32_t routine_rounds = 1;

// A value of each thread; the system may have none left.
class Key {
 public:
  explicit Key(void (*destructor)(void*)) : is_made_(pthread_key_create(&key_, destructor) == 0) {}
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;

  bool set(void* value) const { return is_made_ && pthread_setspecific(key_, value) == 0; }

 private:
  pthread_key_t key_ = 0;
  const bool is_made_;
};

const Key& routine_key();

// Once more each round, for those of the plugin run in any of them.
void keep_routine(void* routine) {
  if (routine_rounds++ < kRoutineRounds) routine_key().set(routine);
}

const Key& routine_key() {
  static const Key key(keep_routine);
  return key;
}

const Key& thread_key();

void end_thread(void* given) {
  std::unique_ptr<OwnThread> thread(static_cast<OwnThread*>(given));
  if (thread->rounds++ < kThreadRounds && thread_key().set(thread.get())) {
    static_cast<void>(thread.release());
  }
}

const Key& thread_key() {
  static const Key key(end_thread);
  return key;
}

}  // namespace

void begin_own_thread(ImageIndex image, void* routine) {
  own = true;
  // The first keys of a thread lie in its descriptor at the end of its stack, where a look for threads of an image
  // finds where this one has begun, also when it is on its way out.
  routine_key().set(routine);
  std::unique_ptr<OwnThread> thread(new (std::nothrow) OwnThread(image));
  if (thread && thread_key().set(thread.get())) static_cast<void>(thread.release());
}

bool is_own_thread() { return own; }

}  // namespace tenon::core
