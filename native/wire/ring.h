#ifndef TENON_WIRE_RING_H
#define TENON_WIRE_RING_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tenon::wire {

// One direction of a lane as it lies in shared memory. Zeroed memory is an empty ring. Positions count bytes and wrap.
struct RingMemory {
  static constexpr uint32_t kBytes = 64 * 1024;  // a power of two

  alignas(64) std::atomic<uint32_t> written;  // the writer's
  std::atomic<uint32_t> writer_sleeps;        // 1: ring when there is room
  alignas(64) std::atomic<uint32_t> read;     // the reader's
  std::atomic<uint32_t> reader_sleeps;        // 1: ring when there is something
  alignas(64) std::array<char, kBytes> bytes;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free, "shared between processes");

// Whether there is something to read, as both sides say. [any]
inline bool has_unread(const RingMemory& memory) {
  return memory.written.load(std::memory_order_acquire) != memory.read.load(std::memory_order_relaxed);
}

/*
 * The two ends. Each keeps its own position to itself and only tells it to the other side; what the other side tells is
 * read once each time and checked: a distance of more than the ring is a violation, after which the end gives nothing.
 */
class RingWriter {
 public:
  explicit RingWriter(RingMemory& memory) : memory_(memory) {}

  // Write as much of `size` bytes as there is room for; 0 when there is none, or the other side has violated the ring.
  size_t write(const char* bytes, size_t size);
  // Let the other side see what was written. True when it sleeps and is to be woken.
  bool publish();
  // Announce that this side sleeps until there is room. False when there is some already, or a violation.
  bool prepare_sleep();
  void end_sleep() { memory_.writer_sleeps.store(0, std::memory_order_relaxed); }
  bool has_room(size_t size) { return room() >= size; }
  // Whether what this side has told still stands there: the other side has no business to change it.
  bool is_intact() const { return memory_.written.load(std::memory_order_relaxed) == published_; }
  // Where what was written last ends.
  uint32_t position() const { return position_; }
  // How much of what it was let see the other side says it has not read yet; what cannot be is 0.
  uint32_t unread() const {
    const uint32_t distance = published_ - memory_.read.load(std::memory_order_acquire);
    return distance > RingMemory::kBytes ? 0 : distance;
  }
  bool violated() const { return violated_; }

 private:
  size_t room();

  RingMemory& memory_;
  uint32_t position_ = 0;
  uint32_t published_ = 0;
  bool violated_ = false;
};

class RingReader {
 public:
  explicit RingReader(RingMemory& memory) : memory_(memory) {}

  // Take up to `size` bytes; 0 when there are none, or after a violation.
  size_t read(char* bytes, size_t size);
  // Give back the room of what was read. True when the other side waits for room and is to be woken.
  bool release();
  bool prepare_sleep();
  void end_sleep() { memory_.reader_sleeps.store(0, std::memory_order_relaxed); }
  bool has_some() { return available() > 0; }
  // As of RingWriter.
  bool is_intact() const { return memory_.read.load(std::memory_order_relaxed) == released_; }
  // Bytes that `read` gives; 0 after a violation.
  size_t available();
  bool violated() const { return violated_; }

 private:
  RingMemory& memory_;
  uint32_t position_ = 0;
  uint32_t released_ = 0;
  bool violated_ = false;
};

}  // namespace tenon::wire

#endif
