#include "thread_record.h"

#include "black_box.h"
#include "clock.h"
#include "stack_bounds.h"
#include "thread_id.h"

namespace tenon::core {

namespace {

// A signal handler reads it: it must not be one of those variables that are allocated when a thread first looks at
// them.
#if defined(__GLIBC__)
__attribute__((tls_model("initial-exec")))
#endif
thread_local ThreadRecord* own_record = nullptr;

constexpr uint64_t kImageBits = 0xffff;

uint64_t pack(ImageIndex image, Work work, uint32_t slot) {
  const uint64_t kept_image = image < kBoxImages ? image : kImageBits;
  const uint64_t kept_slot = slot < kBoxRoutes ? slot + 1 : 0;
  return kept_image | static_cast<uint64_t>(work) << 16 | kept_slot << 24;
}

uint64_t get(const std::atomic<uint64_t>& word) { return word.load(std::memory_order_relaxed); }
void set(std::atomic<uint64_t>& word, uint64_t value) { word.store(value, std::memory_order_relaxed); }

// What is read of a thread that has died in here is either whole or nothing.
void set(WorkWords& words, uint64_t what, uint64_t request, uint64_t time) {
  if (get(words.what) != 0) words.what.store(0, std::memory_order_release);
  if (what == 0) return;
  set(words.request, request);
  set(words.time, time);
  words.what.store(what, std::memory_order_release);
}

void remember(ThreadRecord& record, uint64_t what, uint64_t request, uint64_t took) {
  const uint64_t count = get(record.count);
  set(record.before[count % kBoxBefore], what, request, took);
  record.count.store(count + 1, std::memory_order_release);
}

ThreadRecord* take_record(ThreadKind kind) {
  BoxMemory* const box = process_box();
  if (box == nullptr) return nullptr;
  const uint32_t tid = thread_id();
  for (ThreadRecord& record : box->threads) {
    uint32_t nobody = 0;
    if (record.tid.load(std::memory_order_relaxed) != 0) continue;
    if (!record.tid.compare_exchange_strong(nobody, tid, std::memory_order_acq_rel)) continue;
    record.kind.store(static_cast<uint32_t>(kind), std::memory_order_relaxed);
    const StackBounds stack = stack_of_thread();
    set(record.stack_low, stack.low);
    set(record.stack_high, stack.high);
    set(record.now, 0, 0, 0);
    // The count goes on: by it others see that somebody has been in a plugin.
    for (WorkWords& words : record.before) set(words, 0, 0, 0);
    return &record;
  }
  return nullptr;
}

}  // namespace

ThreadRecordGuard::ThreadRecordGuard(ThreadKind kind) : record_(own_record == nullptr ? take_record(kind) : nullptr) {
  if (record_ != nullptr) own_record = record_;
}

ThreadRecordGuard::~ThreadRecordGuard() {
  if (record_ == nullptr) return;
  own_record = nullptr;
  record_->now.what.store(0, std::memory_order_relaxed);
  record_->tid.store(0, std::memory_order_release);
}

Inside::Inside(ImageIndex image, Work work, uint64_t request, uint32_t slot, uint64_t began) : record_(own_record) {
  if (record_ == nullptr) return;
  WorkWords& current = record_->now;
  before_[0] = get(current.what);
  before_[1] = get(current.request);
  before_[2] = get(current.time);
  // What asks for this is to be seen, too.
  if (before_[0] != 0) remember(*record_, before_[0], before_[1], 0);
  set(current, pack(image, work, slot), request, began);
}

Inside::~Inside() {
  if (record_ == nullptr) return;
  WorkWords& current = record_->now;
  const uint64_t began = get(current.time);
  remember(*record_, get(current.what), get(current.request), began == 0 ? 0 : now() - began);
  set(current, before_[0], before_[1], before_[2]);
}

void EntryCounts::take() {
  const BoxMemory* const box = process_box();
  if (box == nullptr) return;
  counts_.resize(kBoxThreads);
  for (size_t index = 0; index < kBoxThreads; index++) counts_[index] = get(box->threads[index].count);
}

bool EntryCounts::is_only(ImageIndex image) const {
  const BoxMemory* const box = process_box();
  if (box == nullptr || counts_.empty()) return true;
  const uint64_t own = image < kBoxImages ? image : kImageBits;
  for (size_t index = 0; index < kBoxThreads; index++) {
    const ThreadRecord& record = box->threads[index];
    const uint64_t inside = get(record.now.what);
    if (inside != 0 && (inside & kImageBits) != own) return false;
    const uint64_t count = get(record.count);
    if (count - counts_[index] > kBoxBefore) return false;
    // What a thread that is over has been in is forgotten with it: that was anybody.
    for (uint64_t at = counts_[index]; at < count; at++) {
      const uint64_t what = get(record.before[at % kBoxBefore].what);
      if (what == 0 || (what & kImageBits) != own) return false;
    }
  }
  return true;
}

ImageIndex image_of_thread() {
  if (own_record == nullptr) return kNoImage;
  const uint64_t what = get(own_record->now.what);
  const uint64_t image = what & kImageBits;
  return what == 0 || image >= kBoxImages ? kNoImage : static_cast<ImageIndex>(image);
}

Work work_of_thread() {
  return own_record == nullptr ? Work::None : static_cast<Work>(get(own_record->now.what) >> 16 & 0xff);
}

const ThreadRecord* record_of_thread() { return own_record; }

const char* work_name(Work work) {
  switch (work) {
    case Work::None:
      return "";
    case Work::Handle:
      return "handle";
    case Work::Create:
      return "create";
    case Work::Initialize:
      return "initialize";
    case Work::Routes:
      return "routes";
    case Work::Ready:
      return "ready";
    case Work::Health:
      return "health";
    case Work::Quiesce:
      return "quiesce";
    case Work::Resume:
      return "resume";
    case Work::Save:
      return "save";
    case Work::Load:
      return "load";
    case Work::Configure:
      return "configure";
    case Work::Shutdown:
      return "shutdown";
    case Work::Destroy:
      return "destroy";
    case Work::Task:
      return "task";
    case Work::Event:
      return "on_event";
    case Work::Authenticate:
      return "authenticate";
    case Work::Roles:
      return "resolve_roles";
    case Work::Authorize:
      return "authorize";
    case Work::Before:
      return "before";
    case Work::After:
      return "after";
    case Work::Hook:
      return "hook";
    case Work::Complete:
      return "complete";
    case Work::Open:
      return "open";
    case Work::Close:
      return "close";
    case Work::Own:
      return "thread";
  }
  return "";
}

const char* thread_kind_name(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::Main:
      return "main";
    case ThreadKind::Pool:
      return "pool";
    case ThreadKind::Control:
      return "control";
    case ThreadKind::Task:
      return "task";
    case ThreadKind::Event:
      return "event";
    case ThreadKind::Store:
      return "store";
    case ThreadKind::Own:
      return "own";
    case ThreadKind::Other:
    case ThreadKind::Watchdog:
      break;
  }
  return "other";
}

}  // namespace tenon::core
