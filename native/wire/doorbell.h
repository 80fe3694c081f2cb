#ifndef TENON_WIRE_DOORBELL_H
#define TENON_WIRE_DOORBELL_H

#include <array>
#include <cstdint>

namespace tenon::wire {

// A descriptor that another process can make readable. A pipe: the flags of an end are those of the side that has it,
// where an eventfd has one set of them for both, by which the other side could have this one wait in a read. Owned by
// who has it.
class Doorbell {
 public:
  Doorbell() = default;
  ~Doorbell() { close(); }
  Doorbell(Doorbell&& other) noexcept;
  Doorbell& operator=(Doorbell&& other) noexcept;

  // False when the system has no descriptor left.
  bool open();
  // Take over descriptors that came from elsewhere: the same number twice for one end.
  void adopt(int waiting, int ringing);
  void close();
  // The ringing end has been sent: from now on `hush` tells when it is gone.
  void close_ringing();

  int waiting() const { return ends_[0]; }
  int ringing() const { return ends_[1]; }
  // Never waits. `times`: for so many threads that each wait in a read, at most kMostTimes. [any]
  void ring(uint32_t times = 1) const;
  static constexpr uint32_t kMostTimes = 64;
  // Take what was rung; never waits. False: nobody has the ringing end any more.
  bool hush() const;

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

}  // namespace tenon::wire

#endif
