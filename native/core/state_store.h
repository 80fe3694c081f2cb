#ifndef TENON_CORE_STATE_STORE_H
#define TENON_CORE_STATE_STORE_H

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tenon/ext/state.h"
#include "value_file.h"

namespace tenon::core {

// Key-value state of one plugin, across its generations. [any]
class StateStore {
 public:
  static constexpr size_t kKeyBytes = 255;

  // TENON_ERROR_STORAGE when it has a file that does not take the change: nothing has changed then.
  tenon_status put(tenon_bytes_t key, tenon_bytes_t value);
  tenon_status get(tenon_bytes_t key, void* buffer, size_t capacity, size_t* value_size) const;
  tenon_status remove(tenon_bytes_t key);

  /*
   * From here on every change is in the file at `path`, absolute, before `put` or `remove` answers; its directory is
   * made by the first. With `recover` the values are those of the file when they are newer than those here, else the
   * file is replaced by these at the first change. What the file had to say. One that is damaged is left alone, and its
   * values up to there are taken: it is replaced by `keep_in` without `recover`. After `Unreadable` nothing is kept.
   */
  ValueFile::Found keep_in(const std::string& path, bool recover);
  // The values are in memory alone from here on; the file stays.
  void keep_in_memory();

  // Every key and value as one block: a version byte (2), the number of the last change (8 bytes), then for each key
  // its length (1 byte), the value's length (4 bytes), key and value; numbers are little-endian. In no order.
  std::string export_values();
  // Replace all values by those of such a block, or of version 1, which has no number; they are in memory alone then. A
  // sentence that says what is wrong with it, and then nothing has changed; empty when it was taken.
  std::string import_values(std::string_view block);

 private:
  using Values = std::unordered_map<std::string, std::string>;

  void replace(Values& values);
  std::string block() const;
  bool write_whole();
  bool keep(ValueFile::Kind kind, std::string_view key, std::string_view value);
  // Grow, also over all hosts whose files may be found again.
  void outnumber_all();

  // One change at a time, with what the disk takes for it; taken before `mutex_`. Whoever has it may read all of these.
  std::mutex change_;
  // Of `values_`: short, so that a read waits for no disk.
  mutable std::mutex mutex_;
  Values values_;
  size_t bytes_ = 0;
  // Of the last change.
  uint64_t number_ = 0;
  ValueFile file_;
  // Size of the file at which it is written anew.
  uint64_t rewrite_at_ = 0;
};

}  // namespace tenon::core

#endif
