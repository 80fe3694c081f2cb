#include "plugin_gauges.h"

#include <algorithm>
#include <array>
#include <atomic>

namespace tenon::core {

namespace {

struct Gauges {
  std::atomic<uintptr_t> low{0};
  std::atomic<uintptr_t> high{0};
  std::atomic<int32_t> threads{0};
  std::atomic<int32_t> descriptors{0};
  std::atomic<int64_t> memory{0};
};

// Zero until an image has one: pages that are never touched take no memory.
std::array<Gauges, gauges::kMostImages> all;
std::atomic<ImageIndex> used{0};

template <typename Number>
Number at_least_zero(const std::atomic<Number>& number) {
  return std::max<Number>(0, number.load(std::memory_order_relaxed));
}

}  // namespace

namespace gauges {

void begin(ImageIndex image, const ImageSpan& span) {
  if (image >= kMostImages) return;
  Gauges& own = all[image];
  own.threads.store(0, std::memory_order_relaxed);
  own.descriptors.store(0, std::memory_order_relaxed);
  own.memory.store(0, std::memory_order_relaxed);
  own.high.store(span.high, std::memory_order_relaxed);
  own.low.store(span.low, std::memory_order_release);
  if (image >= used.load(std::memory_order_relaxed)) used.store(image + 1, std::memory_order_release);
}

void end(ImageIndex image) {
  if (image >= kMostImages) return;
  all[image].low.store(0, std::memory_order_relaxed);
  all[image].high.store(0, std::memory_order_release);
}

bool is_open(ImageIndex image) { return image < kMostImages && all[image].high.load(std::memory_order_acquire) != 0; }

bool holds(ImageIndex image, uintptr_t address) {
  return image < kMostImages && address >= all[image].low.load(std::memory_order_relaxed) &&
         address < all[image].high.load(std::memory_order_relaxed);
}

void add_threads(ImageIndex image, int32_t count) {
  if (image < kMostImages) all[image].threads.fetch_add(count, std::memory_order_relaxed);
}

void add_descriptors(ImageIndex image, int32_t count) {
  if (image < kMostImages) all[image].descriptors.fetch_add(count, std::memory_order_relaxed);
}

void add_memory(ImageIndex image, int64_t bytes) {
  if (image < kMostImages) all[image].memory.fetch_add(bytes, std::memory_order_relaxed);
}

PluginGauge of(ImageIndex image) {
  if (image >= kMostImages) return {image, 0, 0, 0};
  const Gauges& own = all[image];
  return {image, static_cast<uint32_t>(at_least_zero(own.threads)),
          static_cast<uint32_t>(at_least_zero(own.descriptors)), static_cast<uint64_t>(at_least_zero(own.memory))};
}

}  // namespace gauges

std::vector<PluginGauge> plugin_gauges() {
  std::vector<PluginGauge> found;
  const ImageIndex count = used.load(std::memory_order_acquire);
  for (ImageIndex image = 0; image < count; image++) {
    if (gauges::is_open(image)) found.push_back(gauges::of(image));
  }
  return found;
}

}  // namespace tenon::core
