#ifndef TENON_CORE_BYTE_BUFFER_H
#define TENON_CORE_BYTE_BUFFER_H

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include "lent_memory.h"
#include "tenon/types.h"

namespace tenon::core {

inline std::string_view view(tenon_bytes_t bytes) { return {bytes.data, bytes.data == nullptr ? 0 : bytes.size}; }
inline tenon_bytes_t bytes(std::string_view text) { return {text.data(), text.size()}; }

// Bytes that are filled in place and reused: unlike std::string it does not clear what is about to be overwritten.
class ByteBuffer {
 public:
  char* data() { return data_.get(); }
  const char* data() const { return data_.get(); }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  std::string_view text() const { return {data_.get(), size_}; }

  // At least `capacity` bytes; what was in it is lost.
  void prepare(size_t capacity) {
    set_size(0);
    if (capacity <= capacity_) return;
    data_ = std::unique_ptr<char[]>(new char[capacity + kMarkBytes]);
    capacity_ = capacity;
  }
  void set_size(size_t size) {
    size_ = size;
    marked_ = false;
  }
  // A mark behind its last byte, before it is lent.
  void mark() {
    marked_ = data_ != nullptr;
    if (marked_) mark_end(data_.get() + size_);
  }
  // Nobody has written over the mark; true where there is none.
  bool is_whole() const { return !marked_ || is_end_marked(data_.get() + size_); }
  void assign(std::string_view text) {
    prepare(text.size());
    if (!text.empty()) std::memcpy(data_.get(), text.data(), text.size());
    set_size(text.size());
  }
  // Empty it, and give memory back when one large use has left more than `keep`.
  void clear(size_t keep) {
    set_size(0);
    if (capacity_ <= keep) return;
    data_.reset();
    capacity_ = 0;
  }

 private:
  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
  bool marked_ = false;
};

}  // namespace tenon::core

#endif
