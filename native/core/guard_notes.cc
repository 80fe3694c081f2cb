#include "guard_notes.h"

#include <memory>
#include <mutex>
#include <utility>

namespace tenon::core {

namespace {

constexpr size_t kMost = 256;

struct Notes {
  std::mutex mutex;
  std::vector<GuardNote> list;
};

Notes& notes() {
  // Never taken down: threads of the core end after static objects have.
  static Notes& all = *std::unique_ptr<Notes>(new Notes()).release();
  return all;
}

}  // namespace

void note_guard(GuardNote note) {
  Notes& all = notes();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (all.list.size() < kMost) all.list.push_back(std::move(note));
}

std::vector<GuardNote> take_guard_notes() {
  Notes& all = notes();
  const std::lock_guard<std::mutex> lock(all.mutex);
  return std::exchange(all.list, {});
}

}  // namespace tenon::core
