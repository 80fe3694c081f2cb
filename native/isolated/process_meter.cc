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

bool has_ended(pid_t pid) {
  const std::string stat = contents_of(path_of(pid, "stat"));
  const size_t after_name = stat.rfind(')');
  return after_name == std::string::npos || stat.compare(after_name, 3, ") Z") == 0;
}

}  // namespace

ProcessUse use_of(pid_t pid) {
  // pid (name) state … ; the name may hold anything.
  const std::string stat = contents_of(path_of(pid, "stat"));
  const size_t after_name = stat.rfind(')');
  if (after_name == std::string::npos) return {};
  constexpr int kFlags = 9;
  constexpr unsigned long kExiting = 0x4;  // PF_EXITING
  constexpr int kThreads = 20;
  constexpr int kResidentPages = 24;
  ProcessUse use;
  int field = 2;
  size_t at = after_name;
  while ((at = stat.find(' ', at)) != std::string::npos) {
    at++;
    field++;
    if (field == kFlags) use.is_exiting = (std::strtoul(&stat[at], nullptr, 10) & kExiting) != 0;
    if (field == kThreads) use.threads = static_cast<uint32_t>(std::strtoul(&stat[at], nullptr, 10));
    if (field == kResidentPages) {
      use.resident_bytes = std::strtoull(&stat[at], nullptr, 10) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
      break;
    }
  }
  return use;
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

// What a child has left behind is a child of the runner's, which does not wait for it: once it has ended it only counts
// where there are many.
uint32_t processes_below(pid_t pid, uint32_t most) {
  constexpr size_t kMostUnwaited = 256;
  std::vector<pid_t> found = {pid};
  for (size_t index = 0; index < found.size() && found.size() <= most + kMostUnwaited; index++) {
    const std::string tasks = path_of(found[index], "task");
    each_entry(tasks, [&](const char* task) {
      const std::string children = contents_of(tasks + "/" + task + "/children");
      const char* at = children.c_str();
      char* end = nullptr;
      for (long child; (child = std::strtol(at, &end, 10)) > 0; at = end) found.push_back(static_cast<pid_t>(child));
    });
  }
  if (found.size() > most + kMostUnwaited) return most;
  const auto runs = [](pid_t one) { return !has_ended(one); };
  return static_cast<uint32_t>(std::count_if(found.begin() + 1, found.end(), runs));
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

uint32_t processes_below(pid_t, uint32_t) { return 0; }

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
