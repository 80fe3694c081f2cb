#ifndef TENON_CORE_LENT_MEMORY_H
#define TENON_CORE_LENT_MEMORY_H

#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

namespace tenon::core {

// Behind memory of the host that plugins are lent: no text, and not what an overrun writes by chance.
constexpr char kMark[] = {'\x9e', '\x37', '\x79', '\xb9', '\x7f', '\x4a', '\x00', '\xc1'};
constexpr size_t kMarkBytes = sizeof kMark;

inline void mark_end(char* end) { std::memcpy(end, kMark, kMarkBytes); }
inline bool is_end_marked(const char* end) { return std::memcmp(end, kMark, kMarkBytes) == 0; }

// A copy of some bytes that nobody can write into, and that ends where a page begins which nobody may touch: whoever
// reads or writes beyond it, or writes into it, faults there and then.
class LentPages {
 public:
  explicit LentPages(std::string_view bytes);
  ~LentPages();
  LentPages(LentPages&& other) noexcept
      : pages_(std::exchange(other.pages_, nullptr)), size_(other.size_), text_(std::exchange(other.text_, {})) {}
  LentPages(const LentPages&) = delete;
  LentPages& operator=(const LentPages&) = delete;
  LentPages& operator=(LentPages&&) = delete;

  // Empty when there was no memory for it.
  std::string_view text() const { return text_; }

 private:
  void* pages_ = nullptr;
  size_t size_ = 0;
  std::string_view text_;
};

}  // namespace tenon::core

#endif
