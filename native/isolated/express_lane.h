#ifndef TENON_ISOLATED_EXPRESS_LANE_H
#define TENON_ISOLATED_EXPRESS_LANE_H

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "attended.h"
#include "call.h"
#include "instance_source.h"
#include "process_end.h"
#include "wire/control_socket.h"
#include "wire/doorbell.h"
#include "wire/lane.h"
#include "wire/protocol.h"
#include "wire/ring.h"

namespace tenon::isolated {

class Session;

/*
 * The requests that are with a runner without a thread of the host that waits for each: written into a ring by the
 * front, answered in another one, which the front looks at when it is woken, before it sleeps, and for some
 * microseconds after it has written. What the runner has no thread for waits in the ring, and is not lost with its
 * process. A slot is a request's from `begin` until its answer, until it goes on on a lane, or until the process ends:
 * whoever empties the slot, under the mutex, ends the call.
 */
class ExpressLane final : public core::Attended {
 public:
  ExpressLane(Session& session, wire::SharedHead& head, wire::LaneMemory& memory)
      : session_(session),
        head_(head),
        memory_(memory),
        out_(memory.to_runner),
        in_(memory.to_host),
        looks_(kMostLooks) {}

  // Tell the runner of it over `control`. False: it cannot be, now or ever. [front]
  bool open(int control);
  // Whether it is, and somebody listens. [front]
  bool is_open() const { return open_ && !deaf_; }
  // Nobody listens. [front]
  void be_deaf() { deaf_ = true; }
  // Handlers that may run at once. [front]
  void set_limit(uint32_t limit);
  // Begin `call`, which has the frame `token`, with `question`, which `body` follows, as InstanceSource::begin; its
  // frame is given back unless that is refused. `route` is told when it turns out that its handler wants a lane.
  // [front]
  core::InstanceSource::Start begin(core::Call& call, uint64_t token, std::string_view question, std::string_view body,
                                    uint8_t& route, bool may_wait, tenon_status& status);
  // A call that went on on a lane is over: its slot is another's. [any]
  void leave(uint32_t slot);

  int descriptor() const override { return own_.waiting(); }
  void look() override;
  Readiness before_sleep() override;

  // When the next call is so late that the process is to end for it, with `grace` (ns) after its deadline; UINT64_MAX:
  // none is late. [keeper]
  uint64_t due(uint64_t time, uint64_t grace);
  // The process has ended: what it has answered counts, everything else is refused for `why`. [keeper]
  void end(const std::string& why);
  // The requests that it was in, late ones first. [keeper]
  void add_doing(uint64_t time, std::vector<Doing>& doing) const;

 private:
  // About 5 us: less than it takes to be woken.
  static constexpr int kMostLooks = 100;

  struct Slot {
    enum class State : uint8_t { Free, Begun, OnLane } state = State::Free;
    core::Call* call = nullptr;
    uint64_t token = 0;
    uint8_t* route = nullptr;
    uint64_t request = 0;
    uint64_t since = 0;
    uint64_t late = 0;  // when it was seen that its deadline has passed
    uint32_t end = 0;   // of what was written, in the ring
  };
  struct Message {
    wire::Express kind;
    uint32_t slot;
    uint32_t detail;
    uint64_t since;
    core::Call* call;
    uint64_t token;
    uint8_t* route;
  };

  bool next(Message& message, std::string& payload);
  bool read(Message& message, std::string& payload);
  bool take();
  tenon_status answer(const Message& message, std::string_view payload);
  void refuse(core::Call& call, uint64_t token, const std::string& why);
  bool violate();
  bool waits(const Slot& slot, uint32_t unread) const;
  bool is_late(uint32_t slot) const { return (late_ >> slot & 1) != 0; }
  void ring_for(uint32_t waiting);
  void tell_limit();

  Session& session_;
  wire::SharedHead& head_;
  wire::LaneMemory& memory_;
  wire::Doorbell own_;    // rung by the runner
  wire::Doorbell other_;  // rung by the host
  mutable std::mutex mutex_;
  wire::RingWriter out_;
  wire::RingReader in_;
  std::array<Slot, wire::kExpressSlots> slots_;
  std::vector<uint32_t> free_;
  std::atomic<uint32_t> under_way_{0};  // slots that are Begun
  std::atomic<uint32_t> used_{0};       // slots that are not Free
  uint32_t limit_ = 0;
  uint64_t late_ = 0;  // as express_late
  bool over_ = false;  // nothing begins any more
  bool violated_ = false;

  // Of the front.
  bool open_ = false;
  bool tried_ = false;
  bool deaf_ = false;
  uint32_t told_ = 0;              // where in the ring it was when it rang last
  uint32_t rung_ = 0;              // where what it rang for at once ends
  uint32_t rung_for_nothing_ = 0;  // one after the other
  int looks_;
  uint32_t begins_ = 0;
  core::Call* awaited_ = nullptr;
  tenon_status awaited_status_ = TENON_OK;
};

}  // namespace tenon::isolated

#endif
