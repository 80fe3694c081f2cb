#include "ring.h"

#include <algorithm>
#include <cstring>

namespace tenon::wire {

namespace {
constexpr uint32_t kMask = RingMemory::kBytes - 1;
}

size_t RingWriter::room() {
  if (violated_) return 0;
  const uint32_t used = position_ - memory_.read.load(std::memory_order_acquire);
  if (used > RingMemory::kBytes) return violated_ = true, 0;
  return RingMemory::kBytes - used;
}

size_t RingWriter::write(const char* bytes, size_t size) {
  const size_t taken = std::min(size, room());
  const size_t begin = position_ & kMask;
  const size_t first = std::min(taken, RingMemory::kBytes - begin);
  std::memcpy(memory_.bytes.data() + begin, bytes, first);
  std::memcpy(memory_.bytes.data(), bytes + first, taken - first);
  position_ += static_cast<uint32_t>(taken);
  return taken;
}

// Position first, then a look at who sleeps; the reader announces its sleep first, then looks at the position: one of
// the two sees the other.
bool RingWriter::publish() {
  if (published_ == position_) return false;
  published_ = position_;
  memory_.written.store(position_, std::memory_order_seq_cst);
  return memory_.reader_sleeps.load(std::memory_order_seq_cst) != 0 &&
         memory_.reader_sleeps.exchange(0, std::memory_order_seq_cst) != 0;
}

bool RingWriter::prepare_sleep() {
  memory_.writer_sleeps.store(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (room() == 0 && !violated_) return true;
  end_sleep();
  return false;
}

size_t RingReader::available() {
  if (violated_) return 0;
  const uint32_t distance = memory_.written.load(std::memory_order_acquire) - position_;
  if (distance > RingMemory::kBytes) return violated_ = true, 0;
  return distance;
}

size_t RingReader::read(char* bytes, size_t size) {
  const size_t taken = std::min(size, available());
  const size_t begin = position_ & kMask;
  const size_t first = std::min(taken, RingMemory::kBytes - begin);
  std::memcpy(bytes, memory_.bytes.data() + begin, first);
  std::memcpy(bytes + first, memory_.bytes.data(), taken - first);
  position_ += static_cast<uint32_t>(taken);
  return taken;
}

bool RingReader::release() {
  if (released_ == position_) return false;
  released_ = position_;
  memory_.read.store(position_, std::memory_order_seq_cst);
  return memory_.writer_sleeps.load(std::memory_order_seq_cst) != 0 &&
         memory_.writer_sleeps.exchange(0, std::memory_order_seq_cst) != 0;
}

bool RingReader::prepare_sleep() {
  memory_.reader_sleeps.store(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (available() == 0 && !violated_) return true;
  end_sleep();
  return false;
}

}  // namespace tenon::wire
