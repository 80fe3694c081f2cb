#ifndef TENON_CORE_THREAD_RECORD_H
#define TENON_CORE_THREAD_RECORD_H

#include <cstdint>
#include <vector>

#include "image_registry.h"

namespace tenon::core {

// What code of a plugin is run for. Their names are in thread_record.cc.
enum class Work : uint8_t {
  None,
  Handle,
  Create,
  Initialize,
  Routes,
  Ready,
  Health,
  Quiesce,
  Resume,
  Save,
  Load,
  Configure,
  Shutdown,
  Destroy,
  Task,
  Event,
  Authenticate,
  Roles,
  Authorize,
  Before,
  After,
  Hook,
  Complete,
  Open,
  Close,
  Own,  // a thread that it has started itself
};

// Place of a route in the black box where there is none.
constexpr uint32_t kNoSlot = UINT32_MAX;

enum class ThreadKind : uint8_t { Other, Main, Pool, Control, Task, Event, Store, Watchdog, Own };

/*
 * What one thread does, in the black box: a place of its own for each thread of the core and the front's. A handful of
 * plain stores, so that it costs nothing to tell at each call; read by whoever finds the process dead.
 */
struct ThreadRecord;

// This thread has a record from here on, and gives it back at its end. One on the stack of each thread, first of all.
// Nothing for a thread that has one, before there is a box, and once all are taken.
class ThreadRecordGuard {
 public:
  explicit ThreadRecordGuard(ThreadKind kind);
  ~ThreadRecordGuard();
  ThreadRecordGuard(const ThreadRecordGuard&) = delete;
  ThreadRecordGuard& operator=(const ThreadRecordGuard&) = delete;

 private:
  ThreadRecord* const record_;
};

// What this thread is in, as long as this lives; then it is again in what it was in before. `slot`: place of the
// route in the black box. `began`: ns of the monotonic clock; 0 where asking for the time would cost too much, as in
// an inline call. [its thread]
class Inside {
 public:
  Inside(ImageIndex image, Work work, uint64_t request = 0, uint32_t slot = kNoSlot, uint64_t began = 0);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  ThreadRecord* const record_;
  uint64_t before_[3];
};

// How often each thread had been in code of plugins at one moment.
class EntryCounts {
 public:
  void take();  // [its thread]
  // Whether no thread has been in code of another image than `image` since, as far as is known. [its thread]
  bool is_only(ImageIndex image) const;

 private:
  std::vector<uint64_t> counts_;
};

// The image whose code this thread runs as far as the core has called it; kNoImage for a thread without a record.
// [any, signal]
ImageIndex image_of_thread();
// What it is in. [any, signal]
Work work_of_thread();
// Its record, or null. [any, signal]
const ThreadRecord* record_of_thread();

// For people.
const char* work_name(Work work);
const char* thread_kind_name(ThreadKind kind);

}  // namespace tenon::core

#endif
