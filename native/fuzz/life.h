#ifndef TENON_FUZZ_LIFE_H
#define TENON_FUZZ_LIFE_H

#include <cstdlib>
#include <memory>
#include <vector>

#include "call.h"
#include "generation.h"
#include "isolated/isolated_plugin.h"
#include "script.h"

namespace tenon::fuzz {

inline void require(bool good) {
  if (!good) std::abort();
}

// wire::kSharedBytes; what of it an execution has changed it empties.
void* shared_memory();
void empty(wire::LaneMemory& memory);

// A request within a step, or within a handler.
class Request {
 public:
  Request();
  // It is one for a handler alone, of `generation`; false: others wait for its pool.
  bool begin(core::Generation& generation);
  void be_in_step(bool required) { call.pass->inside = &call.pass->chain->links[required ? 0 : 1]; }
  core::Call call;
};

// A session without a process, on memory of the fuzzer's. Its lanes see the other side's end once they have read all.
// One at a time: what an execution needs of the system is that of the one before.
class Life {
 public:
  explicit Life(Script& script);
  ~Life();
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  // What the runner says on the express lane.
  wire::LaneMemory& express();
  wire::RingMemory& said(uint32_t lane) { return session->lane_memory(lane).to_host; }
  // The runner's end of its control socket.
  int other() const;

  Request request;
  Request deferred;
  std::shared_ptr<isolated::Session> session;
  std::shared_ptr<isolated::IsolatedPlugin> own;
};

// One of the plugin of a life, whose pool begins no thread.
std::unique_ptr<core::Generation> generation_of(const Life& life);

// What the runner says on a lane: mostly answers and questions in their order, and sometimes anything.
void say(Script& script, wire::RingMemory& memory, const std::vector<uint16_t>& expected);

// express.cc
void answer_express(Script& script);

}  // namespace tenon::fuzz

#endif
