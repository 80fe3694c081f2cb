#include "black_box.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "clock.h"

namespace tenon::core {

namespace {

std::atomic<BoxMemory*> box{nullptr};

std::atomic<uint32_t> route_blocks{0};  // a bit for each that is a front's

uint32_t take_route_block() {
  uint32_t taken = route_blocks.load(std::memory_order_relaxed);
  for (;;) {
    uint32_t block = 0;
    while (block < 32 && (taken >> block & 1) != 0) block++;
    if (block == 32) return RoutePlaces::kNone;
    if (route_blocks.compare_exchange_weak(taken, taken | 1u << block, std::memory_order_acq_rel)) return block;
  }
}

size_t whole_pages(size_t size, size_t page) { return (size + page - 1) / page * page; }

std::string failure(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

int make_memory() {
#if defined(__linux__)
  return memfd_create("tenon:box", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#else
  const std::string name = "/tenon-" + std::to_string(getpid()) + "-" + std::to_string(now() % 1'000'000'000u);
  const int descriptor = shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (descriptor >= 0) shm_unlink(name.c_str());
  return descriptor;
#endif
}

// What a child of fork writes is not its parent's: it gets memory of its own in the same place.
void leave_parent() {
  BoxMemory* const memory = process_box();
  if (memory == nullptr) return;
  mmap(memory, sizeof(BoxMemory), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

// Between two pages that nobody can write to, so that a write past the end of something else does not get here.
BoxMemory* map_guarded(int descriptor) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t size = whole_pages(sizeof(BoxMemory), page);
  void* const room = mmap(nullptr, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return nullptr;
  const int kind = descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* const memory =
      mmap(static_cast<char*>(room) + page, size, PROT_READ | PROT_WRITE, kind | MAP_FIXED, descriptor, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<BoxMemory*>(memory);
}

}  // namespace

int create_box(std::string& problem) {
  const int descriptor = make_memory();
  if (descriptor < 0) return problem = failure("no memory for it"), -1;
  BoxHeader header = {};
  header.magic = kBoxMagic;
  header.layout = kBoxLayout;
  if (ftruncate(descriptor, sizeof(BoxMemory)) == 0 &&
      pwrite(descriptor, &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header)) {
#if defined(__linux__)
    // Whoever made it shorter would take the pages from under the threads that write to them.
    fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
#endif
    return descriptor;
  }
#if !defined(__linux__)
  // Shared memory of macOS is written by a mapping only.
  void* const memory = mmap(nullptr, sizeof(BoxMemory), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory != MAP_FAILED) {
    std::memcpy(memory, &header, sizeof header);
    munmap(memory, sizeof(BoxMemory));
    return descriptor;
  }
#endif
  problem = failure("no memory for it");
  close(descriptor);
  return -1;
}

bool open_box(int descriptor, std::string& problem) {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (process_box() != nullptr) return true;
  if (descriptor >= 0) {
    struct stat facts = {};
    if (fstat(descriptor, &facts) != 0) return problem = failure("the descriptor"), false;
    if (facts.st_size < static_cast<off_t>(sizeof(BoxMemory))) return problem = "it is too small", false;
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  }
  BoxMemory* const memory = map_guarded(descriptor);
  if (memory == nullptr) return problem = failure("it cannot be mapped"), false;
  if (descriptor < 0) {
    memory->header.magic = kBoxMagic;
    memory->header.layout = kBoxLayout;
  } else if (memory->header.magic != kBoxMagic || memory->header.layout != kBoxLayout) {
    munmap(memory, sizeof(BoxMemory));
    return problem = "it is none, or that of another release", false;
  }
  memory->header.pid.store(static_cast<uint32_t>(getpid()), std::memory_order_relaxed);
  box.store(memory, std::memory_order_release);
  pthread_atfork(nullptr, nullptr, leave_parent);
  return true;
}

BoxMemory* process_box() { return box.load(std::memory_order_acquire); }

void beat_box() {
  if (BoxMemory* const memory = process_box(); memory != nullptr) {
    memory->header.beat.store(now(), std::memory_order_relaxed);
  }
}

void end_box_on_purpose() {
  if (BoxMemory* const memory = process_box(); memory != nullptr) {
    memory->header.ended.store(1, std::memory_order_relaxed);
  }
}

void name_route(uint32_t index, std::string_view method, std::string_view path) {
  BoxMemory* const memory = process_box();
  if (memory == nullptr || index >= kBoxRoutes) return;
  char* const name = memory->routes[index].name;
  const size_t size = sizeof memory->routes[index].name;
  put_text(name, size, method);
  const size_t begin = strnlen(name, size);
  if (begin + 2 > size) return;
  name[begin] = ' ';
  put_text(name + begin + 1, size - begin - 1, path);
}

RoutePlaces::~RoutePlaces() {
  for (const uint32_t block : blocks_) {
    if (block != kNone) route_blocks.fetch_and(~(1u << block), std::memory_order_acq_rel);
  }
}

void RoutePlaces::name(uint32_t slot, std::string_view method, std::string_view path) {
  if (slot / kBlock >= kBlocks) return;
  uint32_t& block = blocks_[slot / kBlock];
  if (block == kNone) block = take_route_block();
  if (block != kNone) name_route(of(slot), method, path);
}

void put_text(char* place, size_t size, std::string_view text) {
  const size_t length = std::min(text.size(), size - 1);
  if (length > 0) std::memcpy(place, text.data(), length);
  std::memset(place + length, 0, size - length);
}

}  // namespace tenon::core
