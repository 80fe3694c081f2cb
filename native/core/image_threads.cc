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
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>

#include "clock.h"

namespace tenon::core {

namespace {

// For all threads that are asked together: one that waits for a processor cannot answer.
constexpr uint64_t kAnswerNs = 10'000'000;
constexpr uint64_t kGrownMs = 1000;
constexpr size_t kStackBytes = 1024 * 1024;
// More than glibc's struct pthread has, which stands at the upper end of a stack and holds the thread's first function.
constexpr uintptr_t kDescriptorBytes = 2560;

struct Range {
  uintptr_t begin;
  uintptr_t end;
};
using Ranges = std::vector<Range>;

bool holds(const Ranges& ranges, uintptr_t address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [address](const Range& range) { return address >= range.begin && address < range.end; });
}

struct Wanted {
  const std::string& path;
  Ranges ranges;
};

Ranges executable_segments(const std::string& path) {
  Wanted wanted{path, {}};
  const auto look = [](dl_phdr_info* image, size_t, void* context) -> int {
    Wanted& found = *static_cast<Wanted*>(context);
    if (image->dlpi_name == nullptr || found.path != image->dlpi_name) return 0;
    for (size_t index = 0; index < image->dlpi_phnum; index++) {
      const ElfW(Phdr)& segment = image->dlpi_phdr[index];
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
      const auto begin = static_cast<uintptr_t>(image->dlpi_addr + segment.p_vaddr);
      found.ranges.push_back({begin, begin + static_cast<uintptr_t>(segment.p_memsz)});
    }
    return 1;
  };
  dl_iterate_phdr(look, &wanted);
  return std::move(wanted.ranges);
}

// Threads that are the host's own, and those that were the core's when they were last heard of: on its way out of the
// process a thread answers no signal.
struct OwnThreads {
  std::mutex mutex;
  std::set<pid_t> ids;
  std::set<pid_t> left;
};

OwnThreads& own_threads() {
  // Never taken down: threads of the core end after static objects have.
  static OwnThreads& threads = *std::unique_ptr<OwnThreads>(new OwnThreads()).release();
  return threads;
}

pid_t this_thread() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// /proc/self/task, open: what is asked of many threads is found from here.
class TaskDirectory {
 public:
  TaskDirectory() : directory_(opendir("/proc/self/task"), closedir) {}

  std::vector<pid_t> list() const {
    std::vector<pid_t> threads;
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
  const std::unique_ptr<DIR, int (*)(DIR*)> directory_;
};

// Where a thread stands.
struct Place {
  uintptr_t stack = 0;
  uintptr_t code = 0;
};

// The signal that a running thread answers by leaving its place here. One is asked at a time.
std::atomic<pid_t> asked{0};
std::atomic<pid_t> answered{0};
std::atomic<uintptr_t> answered_stack{0};
std::atomic<uintptr_t> answered_code{0};

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

struct Stat {
  bool ending = false;  // comes back to no code; one that was joined may still be listed
  uint64_t age_ms = 0;
};

Stat read_stat(const TaskDirectory& tasks, pid_t thread) {
  constexpr unsigned kExiting = 0x4;  // PF_EXITING
  const std::string text = tasks.read(thread, "stat");
  const size_t name_end = text.rfind(')');
  unsigned flags = 0;
  unsigned long long start = 0;
  if (name_end == std::string::npos ||
      std::sscanf(text.c_str() + name_end + 1,
                  " %*c %*s %*s %*s %*s %*s %u %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &flags,
                  &start) != 2)
    return {};
  timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  const uint64_t time_ms = static_cast<uint64_t>(time.tv_sec) * 1000 + static_cast<uint64_t>(time.tv_nsec) / 1'000'000;
  const uint64_t start_ms = start * 1000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  return {(flags & kExiting) != 0, time_ms > start_ms ? time_ms - start_ms : 0};
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
    if (read_stat(tasks, thread).ending) return Found::Ended;
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
      return Found::Standing;
    }
    if (now() > end) return Found::Unknown;
  }
}

// Whether a word from `stack` upwards is an address in `ranges`: to the end of the thread's stack where it can be told,
// else to the first page that cannot be read. A thread has not come back from where such a word says it came.
bool stack_leads_to(uintptr_t stack, const Ranges& ranges) {
  constexpr size_t kPage = 4096;
  constexpr size_t kPages = 4;
  alignas(uintptr_t) std::array<char, kPages * kPage> bytes;
  uintptr_t address = stack & ~(sizeof(uintptr_t) - 1);
  uintptr_t end = address + kStackBytes;
  uintptr_t descriptor = 0;
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
    if (got <= 0) return false;
    for (size_t at = 0; at + sizeof(uintptr_t) <= static_cast<size_t>(got) && address < end; at += sizeof(uintptr_t)) {
      uintptr_t word;
      std::memcpy(&word, bytes.data() + at, sizeof word);
      if (holds(ranges, word)) return true;
#if defined(__x86_64__)
      // The descriptor begins with its own address and has it again two words on.
      if (word == address) descriptor = address;
      if (descriptor != 0 && word == descriptor && address == descriptor + 2 * sizeof(uintptr_t)) {
        end = std::min(end, descriptor + kDescriptorBytes);
      }
#endif
      address += sizeof(uintptr_t);
    }
    if (static_cast<size_t>(got) < size) return false;
  }
  return false;
}

bool is_in(const TaskDirectory& tasks, pid_t thread, uint64_t end, const Ranges& ranges, bool left_core) {
  Place place;
  switch (find_place(tasks, thread, end, place)) {
    case Found::Ended:
      return false;
    case Found::Unknown:
      // One that has just started cannot answer yet: it may be the core's.
      return !left_core && read_stat(tasks, thread).age_ms >= kGrownMs;
    case Found::Standing:
      break;
  }
  return place.code != 0 && (holds(ranges, place.code) || stack_leads_to(place.stack, ranges));
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
    const std::vector<pid_t> present = TaskDirectory().list();
    OwnThreads& own = own_threads();
    const std::lock_guard<std::mutex> lock(own.mutex);
    own.ids.insert(present.begin(), present.end());
    return true;
  }();
  static_cast<void>(once);
}

void enter_core_thread() {
  OwnThreads& own = own_threads();
  const std::lock_guard<std::mutex> lock(own.mutex);
  own.left.erase(this_thread());
  own.ids.insert(this_thread());
}

void leave_core_thread() {
  OwnThreads& own = own_threads();
  const std::lock_guard<std::mutex> lock(own.mutex);
  own.ids.erase(this_thread());
  own.left.insert(this_thread());
}

std::vector<ImageThread> threads_in_image(const std::string& path) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> turn(one_at_a_time);
  std::vector<ImageThread> found;
  const Ranges ranges = executable_segments(path);
  if (ranges.empty()) return found;
  const TaskDirectory tasks;
  const uint64_t end = now() + kAnswerNs;
  std::set<pid_t> seen = {this_thread()};
  // Again as long as there are new ones: a thread of the image may have started another and ended.
  for (bool fresh = true; fresh && found.empty();) {
    fresh = false;
    const std::vector<pid_t> listed = tasks.list();
    OwnThreads own;
    {
      OwnThreads& known = own_threads();
      const std::lock_guard<std::mutex> lock(known.mutex);
      own.ids = known.ids;
      for (const pid_t thread : listed) {
        if (known.left.count(thread) != 0) own.left.insert(thread);
      }
      known.left = own.left;
    }
    for (const pid_t thread : listed) {
      if (own.ids.count(thread) != 0 || !seen.insert(thread).second) continue;
      fresh = true;
      if (is_in(tasks, thread, end, ranges, own.left.count(thread) != 0))
        found.push_back({thread, name_of(tasks, thread)});
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
std::vector<ImageThread> threads_in_image(const std::string&) { return {}; }

}  // namespace tenon::core

#endif
