#ifndef TENON_WIRE_DOORBELL_H
#define TENON_WIRE_DOORBELL_H

#include <array>

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

  int waiting() const { return ends_[0]; }
  int ringing() const { return ends_[1]; }
  // Never waits. [any]
  void ring() const;
  // Take what was rung; never waits.
  void hush() const;

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

}  // namespace tenon::wire

#endif
