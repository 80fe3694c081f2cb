#ifndef TENON_CORE_MACHINE_H
#define TENON_CORE_MACHINE_H

#include <optional>
#include <string>

namespace tenon::core {

// Whether files below `directory` may be mapped executable: false on a noexec mount, and when it cannot be asked.
bool may_execute(const std::string& directory);

// Whether an image opened from `path` is in the process's list of images.
bool image_mapped(const std::string& path);

// What came of having two names change places.
enum class Exchange { done, unsupported, failed };

// What `one` and `other` (absolute) name is named the other way round, in one step: nobody finds either of them
// missing. `unsupported`: this file system, or system, cannot. `failed`: `problem` says why.
Exchange exchange_names(const std::string& one, const std::string& other, std::string& problem);

// Exclusive hold of a file by this process; ends with it, however it ends.
class FileLock {
 public:
  FileLock() = default;
  ~FileLock() { release(); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Make `path` when it is absent, lock it and write this process's id into it. False when that failed: `problem` says
  // why, and `holder` is the id of the process that has it, or 0.
  bool acquire(const std::string& path, int& holder, std::string& problem);
  void release();
  // Of the locked file, -1 without one: a process that is given it holds the lock, too.
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

}  // namespace tenon::core

#endif
