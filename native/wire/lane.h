#ifndef TENON_WIRE_LANE_H
#define TENON_WIRE_LANE_H

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "doorbell.h"
#include "ring.h"

namespace tenon::wire {

// Both directions between one thread of the host and one of a runner, as they lie in shared memory.
struct LaneMemory {
  RingMemory to_runner;
  RingMemory to_host;
};

enum class Outcome {
  Done,
  Ended,     // the other process is gone
  Violated,  // it has not kept to the protocol: end it
  GivenUp,   // Patience did
  NotBegun   // nothing of it was sent: none of a lane's own
};

// How long one waits for the other side.
class Patience {
 public:
  virtual ~Patience() = default;
  // Milliseconds after which to ask again, above 0; 0 gives up. Asked before each sleep, while
  // bytes come each time that the ring has been filled, and in a call after each question of the other side.
  virtual int wait_ms() = 0;
};

// Waits for ever.
class EndlessPatience final : public Patience {
 public:
  int wait_ms() override { return 60'000; }
};

/*
 * Calls between two threads in two processes, in both directions. Either side calls, and while it waits for the answer
 * it serves what the other side asks: calls nest, as those of functions do, and each side needs one thread. A post is a
 * call without an answer. One thread at a time on each side.
 *
 * A message is a head of 16 bytes and its payload. Of what the other side says only sizes, kinds and sequence numbers
 * are looked at here, each read once and checked; payloads are for those who serve. A payload is copied out of the ring
 * before anybody looks at it, so that it does not change under a check.
 */
class Lane {
 public:
  // What may be asked on this side. `answer` is filled for a call, and left alone for a post. False: the other side has
  // not kept to the protocol.
  class Server {
   public:
    virtual ~Server() = default;
    virtual bool serve(Lane& lane, uint16_t code, std::string_view payload, std::string& answer) = 0;
  };
  using Parts = std::initializer_list<std::string_view>;
  // So many bytes behind a payload that is served are there, and may be written.
  static constexpr size_t kSlackBytes = 8;

  enum class Side { Host, Runner };
  // `own` is rung when there is something for this side, `other` for the other one; `ended` (or -1) is readable once
  // the other process is gone. All of them and `memory` outlive this. Payloads of over `limit` bytes violate.
  Lane(LaneMemory& memory, Side side, const Doorbell& own, const Doorbell& other, int ended, uint64_t limit)
      : out_(side == Side::Host ? memory.to_runner : memory.to_host),
        in_(side == Side::Host ? memory.to_host : memory.to_runner),
        own_(own),
        other_(other),
        ended_(ended),
        limit_(limit),
        trusts_(side == Side::Runner),
        looks_(kMostLooks) {}
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Ask `code` with the bytes of `parts`, and wait for `answer`.
  Outcome call(uint16_t code, Parts parts, std::string& answer, Server& server, Patience& patience);
  // The same without an answer: returns once it is in the ring.
  Outcome post(uint16_t code, Parts parts, Patience& patience);
  // Serve what the other side asks, until it is gone or patience ends.
  Outcome serve(Server& server, Patience& patience);

  // While this serves a call: `tail` follows its answer without a copy. `release` is called with `owner` once that has
  // been sent, or cannot be. [its thread]
  using Release = void (*)(void* owner);
  void follow(std::string_view tail, Release release, void* owner) { tail_ = {tail, release, owner}; }
  // While this serves a call: its payload outlives that in the result, where it stays in its place. [its thread]
  std::string keep_payload() { return serving_ == nullptr ? std::string() : std::move(*serving_); }

  // Calls that this side waits for. [its thread]
  int depth() const { return depth_; }
  // After anything but Done nothing goes over it any more: it answers the same. [its thread]
  Outcome state() const { return state_; }

 private:
  enum class Kind : uint8_t { Call = 1, Return = 2, Post = 3 };
  struct Head {
    uint32_t sequence;
    uint16_t code;
    Kind kind;
    uint8_t reserved;
    uint64_t size;
  };
  static_assert(sizeof(Head) == 16);
  struct Tail {
    std::string_view bytes;
    Release release;
    void* owner;
  };

  // About 10 us: as long as the two system calls and the wake-up that it saves.
  static constexpr int kMostLooks = 200;

  bool send(Kind kind, uint16_t code, uint32_t sequence, Parts parts, Patience& patience);
  bool write(std::string_view bytes, Patience& patience);
  bool receive(Head& head, Patience& patience);
  bool receive(const Head& head, std::string& payload, size_t slack, Patience& patience);
  bool read(char* bytes, size_t size, Patience& patience);
  bool handle(const Head& head, std::string& payload, Server& server, Patience& patience);
  void forget(std::string& payload) const;
  // Sleep until `ready`; false when that will not be.
  template <typename Prepare, typename End>
  bool sleep(Prepare prepare, End end, bool reads, Patience& patience);
  bool go_on(size_t taken, Patience& patience);
  void flush();
  bool fail(Outcome outcome);

  RingWriter out_;
  RingReader in_;
  const Doorbell& own_;
  const Doorbell& other_;
  const int ended_;
  const uint64_t limit_;
  const bool trusts_;
  uint32_t sent_ = 0;      // calls of this side
  uint32_t received_ = 0;  // calls and posts of the other side
  int depth_ = 0;
  int looks_;  // before a sleep: more where they find something, fewer where they do not
  int sleeps_ = 0;
  uint64_t unasked_ = 0;   // bytes read since patience was asked
  bool was_over_ = false;  // it had ended by then
  Tail tail_ = {{}, nullptr, nullptr};
  std::string* serving_ = nullptr;
  std::string spare_;  // memory of the answer before
  Outcome state_ = Outcome::Done;
};

}  // namespace tenon::wire

#endif
