#ifndef TENON_NODE_LOOP_WATCH_H
#define TENON_NODE_LOOP_WATCH_H

#include <uv.h>

#include <memory>
#include <vector>

#include "front.h"
#include "process_audit.h"

namespace tenon::node {

// Whether something on the event loop waits for a signal, or for a child. On the loop's thread.
core::ProcessAudit::Loop AuditedLoop(uv_loop_t* loop);

// What has the event loop look at what a front attends to: at each descriptor, and at the front before the loop sleeps.
// Never keeps the loop alive: calls that are under way do. All of it on the loop's thread.
class LoopWatch {
 public:
  LoopWatch(uv_loop_t* loop, core::Front& front) : loop_(loop), front_(front) {}
  ~LoopWatch();
  LoopWatch(const LoopWatch&) = delete;
  LoopWatch& operator=(const LoopWatch&) = delete;

  bool Attend(core::Attended& attended);
  void Neglect(core::Attended& attended);

 private:
  // Both are freed by the loop, once it has closed them.
  struct Descriptor {
    uv_poll_t handle;
    core::Attended* attended;
  };
  struct BeforeSleep {
    uv_prepare_t handle;
    core::Front* front;
  };

  uv_loop_t* const loop_;
  core::Front& front_;
  std::vector<Descriptor*> descriptors_;
  BeforeSleep* before_sleep_ = nullptr;
};

}  // namespace tenon::node

#endif
