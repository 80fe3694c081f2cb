#ifndef TENON_ISOLATED_FRAME_H
#define TENON_ISOLATED_FRAME_H

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "tenon/ext/http.h"

namespace tenon::isolated {

/*
 * A request that a runner has: from the call that brings it until that returns, or until `complete`. What a runner asks
 * of it names its token, and is done under its mutex, so that no request is touched that has gone back to the host.
 */
struct Frame {
  std::mutex mutex;
  tenon_request_t* request = nullptr;  // null: it has gone back
  tenon_response_t* response = nullptr;
  bool deferred = false;
};

class Frames {
 public:
  // A token that no other request of this session has had. [any]
  uint64_t add(tenon_request_t* request, tenon_response_t* response);
  // Null for a token that is none, or no longer. [any]
  std::shared_ptr<Frame> find(uint64_t token);
  // It goes back to the host, unless it was deferred; true when it does. Nobody is in it any more then. [any]
  bool take_back(uint64_t token);
  // It is completed: forget it, whatever it is. [any]
  void forget(uint64_t token);
  // Those that are deferred, and forgets all. Once the runner is gone. [keeper]
  std::vector<std::shared_ptr<Frame>> take_all();

 private:
  std::mutex mutex_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<Frame>> frames_;
};

}  // namespace tenon::isolated

#endif
