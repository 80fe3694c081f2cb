#ifndef TENON_ISOLATED_FRAME_H
#define TENON_ISOLATED_FRAME_H

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "call.h"
#include "tenon/ext/http.h"

namespace tenon::isolated {

/*
 * A request that a runner has: from the call that brings it until that returns, or until `complete`. What a runner asks
 * of it names its token. `acting` is held for as long as the response is changed, written to or ended, `mutex` for a
 * look; whoever takes both takes them in this order. A request is only touched under one of them, and goes back to the
 * host under both, so that none is touched that has gone.
 */
struct Frame {
  std::mutex acting;
  std::mutex mutex;
  uint64_t token = 0;  // 0: nobody's
  core::Call* call = nullptr;
  bool deferred = false;
  bool is_step = false;  // it is in a step of an extension, whose answer alone says what comes of it
};

// The requests of one session.
class Frames {
 public:
  // A token that no other request of this session has had. [any]
  uint64_t add(tenon_request_t* request, bool is_step = false);
  // It goes back to the host, unless it was deferred; true when it does. Waits for whoever acts on it. [any]
  bool take_back(uint64_t token);
  // The same without waiting; nothing while somebody acts on it. [any]
  std::optional<bool> try_take_back(uint64_t token);
  // Whether nobody waits for its answer any more; also of a token that is none. [any]
  bool is_cancelled(uint64_t token);
  // It stays beyond its handler, until it is completed. `deadline` is then as in Call. [any]
  tenon_status defer(uint64_t token, const tenon_host_http_t& http, uint64_t& deadline);
  // Once the runner is gone: what was deferred is refused for `why`, and nothing can be any more. [keeper]
  void fail_deferred(const tenon_host_http_t& http, const std::string& why);

  // Acts on a request for as long as this lives. [any]
  class Hold {
   public:
    Hold(Frames& frames, uint64_t token);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    // Null for a token that is none, or no longer.
    core::Call* call() const { return call_; }
    bool is_deferred() const;
    bool is_step() const;
    // It is the caller's to complete, and the runner's no more; null when it was not deferred.
    core::Call* take_deferred();

   private:
    Frames& frames_;
    Frame* const frame_;
    const uint64_t token_;
    core::Call* call_ = nullptr;
  };

 private:
  static constexpr unsigned kPlaceShift = 40;  // a token is the place of its frame, and below that a number
  Frame* at(uint64_t token);                   // null: no runner was ever given it
  void free(uint64_t token);

  std::mutex mutex_;
  std::deque<Frame> frames_;  // none is ever freed: a token that comes too late meets one of another token
  std::vector<uint32_t> free_;
  uint64_t numbers_ = 0;
  std::atomic<bool> over_{false};
};

}  // namespace tenon::isolated

#endif
