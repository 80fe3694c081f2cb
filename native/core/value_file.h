#ifndef TENON_CORE_VALUE_FILE_H
#define TENON_CORE_VALUE_FILE_H

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "byte_buffer.h"

namespace tenon::core {

/*
 * The file in which the key-value state of one plugin is kept change by change, so that it outlives the process however
 * that ends. Each change is one write(2): what the system has taken is there although nobody has synced it.
 *
 *   tnvalue1
 *   <record: all values as they were> <record> <record> ...
 *
 * A record, with little-endian numbers: 4 bytes of the hash of the 14 that follow; number of the change (8), size of
 * the value (4), kind (1), size of the key (1); hash of those 14, the key and the value (8); key, value. The hash is
 * hash64. Numbers grow from record to record. The first record has kind 0, no key, and as its value a block of
 * StateStore::export_values; the others have kind 1, a key and its value, or kind 2, a key that is gone.
 *
 * One user at a time.
 */
class ValueFile {
 public:
  enum class Kind : uint8_t { Whole, Put, Remove };

  // What a file had to say.
  struct Found {
    enum class State { Absent, Whole, Torn, Damaged, Unreadable };
    State state = State::Absent;
    // What is wrong, as a clause about the file; empty where nothing is.
    std::string flaw;
  };

  // No file is larger, bytes.
  static constexpr uint64_t kMostBytes = uint64_t{768} << 20;

  ~ValueFile() { close(); }
  ValueFile() = default;
  ValueFile(const ValueFile&) = delete;
  ValueFile& operator=(const ValueFile&) = delete;

  /*
   * Use the file at `path`, absolute, from now on. With `take` it is read: `take` is told every record that is whole,
   * in order, and says whether it understands it; one that it does not is damage. A torn end is cut off. Without
   * `take`, or when the file is damaged, it stays as it is until `write_whole` puts another in its place.
   */
  using Take = std::function<bool(uint64_t number, Kind kind, std::string_view key, std::string_view value)>;
  Found use(const std::string& path, const Take& take);
  bool in_use() const { return !path_.empty(); }
  // Whether `append` can go on with what is there.
  bool begun() const { return file_ >= 0; }
  uint64_t size() const { return size_; }

  // Put a file that says this and nothing else in the place of what is there. False where the system refuses: all is as
  // it was.
  bool write_whole(uint64_t number, std::string_view block);
  // Add one record. False where the system refuses: nothing was added.
  bool append(uint64_t number, Kind kind, std::string_view key, std::string_view value);

  // Use none.
  void close();

 private:
  std::string_view record(uint64_t number, Kind kind, std::string_view key, std::string_view value);
  void begin_file(int file);
  void end_file();

  std::string path_;
  int file_ = -1;
  uint64_t size_ = 0;
  ByteBuffer record_;
};

}  // namespace tenon::core

#endif
