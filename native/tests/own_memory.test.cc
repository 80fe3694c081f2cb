#include "own_memory.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <optional>

#include "read_faults.h"

using namespace tenon::core;
using namespace tenon::tests;

namespace {

// A page that can be read, and behind it one that nobody may touch.
class TwoPages {
 public:
  TwoPages() : begin_(mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    REQUIRE(begin_ != MAP_FAILED);
    std::memset(begin_, 'x', 2 * kPage);
    REQUIRE(mprotect(static_cast<char*>(begin_) + kPage, kPage, PROT_NONE) == 0);
  }
  ~TwoPages() { munmap(begin_, 2 * kPage); }
  TwoPages(const TwoPages&) = delete;
  TwoPages& operator=(const TwoPages&) = delete;

  uintptr_t end() const { return reinterpret_cast<uintptr_t>(begin_) + kPage; }

 private:
  static constexpr size_t kPage = 4096;
  void* const begin_;
};

void check_reads(const TwoPages& pages) {
  std::array<char, 4096> bytes = {};
  CHECK(read_own_memory(pages.end() - 4096, bytes.data(), bytes.size()) == 4096);
  CHECK(bytes.back() == 'x');
  CHECK(read_own_memory(pages.end() - 3, bytes.data(), bytes.size()) == 3);
  CHECK(read_own_memory(pages.end(), bytes.data(), bytes.size()) == 0);
  CHECK(read_own_memory(0, bytes.data(), bytes.size()) == 0);
}

}  // namespace

TEST_CASE("memory is read up to where nobody may read, without a fault") {
  const TwoPages pages;
  check_reads(pages);
}

TEST_CASE("memory is read without a fault where the system refuses to read processes") {
  const TwoPages pages;
  const RefusedReads refused;
  check_reads(pages);
}
