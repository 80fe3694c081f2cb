#include "lent_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace tenon::core {

LentPages::LentPages(std::string_view bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (bytes.empty() || bytes.size() > SIZE_MAX - 2 * page) return;
  const size_t readable = (bytes.size() + page - 1) / page * page;
  void* const pages = mmap(nullptr, readable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return;
  pages_ = pages;
  size_ = readable + page;
  char* const begin = static_cast<char*>(pages_) + readable - bytes.size();
  std::memcpy(begin, bytes.data(), bytes.size());
  if (mprotect(static_cast<char*>(pages_) + readable, page, PROT_NONE) != 0) return;
  if (mprotect(pages_, readable, PROT_READ) != 0) return;
  text_ = {begin, bytes.size()};
}

LentPages::~LentPages() {
  if (pages_ != nullptr) munmap(pages_, size_);
}

}  // namespace tenon::core
