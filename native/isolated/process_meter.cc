#include "process_meter.h"

#include <algorithm>

#if defined(__linux__)
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>
#elif defined(__APPLE__)
#include <libproc.h>
#include <mach/mach_time.h>
#endif

namespace tenon::isolated {

#if defined(__linux__)

namespace {

std::string path_of(pid_t pid, const char* name) { return "/proc/" + std::to_string(pid) + "/" + name; }

std::string contents_of(const std::string& path) {
  constexpr size_t kMostBytes = 64 * 1024;
  std::array<char, 2048> bytes;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::string contents;
  ssize_t got;
  while (contents.size() < kMostBytes && (got = read(file, bytes.data(), bytes.size())) > 0) {
    contents.append(bytes.data(), static_cast<size_t>(got));
  }
  close(file);
  return contents;
}

template <typename Visit>
void each_entry(const std::string& path, Visit visit) {
  DIR* const folder = opendir(path.c_str());
  if (folder == nullptr) return;
  while (const dirent* const entry = readdir(folder)) {
    if (entry->d_name[0] != '.') visit(entry->d_name);
  }
  closedir(folder);
}

// Of /proc/PID/stat; as of one that is gone where there is none.
struct Stat {
  char state = 'X';
  pid_t group = 0;
  unsigned long flags = 0;
  uint32_t threads = 0;
  uint64_t resident_pages = 0;
  // One whose first thread has ended has the state of a zombie while others of its run.
  bool runs() const { return state != 'X' && (state != 'Z' || threads > 1); }
  uint32_t threads_beside() const { return threads - std::min(threads, 1u); }
};

Stat stat_of(pid_t pid) {
  // pid (name) state … ; the name may hold anything.
  const std::string bytes = contents_of(path_of(pid, "stat"));
  const size_t after_name = bytes.rfind(')');
  if (after_name == std::string::npos) return {};
  constexpr int kState = 3;
  constexpr int kGroup = 5;
  constexpr int kFlags = 9;
  constexpr int kThreads = 20;
  constexpr int kResidentPages = 24;
  Stat stat;
  int field = 2;
  size_t at = after_name;
  while ((at = bytes.find(' ', at)) != std::string::npos && field < kResidentPages) {
    const char* const value = &bytes[++at];
    field++;
    if (field == kState) stat.state = *value;
    if (field == kGroup) stat.group = static_cast<pid_t>(std::strtol(value, nullptr, 10));
    if (field == kFlags) stat.flags = std::strtoul(value, nullptr, 10);
    if (field == kThreads) stat.threads = static_cast<uint32_t>(std::strtoul(value, nullptr, 10));
    if (field == kResidentPages) stat.resident_pages = std::strtoull(value, nullptr, 10);
  }
  return stat;
}

// Those that run, of any that have been found one after the other: what still does when all have been found did so at
// the same time, however fast others come and go.
class Found {
 public:
  explicit Found(Children most) : most_(most) {}
  const std::vector<pid_t>& pids() const { return pids_; }
  // Whether to look for more: there may be some that have ended by now.
  bool goes_on() const { return pids_.size() <= most_.processes + kMostEnded && threads_ <= most_.threads; }
  void add(pid_t pid, const Stat& stat) {
    pids_.push_back(pid);
    threads_ += stat.threads_beside();
  }
  Children still() const {
    Children children;
    for (const pid_t pid : pids_) {
      const Stat stat = stat_of(pid);
      if (!stat.runs()) continue;
      children.processes++;
      children.threads += stat.threads_beside();
    }
    return children;
  }

  static constexpr size_t kMostEnded = 4096;

 private:
  const Children most_;
  std::vector<pid_t> pids_;
  uint32_t threads_ = 0;
};

}  // namespace

ProcessUse use_of(pid_t pid) {
  constexpr unsigned long kExiting = 0x4;  // PF_EXITING
  const Stat stat = stat_of(pid);
  return {stat.resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)), stat.threads,
          (stat.flags & kExiting) != 0};
}

uint64_t processor_ns_of(pid_t pid) {
  clockid_t clock;
  timespec time = {};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

uint32_t descriptors_of(pid_t pid) {
  uint32_t count = 0;
  each_entry(path_of(pid, "fd"), [&count](const char*) { count++; });
  return count;
}

Children children_of(pid_t pid, Children most) {
  Found found(most);
  size_t ended = 0;  // that nobody has waited for
  const auto goes_on = [&] { return found.goes_on() && ended <= Found::kMostEnded; };
  const auto look_below = [&](pid_t parent) {
    const std::string tasks = path_of(parent, "task");
    each_entry(tasks, [&](const char* task) {
      const std::string children = goes_on() ? contents_of(tasks + "/" + task + "/children") : std::string();
      const char* at = children.c_str();
      char* end = nullptr;
      for (long child; goes_on() && (child = std::strtol(at, &end, 10)) > 0; at = end) {
        const Stat stat = stat_of(static_cast<pid_t>(child));
        if (stat.runs()) {
          found.add(static_cast<pid_t>(child), stat);
        } else {
          ended++;
        }
      }
    });
  };
  look_below(pid);
  for (size_t index = 0; goes_on() && index < found.pids().size(); index++) look_below(found.pids()[index]);
  return found.still();
}

Children group_of(pid_t pid, Children most) {
  Found found(most);
  each_entry("/proc", [&](const char* name) {
    const auto one = static_cast<pid_t>(std::strtol(name, nullptr, 10));
    if (!found.goes_on() || one <= 0 || one == pid) return;
    const Stat stat = stat_of(one);
    if (stat.group == pid && stat.runs()) found.add(one, stat);
  });
  return found.still();
}

#elif defined(__APPLE__)

namespace {

proc_taskinfo info_of(pid_t pid) {
  proc_taskinfo info = {};
  proc_pidinfo(pid, PROC_PIDTASKINFO, 0, &info, sizeof info);
  return info;
}

}  // namespace

ProcessUse use_of(pid_t pid) {
  const proc_taskinfo info = info_of(pid);
  return {info.pti_resident_size, static_cast<uint32_t>(info.pti_threadnum)};
}

uint64_t processor_ns_of(pid_t pid) {
  const proc_taskinfo info = info_of(pid);
  mach_timebase_info_data_t base = {};
  mach_timebase_info(&base);
  return (info.pti_total_user + info.pti_total_system) * base.numer / base.denom;
}

uint32_t descriptors_of(pid_t pid) {
  const int size = proc_pidinfo(pid, PROC_PIDLISTFDS, 0, nullptr, 0);
  return size <= 0 ? 0 : static_cast<uint32_t>(static_cast<size_t>(size) / PROC_PIDLISTFD_SIZE);
}

Children children_of(pid_t, Children) { return {}; }

Children group_of(pid_t, Children) { return {}; }

#endif

ProcessFigures figures_of(pid_t pid) { return {use_of(pid), processor_ns_of(pid), descriptors_of(pid)}; }

bool ProcessorShare::is_over(uint64_t time, uint64_t used) {
  if (looked_ == 0) {
    looked_ = time;
    used_ = used;
    return false;
  }
  const auto share = [this](uint64_t ns) { return static_cast<int64_t>(ns / 100 * percent_); };
  owed_ += static_cast<int64_t>(used - std::min(used, used_)) - share(time - looked_);
  owed_ = std::max(owed_, -share(kPeriodNs));
  looked_ = time;
  used_ = used;
  return owed_ > 0;
}

}  // namespace tenon::isolated
