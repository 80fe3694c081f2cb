#ifndef TENON_CORE_PARENT_WATCH_H
#define TENON_CORE_PARENT_WATCH_H

#include <sys/types.h>

#include <cstdint>

namespace tenon::core {

/*
 * Tells when a process is to be ended because nobody else will: the parent that would have seen it hang is gone, and
 * its event loop, which would have heard of that, stands.
 */
class ParentWatch {
 public:
  // `stood_ns`: for the event loop to stand from the end of `parent` on.
  ParentWatch(pid_t parent, uint64_t stood_ns) : parent_(parent), stood_ns_(stood_ns) {}

  // `beat`: when the loop turned last; 0: it has not yet.
  bool is_over(uint64_t time, pid_t parent, uint64_t beat) {
    if (parent == parent_) return false;
    if (gone_ == 0) gone_ = time;
    const uint64_t since = beat > gone_ ? beat : gone_;
    return time > since && time - since > stood_ns_;
  }

 private:
  const pid_t parent_;
  const uint64_t stood_ns_;
  uint64_t gone_ = 0;
};

}  // namespace tenon::core

#endif
