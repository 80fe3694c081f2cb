#include "image_registry.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "black_box.h"
#include "process_images.h"

namespace tenon::core::image_registry {

namespace {

// One of the registry's, or null.
ImageRecord* record_of(ImageIndex index) {
  BoxMemory* const box = process_box();
  return box == nullptr || index >= kBoxImages ? nullptr : &box->images[index];
}

uint32_t known(const BoxMemory& box) {
  const uint32_t count = box.header.images.load(std::memory_order_acquire);
  return count < kBoxImages ? count : kBoxImages;
}

ImageState state_in(const ImageRecord& record) {
  return static_cast<ImageState>(record.state.load(std::memory_order_acquire));
}

uint64_t value(const std::atomic<uint64_t>& word) { return word.load(std::memory_order_relaxed); }

ImageIndex take_place(BoxMemory& box) {
  const uint32_t count = known(box);
  if (count < kBoxImages) return count;
  ImageIndex oldest = kNoImage;
  for (ImageIndex index = 0; index < kBoxImages; index++) {
    const ImageRecord& record = box.images[index];
    if (state_in(record) != ImageState::Closed) continue;
    if (oldest == kNoImage || value(record.order) < value(box.images[oldest].order)) oldest = index;
  }
  return oldest;
}

// Where images have ever been: most words of a stack are elsewhere. Each Worker opens images of its own.
struct Bounds {
  std::atomic<uint64_t> low{UINT64_MAX};
  std::atomic<uint64_t> high{0};

  void widen(const ImageRange& range) {
    if (range.low == 0) return;
    uint64_t known = value(low);
    while (range.low < known && !low.compare_exchange_weak(known, range.low, std::memory_order_relaxed)) {
    }
    known = value(high);
    while (range.high > known && !high.compare_exchange_weak(known, range.high, std::memory_order_relaxed)) {
    }
  }
};
Bounds bounds;

void place(ImageRecord& record, const ImageRange& range) {
  record.code_low.store(range.code_low, std::memory_order_relaxed);
  record.code_high.store(range.code_high, std::memory_order_relaxed);
  record.high.store(range.high, std::memory_order_relaxed);
  record.low.store(range.low, std::memory_order_release);
  bounds.widen(range);
}

ImageIndex find_between(uintptr_t address, std::atomic<uint64_t> ImageRecord::*low,
                        std::atomic<uint64_t> ImageRecord::*high) {
  const BoxMemory* const box = process_box();
  if (box == nullptr || address < value(bounds.low) || address >= value(bounds.high)) return kNoImage;
  ImageIndex past = kNoImage;
  const uint32_t count = known(*box);
  for (ImageIndex index = 0; index < count; index++) {
    const ImageRecord& record = box->images[index];
    if (address < value(record.*low) || address >= value(record.*high)) continue;
    if (state_in(record) != ImageState::Closed) return index;
    if (past == kNoImage || value(record.order) > value(box->images[past].order)) past = index;
  }
  return past;
}

}  // namespace

ImageIndex loading(std::string_view plugin, uint64_t generation, std::string_view sha256, std::string_view path,
                   bool proven) {
  static std::mutex mutex;
  BoxMemory* const box = process_box();
  if (box == nullptr) return kNoImage;
  const std::lock_guard<std::mutex> lock(mutex);
  static uint64_t order = 0;
  const ImageIndex index = take_place(*box);
  if (index == kNoImage) return kNoImage;
  ImageRecord& record = box->images[index];
  record.state.store(static_cast<uint32_t>(ImageState::None), std::memory_order_release);
  place(record, {});
  record.order.store(++order, std::memory_order_relaxed);
  record.generation = generation;
  record.proven = proven ? 1 : 0;
  put_text(record.plugin, sizeof record.plugin, plugin);
  put_text(record.sha256, sizeof record.sha256, sha256);
  const size_t slash = path.rfind('/');
  put_text(record.file, sizeof record.file, slash == std::string_view::npos ? path : path.substr(slash + 1));
  record.state.store(static_cast<uint32_t>(ImageState::Loading), std::memory_order_release);
  if (index == known(*box)) box->header.images.store(index + 1, std::memory_order_release);
  return index;
}

void opened(ImageIndex index, const void* inside) {
  ImageRecord* const record = record_of(index);
  if (record == nullptr) return;
  place(*record, range_around(inside));
  list_process_images();
  enter(index, ImageState::Open);
}

void enter(ImageIndex index, ImageState state) {
  if (ImageRecord* const record = record_of(index); record != nullptr) {
    record->state.store(static_cast<uint32_t>(state), std::memory_order_release);
  }
}

ImageIndex find(uintptr_t address) { return find_between(address, &ImageRecord::low, &ImageRecord::high); }

ImageIndex find_code(uintptr_t address) {
  return find_between(address, &ImageRecord::code_low, &ImageRecord::code_high);
}

ImageState state_of(ImageIndex index) {
  const ImageRecord* const record = record_of(index);
  return record == nullptr ? ImageState::None : state_in(*record);
}

std::string_view plugin_of(ImageIndex index) {
  const ImageRecord* const record = record_of(index);
  if (record == nullptr) return {};
  return {record->plugin, strnlen(record->plugin, sizeof record->plugin)};
}

uint64_t generation_of(ImageIndex index) {
  const ImageRecord* const record = record_of(index);
  return record == nullptr ? 0 : record->generation;
}

uintptr_t base_of(ImageIndex index) {
  const ImageRecord* const record = record_of(index);
  return record == nullptr ? 0 : static_cast<uintptr_t>(value(record->low));
}

void find_loading() {
  BoxMemory* const box = process_box();
  if (box == nullptr) return;
  const uint32_t count = known(*box);
  for (ImageIndex index = 0; index < count; index++) {
    ImageRecord& record = box->images[index];
    if (state_in(record) != ImageState::Loading || value(record.low) != 0) continue;
    const ImageRange range = range_of_file({record.file, strnlen(record.file, sizeof record.file)});
    if (range.low != 0) place(record, range);
  }
}

}  // namespace tenon::core::image_registry
