#include "image_threads.h"

#if defined(__linux__)

#include <dirent.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "clock.h"
#include "thread_priority.h"

namespace tenon::core {

namespace {

// For all threads that are asked together: one that waits for a processor cannot answer.
constexpr uint64_t kAnswerNs = 10'000'000;
constexpr size_t kStackBytes = 1024 * 1024;
// More than glibc's struct pthread has, which stands at the upper end of a stack and holds the thread's first function.
constexpr uintptr_t kDescriptorBytes = 2560;

// Where the code of the images is that are asked for, in order of addresses.
class Segments {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  explicit Segments(const std::vector<std::string>& paths) : paths_(paths), mapped_(paths.size(), false) {
    dl_iterate_phdr(add, this);
    std::sort(segments_.begin(), segments_.end(),
              [](const Segment& one, const Segment& other) { return one.begin < other.begin; });
    images_ = static_cast<size_t>(std::count(mapped_.begin(), mapped_.end(), true));
  }

  // How many of the paths are mapped.
  size_t images() const { return images_; }
  bool mapped(size_t path) const { return mapped_[path]; }

  // The path whose code is at `address`, or kNone.
  size_t image_at(uintptr_t address) const {
    const auto after = std::upper_bound(segments_.begin(), segments_.end(), address,
                                        [](uintptr_t wanted, const Segment& one) { return wanted < one.begin; });
    if (after == segments_.begin()) return kNone;
    const Segment& segment = *std::prev(after);
    return address < segment.end ? segment.path : kNone;
  }

 private:
  struct Segment {
    uintptr_t begin;
    uintptr_t end;
    size_t path;
  };

  static int add(dl_phdr_info* image, size_t, void* context) {
    Segments& own = *static_cast<Segments*>(context);
    if (image->dlpi_name == nullptr) return 0;
    const auto found = std::find(own.paths_.begin(), own.paths_.end(), image->dlpi_name);
    const auto path = static_cast<size_t>(found - own.paths_.begin());
    if (found == own.paths_.end() || own.mapped_[path]) return 0;
    for (size_t index = 0; index < image->dlpi_phnum; index++) {
      const ElfW(Phdr)& segment = image->dlpi_phdr[index];
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
      const auto begin = static_cast<uintptr_t>(image->dlpi_addr + segment.p_vaddr);
      own.segments_.push_back({begin, begin + static_cast<uintptr_t>(segment.p_memsz), path});
      own.mapped_[path] = true;
    }
    return 0;
  }

  const std::vector<std::string>& paths_;
  std::vector<Segment> segments_;
  std::vector<bool> mapped_;
  size_t images_ = 0;
};

// Threads that are the host's own, and those that were the core's when they were last heard of: on its way out of the
// process a thread answers no signal.
struct OwnThreads {
  std::mutex mutex;
  std::set<pid_t> ids;
  std::set<pid_t> left;
  // Made by `start_core_thread`, and not in `ids` yet.
  int starting = 0;
  // Made by plugins, and not where their stacks say so yet.
  int foreign_starting = 0;
  std::condition_variable entered;
};

OwnThreads& own_threads() {
  // Never taken down: threads of the core end after static objects have.
  static OwnThreads& threads = *std::unique_ptr<OwnThreads>(new OwnThreads()).release();
  return threads;
}

pid_t this_thread() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// /proc/self/task, open: what is asked of many threads is found from here. It is opened once, for a process that has
// run out of descriptors must still find its threads.
class TaskDirectory {
 public:
  std::vector<pid_t> list() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<pid_t> threads;
    if (!directory_) directory_.reset(opendir("/proc/self/task"));
    if (!directory_) return threads;
    rewinddir(directory_.get());
    while (const dirent* const entry = readdir(directory_.get())) {
      if (const int id = std::atoi(entry->d_name); id > 0) threads.push_back(id);
    }
    return threads;
  }

  // Empty when the thread has ended, or nothing may be known.
  std::string read(pid_t thread, const char* fact) const {
    if (!directory_) return {};
    char path[32];
    std::snprintf(path, sizeof path, "%d/%s", static_cast<int>(thread), fact);
    const int file = openat(dirfd(directory_.get()), path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    char text[256];
    const ssize_t size = ::read(file, text, sizeof text);
    close(file);
    return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
  }

  bool has(pid_t thread) const {
    return directory_ && faccessat(dirfd(directory_.get()), std::to_string(thread).c_str(), F_OK, 0) == 0;
  }

 private:
  struct Closer {
    void operator()(DIR* directory) const { closedir(directory); }
  };

  std::mutex mutex_;
  std::unique_ptr<DIR, Closer> directory_;
};

TaskDirectory& task_directory() {
  // Never taken down, like the threads of the core.
  static TaskDirectory& directory = *std::unique_ptr<TaskDirectory>(new TaskDirectory()).release();
  return directory;
}

// Where a thread stands.
struct Place {
  uintptr_t stack = 0;
  uintptr_t code = 0;
  // Where it will return to, on machines that keep that in a register. Unknown of a thread that waits in the kernel.
  uintptr_t link = 0;
};

// The address that `word` is a return address to: where pointers are signed, the upper bits hold the signature.
uintptr_t address_in(uintptr_t word) {
#if defined(__aarch64__)
  return word & ((uintptr_t{1} << 48) - 1);
#else
  return word;
#endif
}

// The signal that a running thread answers by leaving its place here. One is asked at a time.
std::atomic<pid_t> asked{0};
std::atomic<pid_t> answered{0};
std::atomic<uintptr_t> answered_stack{0};
std::atomic<uintptr_t> answered_code{0};
std::atomic<uintptr_t> answered_link{0};

void answer(int, siginfo_t*, void* context) {
  const pid_t thread = this_thread();
  if (asked.load(std::memory_order_acquire) != thread) return;
  const mcontext_t& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  answered_stack.store(static_cast<uintptr_t>(registers.gregs[REG_RSP]), std::memory_order_relaxed);
  answered_code.store(static_cast<uintptr_t>(registers.gregs[REG_RIP]), std::memory_order_relaxed);
#else
  answered_stack.store(static_cast<uintptr_t>(registers.sp), std::memory_order_relaxed);
  answered_code.store(static_cast<uintptr_t>(registers.pc), std::memory_order_relaxed);
#if defined(__aarch64__)
  answered_link.store(static_cast<uintptr_t>(registers.regs[30]), std::memory_order_relaxed);
#endif
#endif
  answered.store(thread, std::memory_order_release);
}

// Stays for good: a signal that arrives late would end the process without it.
bool install_answer() {
  struct sigaction present = {};
  sigaction(thread_probe_signal(), nullptr, &present);
  if ((present.sa_flags & SA_SIGINFO) != 0 && present.sa_sigaction == answer) return true;
  if ((present.sa_flags & SA_SIGINFO) != 0 || present.sa_handler != SIG_DFL) return false;
  struct sigaction own = {};
  own.sa_sigaction = answer;
  own.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigfillset(&own.sa_mask);
  return sigaction(thread_probe_signal(), &own, nullptr) == 0;
}

// Whether it comes back to no code; one that was joined may still be listed.
bool is_ending(const TaskDirectory& tasks, pid_t thread) {
  constexpr unsigned kExiting = 0x4;  // PF_EXITING
  const std::string text = tasks.read(thread, "stat");
  const size_t name_end = text.rfind(')');
  unsigned flags = 0;
  return name_end != std::string::npos &&
         std::sscanf(text.c_str() + name_end + 1, " %*c %*s %*s %*s %*s %*s %u", &flags) == 1 &&
         (flags & kExiting) != 0;
}

enum class Found { Ended, Standing, Unknown };

// A thread that waits in the kernel is where /proc says; one that runs is asked, and has until `end` to answer.
Found find_place(const TaskDirectory& tasks, pid_t thread, uint64_t end, Place& place) {
  bool may_ask = true;
  bool waits = false;
  for (;;) {
    const std::string said = tasks.read(thread, "syscall");
    if (said.empty() && !tasks.has(thread)) return Found::Ended;
    // "number arguments stack code", or "-1 stack code" outside of a system call.
    if (const size_t code = said.rfind(" 0x"); code != std::string::npos && code > 0) {
      const size_t stack = said.rfind(" 0x", code - 1);
      if (stack != std::string::npos) {
        place.stack = std::strtoull(said.c_str() + stack + 1, nullptr, 16);
        place.code = std::strtoull(said.c_str() + code + 1, nullptr, 16);
        return Found::Standing;
      }
    }
    if (is_ending(tasks, thread)) return Found::Ended;
    if (may_ask) {
      may_ask = false;
      answered.store(0, std::memory_order_relaxed);
      asked.store(thread, std::memory_order_release);
      waits = install_answer() && syscall(SYS_tgkill, getpid(), thread, thread_probe_signal()) == 0;
    }
    const timespec moment = {0, 20'000};
    nanosleep(&moment, nullptr);
    if (waits && answered.load(std::memory_order_acquire) == thread) {
      place.stack = answered_stack.load(std::memory_order_relaxed);
      place.code = answered_code.load(std::memory_order_relaxed);
      place.link = answered_link.load(std::memory_order_relaxed);
      return Found::Standing;
    }
    if (now() > end) return Found::Unknown;
  }
}

// Add to `images` each one that a word from `stack` upwards is an address in: to the end of the thread's stack where it
// can be told, else to the first page that cannot be read. A thread has not come back from where such a word says it
// came. False when the stack could not be read.
bool add_images_of_stack(uintptr_t stack, const Segments& segments, std::set<size_t>& images) {
  constexpr size_t kPage = 4096;
  constexpr size_t kPages = 4;
  alignas(uintptr_t) std::array<char, kPages * kPage> bytes;
  const uintptr_t begin = stack & ~(sizeof(uintptr_t) - 1);
  uintptr_t address = begin;
  uintptr_t end = address + kStackBytes;
#if defined(__x86_64__)
  uintptr_t descriptor = 0;
#endif
  // Most threads that wait are within a page or two of the end.
  for (size_t count = 1; address < end; count = kPages) {
    // One piece for each page: a piece is read whole or not at all.
    std::array<iovec, kPages> pages;
    size_t size = 0;
    for (size_t index = 0; index < count; index++) {
      iovec& page = pages[index];
      page.iov_base = reinterpret_cast<void*>(address + size);
      page.iov_len = kPage - (address + size) % kPage;
      size += page.iov_len;
    }
    const iovec here = {bytes.data(), size};
    const ssize_t got = process_vm_readv(getpid(), &here, 1, pages.data(), count, 0);
    // Only the end of the mapping is an end: the system may also refuse (seccomp), which says nothing.
    if (got <= 0) return got < 0 && errno == EFAULT && address != begin;
    for (size_t at = 0; at + sizeof(uintptr_t) <= static_cast<size_t>(got) && address < end; at += sizeof(uintptr_t)) {
      uintptr_t word;
      std::memcpy(&word, bytes.data() + at, sizeof word);
      if (const size_t image = segments.image_at(address_in(word)); image != Segments::kNone) {
        images.insert(image);
        if (images.size() == segments.images()) return true;
      }
#if defined(__x86_64__)
      // The descriptor begins with its own address and has it again two words on.
      if (word == address) descriptor = address;
      if (descriptor != 0 && word == descriptor && address == descriptor + 2 * sizeof(uintptr_t)) {
        end = std::min(end, descriptor + kDescriptorBytes);
      }
#endif
      address += sizeof(uintptr_t);
    }
    if (static_cast<size_t>(got) < size) return true;
  }
  return true;
}

// The images that a thread is in; nothing when that is not known, and it may be in each of them.
std::optional<std::set<size_t>> images_of(const TaskDirectory& tasks, pid_t thread, uint64_t end,
                                          const Segments& segments, bool left_core) {
  std::set<size_t> images;
  Place place;
  switch (find_place(tasks, thread, end, place)) {
    case Found::Ended:
      return images;
    case Found::Unknown:
      // Whoever takes an image down has joined those that were in it.
      if (left_core) return images;
      return std::nullopt;
    case Found::Standing:
      break;
  }
  if (place.code == 0) return images;
  for (const uintptr_t address : {place.code, address_in(place.link)})
    if (const size_t image = segments.image_at(address); image != Segments::kNone) images.insert(image);
  if (images.size() == segments.images() || add_images_of_stack(place.stack, segments, images)) return images;
  return std::nullopt;
}

std::string name_of(const TaskDirectory& tasks, pid_t thread) {
  std::string name = tasks.read(thread, "comm");
  if (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

}  // namespace

int thread_probe_signal() { return SIGRTMAX - 2; }

void know_present_threads() {
  static const bool once = [] {
    const std::vector<pid_t> present = task_directory().list();
    OwnThreads& own = own_threads();
    const std::lock_guard<std::mutex> lock(own.mutex);
    own.ids.insert(present.begin(), present.end());
    return true;
  }();
  static_cast<void>(once);
}

bool start_core_thread(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) {
  OwnThreads& own = own_threads();
  {
    const std::lock_guard<std::mutex> lock(own.mutex);
    own.starting++;
  }
  if (create_thread(thread, attributes, main, argument) == 0) return true;
  const std::lock_guard<std::mutex> lock(own.mutex);
  own.starting--;
  own.entered.notify_all();
  return false;
}

void enter_core_thread() {
  OwnThreads& own = own_threads();
  const std::lock_guard<std::mutex> lock(own.mutex);
  own.left.erase(this_thread());
  own.ids.insert(this_thread());
  own.starting--;
  own.entered.notify_all();
}

void leave_core_thread() {
  OwnThreads& own = own_threads();
  const std::lock_guard<std::mutex> lock(own.mutex);
  own.ids.erase(this_thread());
  own.left.insert(this_thread());
}

void expect_foreign_thread() {
  OwnThreads& own = own_threads();
  const std::lock_guard<std::mutex> lock(own.mutex);
  own.foreign_starting++;
}

void foreign_thread_entered() {
  OwnThreads& own = own_threads();
  const std::lock_guard<std::mutex> lock(own.mutex);
  own.foreign_starting--;
  own.entered.notify_all();
}

std::vector<std::vector<ImageThread>> threads_in_images(const std::vector<std::string>& paths) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> turn(one_at_a_time);
  std::vector<std::vector<ImageThread>> found(paths.size());
  const Segments segments(paths);
  if (segments.images() == 0) return found;
  TaskDirectory& tasks = task_directory();
  const uint64_t end = now() + kAnswerNs;
  std::set<pid_t> seen = {this_thread()};
  std::set<size_t> entered;
  // Again as long as there are new ones: a thread of an image may have started another and ended.
  for (bool fresh = true; fresh && entered.size() < segments.images();) {
    fresh = false;
    const std::vector<pid_t> listed = tasks.list();
    std::set<pid_t> own;
    std::set<pid_t> left;
    bool in_between = false;
    {
      OwnThreads& known = own_threads();
      std::unique_lock<std::mutex> lock(known.mutex);
      // One of the core's that is listed and has not entered yet would pass for another's.
      known.entered.wait_for(lock, std::chrono::nanoseconds(kAnswerNs),
                             [&known] { return known.starting == 0 && known.foreign_starting == 0; });
      in_between = known.foreign_starting != 0;
      own = known.ids;
      for (const pid_t thread : listed) {
        if (known.left.count(thread) != 0) left.insert(thread);
      }
      known.left = left;
    }
    if (in_between) {
      for (size_t path = 0; path < paths.size(); path++)
        if (segments.mapped(path)) found[path].push_back({0, "being started", false});
      return found;
    }
    for (const pid_t thread : listed) {
      if (own.count(thread) != 0 || !seen.insert(thread).second) continue;
      fresh = true;
      const std::optional<std::set<size_t>> images = images_of(tasks, thread, end, segments, left.count(thread) != 0);
      if (images && images->empty()) continue;
      for (size_t path = 0; path < paths.size(); path++) {
        if (!segments.mapped(path) || (images && images->count(path) == 0)) continue;
        found[path].push_back({thread, name_of(tasks, thread), images.has_value()});
        entered.insert(path);
      }
    }
  }
  return found;
}

}  // namespace tenon::core

#else

namespace tenon::core {

int thread_probe_signal() { return 0; }
void know_present_threads() {}
void enter_core_thread() {}
void leave_core_thread() {}
void expect_foreign_thread() {}
void foreign_thread_entered() {}
bool start_core_thread(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument) {
  return create_thread(thread, attributes, main, argument) == 0;
}
std::vector<std::vector<ImageThread>> threads_in_images(const std::vector<std::string>& paths) {
  return std::vector<std::vector<ImageThread>>(paths.size());
}

}  // namespace tenon::core

#endif
