#include "pipeline.h"

#include "call.h"
#include "clock.h"
#include "front.h"
#include "generation.h"
#include "plugin.h"
#include "thread_guard.h"

namespace tenon::core {

namespace {

// The front's hold is the last: answer at once, unless the front has already been told to wait.
bool finish(Call& call) {
  if (!call.let_go()) return false;
  if (!call.parked && !call.stream && !call.claimed) return true;
  call.post(kFinished);
  return false;
}

bool refuse(Call& call, Refusal why, int32_t status, std::string text) {
  call.refuse(why, status, std::move(text));
  return finish(call);
}

bool proceed(Call& call) {
  Generation& generation = *call.lease.load(std::memory_order_relaxed)->generation;
  call.route = generation.route_of(call.local_slot);
  if (call.route == nullptr) {
    return refuse(call, Refusal::RouteGone, 404, "the running build of " + call.plugin->id() + " has no such route");
  }
  if (call.route->inline_) {
    if (generation.counters().is_sample_due()) call.began.store(now(), std::memory_order_relaxed);
    call.conclude(handle(call));
    call.request.forget_headers();
    return finish(call);
  }
  call.request.own();
  if (!call.armed) call.arm(call.route->deadline_ms);
  switch (generation.pool().submit(call)) {
    case Pool::Submission::Accepted:
      return false;
    case Pool::Submission::Full:
      return refuse(call, Refusal::PluginBusy, 503, "too many calls wait for " + call.plugin->id());
    case Pool::Submission::Unresponsive:
      break;
  }
  const uint32_t lost = generation.pool().lost();
  return refuse(call, Refusal::PluginUnresponsive, 503,
                lost == 0 ? "no thread could be started for " + call.plugin->id()
                          : std::to_string(lost) + " threads of " + call.plugin->id() +
                                " are stuck in its handlers; it gets no more until it is reloaded");
}

}  // namespace

bool send(Call& call) {
  call.holds.store(1, std::memory_order_relaxed);
  Plugin& plugin = *call.plugin;
  for (;;) {
    Lease* lease = nullptr;
    switch (plugin.enter(lease)) {
      case Plugin::Entry::Entered:
        call.lease.store(lease, std::memory_order_release);
        return proceed(call);
      case Plugin::Entry::Stopped:
        return refuse(call, Refusal::PluginStopped, 503, plugin.id() + " is not running");
      case Plugin::Entry::Held:
        break;
    }
    call.request.own();
    if (!call.armed) call.arm(call.patience_ms);
    call.parked = true;
    bool opened = false;
    if (plugin.park(call, opened)) return false;
    call.parked = false;
    if (!opened)
      return refuse(call, Refusal::PluginBusy, 503, "too many calls wait for " + plugin.id() + " to be replaced");
  }
}

void resend(Call& call) {
  if (call.abandoned()) {
    finish(call);
    return;
  }
  Plugin& plugin = *call.plugin;
  Lease* lease = nullptr;
  if (plugin.enter(lease) != Plugin::Entry::Entered) {
    refuse(call, Refusal::PluginStopped, 503, plugin.id() + " is not running");
    return;
  }
  call.lease.store(lease, std::memory_order_release);
  proceed(call);
}

tenon_status handle(Call& call) {
  const Generation& generation = *call.lease.load(std::memory_order_relaxed)->generation;
  const FloatingPointGuard floating_point;
  return generation.http()->handle(generation.instance(), call.route->index, &call, &call);
}

void expire(Call& call) {
  Lease* const lease = call.lease.load(std::memory_order_acquire);
  const bool alone = lease == nullptr ? call.plugin->unpark(call) : lease->generation->pool().expire(call);
  uint32_t events = kTimedOut;
  if (alone) {
    call.let_go();
    events |= kFinished;
  }
  call.post(events);
}

}  // namespace tenon::core
