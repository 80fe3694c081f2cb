#ifndef TENON_ISOLATED_PROCESS_METER_H
#define TENON_ISOLATED_PROCESS_METER_H

#include <sys/types.h>

#include <cstdint>

namespace tenon::isolated {

// What a process has of the system now; 0 where that does not tell, or the process is gone.
struct ProcessUse {
  uint64_t resident_bytes = 0;
  uint32_t threads = 0;
  bool is_exiting = false;  // what it lets go of it does because it ends
};

// The same for people, at one time.
struct ProcessFigures {
  ProcessUse use;
  uint64_t processor_ns = 0;
  uint32_t descriptors = 0;
};

// What a process has begun and what that has begun, as far as it runs.
struct Children {
  uint32_t processes = 0;
  uint32_t threads = 0;  // beside the first of each
};

ProcessUse use_of(pid_t pid);          // [any]
ProcessFigures figures_of(pid_t pid);  // [any]
uint64_t processor_ns_of(pid_t pid);   // of all its threads, since it began [any]
uint32_t descriptors_of(pid_t pid);    // open ones [any]
// At one time. Beyond `most` of either not all are counted, but too many; nothing on macOS. [any]
Children children_of(pid_t pid, Children most);  // without those whose parent has ended
Children group_of(pid_t pid, Children most);  // all in the process group that it leads; reads all processes there are

/*
 * Whether a process is due for a pause, so that it uses no more than its share of a processor. What it uses beyond its
 * share is owed, and it is stopped until its share has made up for that; what it leaves unused is kept for one period.
 */
class ProcessorShare {
 public:
  static constexpr uint64_t kPeriodNs = 100'000'000;
  // `percent` of one processor; 0: no limit.
  explicit ProcessorShare(uint32_t percent) : percent_(percent) {}
  bool is_limited() const { return percent_ > 0; }
  // At `time`, when it has used `used` since it began: whether it is to stand still until the next look.
  bool is_over(uint64_t time, uint64_t used);

 private:
  uint32_t percent_;
  uint64_t looked_ = 0;
  uint64_t used_ = 0;
  int64_t owed_ = 0;
};

}  // namespace tenon::isolated

#endif
