#include "heap_hooks.h"

#include <stdlib.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "import_hooks.h"
#include "plugin_gauges.h"

#if defined(__GLIBC__)
// Where it lies is known when the library is opened: asking for it at each call would cost more than all the rest.
#define TENON_THREAD_LOCAL thread_local __attribute__((tls_model("initial-exec")))
#else
#define TENON_THREAD_LOCAL thread_local
#endif

namespace tenon::core {

namespace {

// About one block of each 64 KiB that a thread allocates is kept, and of each twice as much for every sixteenth of the
// table that is full. It stands for all since the one before.
constexpr int64_t kInterval = 64 * 1024;
constexpr size_t kBuckets = 16384;
constexpr size_t kInBucket = 4;
constexpr size_t kFillPerDoubling = kBuckets * kInBucket / 16;

struct Sample {
  std::atomic<uintptr_t> block{0};
  std::atomic<uint64_t> facts{0};  // weight, and in the lowest 16 bits the image
};
struct alignas(64) Bucket {
  std::array<Sample, kInBucket> samples;
};

constexpr uintptr_t kBusy = 1;  // no address of a block

// How many are in each bucket: for nearly all blocks that are freed this byte says that they are not kept.
std::array<std::atomic<uint8_t>, kBuckets> held;
std::array<Bucket, kBuckets> buckets;
std::atomic<size_t> kept_samples{0};

TENON_THREAD_LOCAL int64_t until_next = 0;
TENON_THREAD_LOCAL int64_t interval = 0;
TENON_THREAD_LOCAL uint32_t drawn = 0;

size_t bucket_of(uintptr_t block) { return (block * 0x9e3779b97f4a7c15ULL) >> 50; }
static_assert(kBuckets == size_t{1} << (64 - 50));

// Never the same distance twice: a plugin that allocates in a rhythm would be seen always, or never.
int64_t next_interval(uintptr_t block) {
  if (drawn == 0) drawn = static_cast<uint32_t>(block >> 4) | 1;
  drawn ^= drawn << 13;
  drawn ^= drawn >> 17;
  drawn ^= drawn << 5;
  const size_t doublings = kept_samples.load(std::memory_order_relaxed) / kFillPerDoubling;
  return (kInterval / 2 + drawn % kInterval) << doublings;
}

void add(uintptr_t block, uint64_t facts) {
  const size_t place = bucket_of(block);
  for (Sample& sample : buckets[place].samples) {
    // Freed where nobody has seen it.
    if (sample.block.load(std::memory_order_relaxed) != block) continue;
    const uint64_t before = sample.facts.exchange(facts, std::memory_order_acq_rel);
    gauges::add_memory(before & 0xffff, -static_cast<int64_t>(before >> 16));
    gauges::add_memory(facts & 0xffff, static_cast<int64_t>(facts >> 16));
    return;
  }
  for (Sample& sample : buckets[place].samples) {
    uintptr_t expected = 0;
    if (!sample.block.compare_exchange_strong(expected, kBusy, std::memory_order_acquire)) continue;
    sample.facts.store(facts, std::memory_order_relaxed);
    sample.block.store(block, std::memory_order_release);
    held[place].fetch_add(1, std::memory_order_release);
    kept_samples.fetch_add(1, std::memory_order_relaxed);
    gauges::add_memory(facts & 0xffff, static_cast<int64_t>(facts >> 16));
    return;
  }
}

uint64_t take(Sample& sample, size_t place) {
  const uint64_t facts = sample.facts.load(std::memory_order_relaxed);
  held[place].fetch_sub(1, std::memory_order_relaxed);
  kept_samples.fetch_sub(1, std::memory_order_relaxed);
  sample.block.store(0, std::memory_order_release);
  gauges::add_memory(facts & 0xffff, -static_cast<int64_t>(facts >> 16));
  return facts;
}

// What was kept of it; 0: nothing.
uint64_t remove(uintptr_t block, size_t place) {
  for (Sample& sample : buckets[place].samples) {
    uintptr_t expected = block;
    if (sample.block.compare_exchange_strong(expected, kBusy, std::memory_order_acquire)) return take(sample, place);
  }
  return 0;
}

__attribute__((noinline)) void sample(void* block, const void* caller) {
  const int64_t passed = interval - until_next;
  const auto address = reinterpret_cast<uintptr_t>(block);
  interval = until_next = next_interval(address);
  const ImageIndex image = calling_image(caller);
  if (gauges::is_open(image)) add(address, static_cast<uint64_t>(passed) << 16 | image);
}

inline void* count(void* block, size_t size, const void* caller) {
  if (block == nullptr) return nullptr;
  until_next -= static_cast<int64_t>(size);
  if (until_next < 0) sample(block, caller);
  return block;
}

inline uint64_t uncount(void* block) {
  const auto address = reinterpret_cast<uintptr_t>(block);
  const size_t place = bucket_of(address);
  if (held[place].load(std::memory_order_acquire) == 0 || block == nullptr) return 0;
  return remove(address, place);
}

namespace original {
void* (*malloc)(size_t);
void* (*calloc)(size_t, size_t);
void* (*realloc)(void*, size_t);
void* (*reallocarray)(void*, size_t, size_t);
void (*free)(void*);
int (*posix_memalign)(void**, size_t, size_t);
void* (*aligned_alloc)(size_t, size_t);
void* (*memalign)(size_t, size_t);
void* (*create)(size_t);
void* (*create_array)(size_t);
void* (*create_or_null)(size_t, const std::nothrow_t&);
void* (*create_array_or_null)(size_t, const std::nothrow_t&);
void* (*create_aligned)(size_t, std::align_val_t);
void* (*create_array_aligned)(size_t, std::align_val_t);
void* (*create_aligned_or_null)(size_t, std::align_val_t, const std::nothrow_t&);
void* (*create_array_aligned_or_null)(size_t, std::align_val_t, const std::nothrow_t&);
void (*destroy)(void*);
void (*destroy_array)(void*);
void (*destroy_sized)(void*, size_t);
void (*destroy_array_sized)(void*, size_t);
void (*destroy_or_null)(void*, const std::nothrow_t&);
void (*destroy_array_or_null)(void*, const std::nothrow_t&);
void (*destroy_aligned)(void*, std::align_val_t);
void (*destroy_array_aligned)(void*, std::align_val_t);
void (*destroy_sized_aligned)(void*, size_t, std::align_val_t);
void (*destroy_array_sized_aligned)(void*, size_t, std::align_val_t);
void (*destroy_aligned_or_null)(void*, std::align_val_t, const std::nothrow_t&);
void (*destroy_array_aligned_or_null)(void*, std::align_val_t, const std::nothrow_t&);
}  // namespace original

void* malloc_hook(size_t size) { return count(original::malloc(size), size, __builtin_return_address(0)); }
void* calloc_hook(size_t members, size_t size) {
  return count(original::calloc(members, size), members * size, __builtin_return_address(0));
}
void* aligned_alloc_hook(size_t alignment, size_t size) {
  return count(original::aligned_alloc(alignment, size), size, __builtin_return_address(0));
}
void* memalign_hook(size_t alignment, size_t size) {
  return count(original::memalign(alignment, size), size, __builtin_return_address(0));
}
int posix_memalign_hook(void** block, size_t alignment, size_t size) {
  const int result = original::posix_memalign(block, alignment, size);
  if (result == 0) count(*block, size, __builtin_return_address(0));
  return result;
}

// Out before it may be somebody else's; back when it has stayed where it was, for want of memory.
template <typename Reallocate>
void* reallocate(void* block, size_t size, const void* caller, Reallocate again) {
  const uint64_t facts = uncount(block);
  void* const moved = again();
  if (moved != nullptr) return count(moved, size, caller);
  if (facts != 0 && size != 0) add(reinterpret_cast<uintptr_t>(block), facts);
  return nullptr;
}

void* realloc_hook(void* block, size_t size) {
  return reallocate(block, size, __builtin_return_address(0), [=] { return original::realloc(block, size); });
}
void* reallocarray_hook(void* block, size_t members, size_t size) {
  return reallocate(block, members * size, __builtin_return_address(0),
                    [=] { return original::reallocarray(block, members, size); });
}

void free_hook(void* block) {
  uncount(block);
  original::free(block);
}

template <auto& function, typename... Rest>
void* create_hook(size_t size, Rest... rest) {
  return count(function(size, rest...), size, __builtin_return_address(0));
}

template <auto& function, typename... Rest>
void destroy_hook(void* block, Rest... rest) {
  uncount(block);
  function(block, rest...);
}

}  // namespace

void forget_heap_of(ImageIndex image) {
  for (size_t place = 0; place < kBuckets; place++) {
    if (held[place].load(std::memory_order_relaxed) == 0) continue;
    for (Sample& sample : buckets[place].samples) {
      uintptr_t block = sample.block.load(std::memory_order_acquire);
      if (block == 0 || block == kBusy || (sample.facts.load(std::memory_order_relaxed) & 0xffff) != image) continue;
      if (sample.block.compare_exchange_strong(block, kBusy, std::memory_order_acquire)) take(sample, place);
    }
  }
}

void add_heap_hooks(std::vector<ImportHook>& hooks) {
  using Align = std::align_val_t;
  using Nothrow = const std::nothrow_t&;
  hooks.insert(
      hooks.end(),
      {
          import_hook("malloc", &malloc_hook, original::malloc),
          import_hook("calloc", &calloc_hook, original::calloc),
          import_hook("realloc", &realloc_hook, original::realloc),
          import_hook("reallocarray", &reallocarray_hook, original::reallocarray),
          import_hook("free", &free_hook, original::free),
          import_hook("posix_memalign", &posix_memalign_hook, original::posix_memalign),
          import_hook("aligned_alloc", &aligned_alloc_hook, original::aligned_alloc),
          import_hook("memalign", &memalign_hook, original::memalign),
          import_hook("_Znwm", &create_hook<original::create>, original::create),
          import_hook("_Znam", &create_hook<original::create_array>, original::create_array),
          import_hook("_ZnwmRKSt9nothrow_t", &create_hook<original::create_or_null, Nothrow>, original::create_or_null),
          import_hook("_ZnamRKSt9nothrow_t", &create_hook<original::create_array_or_null, Nothrow>,
                      original::create_array_or_null),
          import_hook("_ZnwmSt11align_val_t", &create_hook<original::create_aligned, Align>, original::create_aligned),
          import_hook("_ZnamSt11align_val_t", &create_hook<original::create_array_aligned, Align>,
                      original::create_array_aligned),
          import_hook("_ZnwmSt11align_val_tRKSt9nothrow_t",
                      &create_hook<original::create_aligned_or_null, Align, Nothrow>, original::create_aligned_or_null),
          import_hook("_ZnamSt11align_val_tRKSt9nothrow_t",
                      &create_hook<original::create_array_aligned_or_null, Align, Nothrow>,
                      original::create_array_aligned_or_null),
          import_hook("_ZdlPv", &destroy_hook<original::destroy>, original::destroy),
          import_hook("_ZdaPv", &destroy_hook<original::destroy_array>, original::destroy_array),
          import_hook("_ZdlPvm", &destroy_hook<original::destroy_sized, size_t>, original::destroy_sized),
          import_hook("_ZdaPvm", &destroy_hook<original::destroy_array_sized, size_t>, original::destroy_array_sized),
          import_hook("_ZdlPvRKSt9nothrow_t", &destroy_hook<original::destroy_or_null, Nothrow>,
                      original::destroy_or_null),
          import_hook("_ZdaPvRKSt9nothrow_t", &destroy_hook<original::destroy_array_or_null, Nothrow>,
                      original::destroy_array_or_null),
          import_hook("_ZdlPvSt11align_val_t", &destroy_hook<original::destroy_aligned, Align>,
                      original::destroy_aligned),
          import_hook("_ZdaPvSt11align_val_t", &destroy_hook<original::destroy_array_aligned, Align>,
                      original::destroy_array_aligned),
          import_hook("_ZdlPvmSt11align_val_t", &destroy_hook<original::destroy_sized_aligned, size_t, Align>,
                      original::destroy_sized_aligned),
          import_hook("_ZdaPvmSt11align_val_t", &destroy_hook<original::destroy_array_sized_aligned, size_t, Align>,
                      original::destroy_array_sized_aligned),
          import_hook("_ZdlPvSt11align_val_tRKSt9nothrow_t",
                      &destroy_hook<original::destroy_aligned_or_null, Align, Nothrow>,
                      original::destroy_aligned_or_null),
          import_hook("_ZdaPvSt11align_val_tRKSt9nothrow_t",
                      &destroy_hook<original::destroy_array_aligned_or_null, Align, Nothrow>,
                      original::destroy_array_aligned_or_null),
      });
}

}  // namespace tenon::core
