#include "descriptor_guard.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "guard_notes.h"
#include "import_hooks.h"
#include "plugin_gauges.h"

namespace tenon::core {

namespace {

// Larger numbers are not kept.
constexpr int kMost = 65536;

// What is known of a number: nothing, the host's as long as it is that file, opened or closed last by an image.
enum class Holder : uint64_t { Unknown, Host, Opened, Closed };
struct Known {
  Holder holder;
  ImageIndex image;
  uint64_t file;  // of the host's; 46 bits
};

std::array<std::atomic<uint64_t>, kMost> all;
std::atomic<int> used{0};

uint64_t word_of(Known known) { return known.file << 18 | static_cast<uint64_t>(known.holder) << 16 | known.image; }
Known known_of(uint64_t word) {
  return {static_cast<Holder>(word >> 16 & 3), static_cast<ImageIndex>(word & 0xffff), word >> 18};
}

bool is_kept(int descriptor) { return descriptor >= 0 && descriptor < kMost; }

Known know(int descriptor, Known known) {
  int count = used.load(std::memory_order_relaxed);
  while (count <= descriptor && !used.compare_exchange_weak(count, descriptor + 1, std::memory_order_relaxed)) continue;
  return known_of(all[static_cast<size_t>(descriptor)].exchange(word_of(known), std::memory_order_acq_rel));
}

Known look(int descriptor) { return known_of(all[static_cast<size_t>(descriptor)].load(std::memory_order_acquire)); }

void uncount(Known before) {
  if (before.holder == Holder::Opened) gauges::add_descriptors(before.image, -1);
}

bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) != -1; }

// Which file it is, in 46 bits; false: none.
bool file_of(int descriptor, uint64_t& file) {
  struct stat facts = {};
  if (fstat(descriptor, &facts) != 0) return false;
  const uint64_t both = static_cast<uint64_t>(facts.st_ino) + static_cast<uint64_t>(facts.st_dev) * 0x9e3779b97f4a7c15;
  file = both * 0xd6e8feb86659fd93 >> 18;
  return true;
}

bool is_of_host(int descriptor, const Known& known) {
  uint64_t present = 0;
  return known.holder == Holder::Host && file_of(descriptor, present) && present == known.file;
}

void note_refusal(ImageIndex image, const char* call, const std::string& what) {
  note_guard({image, "descriptor", call + what, true, true});
}

// Whoever opens one unseen, as a library does, may get the number that it has closed, and closes what is its own.
void note_doubt(int descriptor, ImageIndex image, const char* call) {
  note_guard({image, "descriptor",
              std::string(call) + " of descriptor " + std::to_string(descriptor) +
                  ", which it has closed before: the number may have been somebody else's by now",
              false, false});
}

template <typename Visit>
void visit_open_descriptors(Visit visit) {
#if defined(__linux__)
  const auto close = [](DIR* directory) { closedir(directory); };
  const std::unique_ptr<DIR, decltype(close)> directory(opendir("/proc/self/fd"), close);
  if (!directory) return;
  while (const dirent* const entry = readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    const int descriptor = std::atoi(entry->d_name);
    if (descriptor != dirfd(directory.get())) visit(descriptor);
  }
#else
  (void)visit;
#endif
}

class KeptErrno {
 public:
  KeptErrno() : kept_(errno) {}
  ~KeptErrno() { errno = kept_; }
  KeptErrno(const KeptErrno&) = delete;
  KeptErrno& operator=(const KeptErrno&) = delete;

 private:
  const int kept_;
};

}  // namespace

void guard_present_descriptors() { visit_open_descriptors(protect_descriptor); }

void guard_open_descriptors() {
  visit_open_descriptors([](int descriptor) {
    uint64_t file = 0;
    if (!is_kept(descriptor) || !file_of(descriptor, file)) return;
    uint64_t word = all[static_cast<size_t>(descriptor)].load(std::memory_order_acquire);
    if (known_of(word).holder == Holder::Opened) return;
    all[static_cast<size_t>(descriptor)].compare_exchange_strong(word, word_of({Holder::Host, 0, file}),
                                                                 std::memory_order_acq_rel);
  });
}

void protect_descriptor(int descriptor) {
  const KeptErrno kept;
  uint64_t file = 0;
  if (is_kept(descriptor) && file_of(descriptor, file)) uncount(know(descriptor, {Holder::Host, 0, file}));
}

void release_descriptor(int descriptor) {
  if (!is_kept(descriptor)) return;
  uint64_t word = all[static_cast<size_t>(descriptor)].load(std::memory_order_acquire);
  if (known_of(word).holder != Holder::Host) return;
  all[static_cast<size_t>(descriptor)].compare_exchange_strong(word, 0, std::memory_order_acq_rel);
}

std::string forget_descriptors_of(ImageIndex image) {
  constexpr int kShown = 8;
  std::string shown;
  int found = 0;
  const int count = used.load(std::memory_order_relaxed);
  for (int descriptor = 0; descriptor < count; descriptor++) {
    uint64_t expected = word_of({Holder::Opened, image, 0});
    if (!all[static_cast<size_t>(descriptor)].compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) continue;
    if (found++ < kShown) shown += (shown.empty() ? "" : ", ") + std::to_string(descriptor);
  }
  return found > kShown ? shown + ", ..." : shown;
}

namespace descriptors {

void opened(int descriptor, ImageIndex image) {
  const KeptErrno kept;
  if (!is_kept(descriptor) || !gauges::is_open(image) || !in_host_process()) return;
  gauges::add_descriptors(image, 1);
  uncount(know(descriptor, {Holder::Opened, image, 0}));
}

Closing begin_close(int descriptor, ImageIndex image, const char* call) {
  const KeptErrno kept;
  constexpr Closing kUnseen = {true, 0};
  if (!is_kept(descriptor) || image == kNoImage || !in_host_process() || !is_open(descriptor)) return kUnseen;
  const Known known = look(descriptor);
  if (is_of_host(descriptor, known)) {
    note_refusal(image, call, " of descriptor " + std::to_string(descriptor) + ", which is the host's, was refused");
    return {false, 0};
  }
  if (known.holder == Holder::Closed && known.image == image) note_doubt(descriptor, image, call);
  const Known before = know(descriptor, {Holder::Closed, image, 0});
  uncount(before);
  return {true, word_of(before)};
}

void not_closed(int descriptor, ImageIndex image, const Closing& closing) {
  if (!is_kept(descriptor) || closing.before == 0) return;
  uint64_t expected = word_of({Holder::Closed, image, 0});
  std::atomic<uint64_t>& word = all[static_cast<size_t>(descriptor)];
  if (!word.compare_exchange_strong(expected, closing.before, std::memory_order_acq_rel)) return;
  const Known before = known_of(closing.before);
  if (before.holder == Holder::Opened) gauges::add_descriptors(before.image, 1);
}

bool may_close_range(unsigned first, unsigned last, ImageIndex image, const char* call) {
  const KeptErrno kept;
  if (image == kNoImage || !in_host_process() || first >= kMost) return true;
  const int end = static_cast<int>(std::min<unsigned>(last, kMost - 1)) + 1;
  for (int descriptor = static_cast<int>(first); descriptor < end; descriptor++) {
    if (look(descriptor).holder == Holder::Opened || !is_open(descriptor)) continue;
    note_refusal(image, call,
                 " of descriptors from " + std::to_string(first) + " on was refused: " + std::to_string(descriptor) +
                     " among them is not a plugin's");
    return false;
  }
  return true;
}

void closed_range(unsigned first, unsigned last, ImageIndex image) {
  const KeptErrno kept;
  if (image == kNoImage || !in_host_process() || first >= kMost) return;
  const int end = std::min(static_cast<int>(std::min<unsigned>(last, kMost - 1)) + 1, used.load());
  for (int descriptor = static_cast<int>(first); descriptor < end; descriptor++) {
    const Known known = look(descriptor);
    if (known.holder != Holder::Opened || is_open(descriptor)) continue;
    uint64_t expected = word_of(known);
    const uint64_t closed = word_of({Holder::Closed, image, 0});
    if (all[static_cast<size_t>(descriptor)].compare_exchange_strong(expected, closed, std::memory_order_acq_rel)) {
      uncount(known);
    }
  }
}

}  // namespace descriptors

}  // namespace tenon::core
