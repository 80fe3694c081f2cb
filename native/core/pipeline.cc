#include "pipeline.h"

#include "authentication.h"
#include "call.h"
#include "clock.h"
#include "front.h"
#include "generation.h"
#include "middleware.h"
#include "plugin.h"
#include "thread_guard.h"
#include "thread_record.h"

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

void refuse_for_want_of_threads(Call& call, uint32_t lost) {
  call.refuse(Refusal::PluginUnresponsive, 503,
              lost == 0 ? "no thread could be started for " + call.plugin->id()
                        : std::to_string(lost) + " threads of " + call.plugin->id() +
                              " are stuck in its handlers; it gets no more until it is reloaded");
}

// Behind the closed gate of `plugin`. False when there is no room; `opened`: it is not closed any more.
bool wait_at(Call& call, Plugin& plugin, uint64_t patience_ms, bool& opened) {
  call.request.own();
  if (!call.armed) call.arm(patience_ms);
  call.parked = true;
  call.parked_at.store(&plugin, std::memory_order_release);
  if (plugin.park(call, opened)) return true;
  call.parked_at.store(nullptr, std::memory_order_release);
  return false;
}

std::string too_many_wait_for(const Plugin& plugin) {
  return "too many calls wait for " + plugin.id() + " to be replaced";
}

// Whether requests have anything to do with these extensions as they are now.
bool concerns_requests(const Chain& chain) {
  if (chain.identity) return true;
  for (const ChainLink& link : chain.links) {
    const Lease* const live = link.plugin->live();
    if (live == nullptr || link.plugin->is_held()) return true;
    const Offers& offers = live->generation->offers();
    if (offers.auth != nullptr || offers.middleware != nullptr) return true;
  }
  return false;
}

enum class Arrival { There, Waiting, Refused };

// Leases on all extensions, for a call that cannot wait later.
Arrival bring_leases(Call& call) {
  if (!call.pass->chain) return Arrival::There;
  const std::vector<ChainLink>& links = call.pass->chain->links;
  std::vector<Lease*>& leases = call.pass->leases;
  while (leases.size() < links.size()) {
    const ChainLink& link = links[leases.size()];
    Lease* lease = nullptr;
    if (link.own) {
      leases.push_back(nullptr);
      continue;
    }
    bool opened = false;
    switch (link.plugin->enter(lease)) {
      case Plugin::Entry::Entered:
        leases.push_back(lease);
        break;
      case Plugin::Entry::Stopped:
        leases.push_back(nullptr);
        break;
      case Plugin::Entry::Held:
        // Nobody else waits for it: what it has so far is to be replaced, too.
        call.pass->leave();
        if (wait_at(call, *link.plugin, call.route->deadline_ms, opened)) return Arrival::Waiting;
        if (opened) break;
        call.refuse(Refusal::PluginBusy, 503, too_many_wait_for(*link.plugin));
        return Arrival::Refused;
    }
  }
  return Arrival::There;
}

tenon_status run_handler(Call& call, const Generation& generation) {
  call.denials = generation.denials();
  if (call.goes_on) return generation.source().go_on(call);
  const Inside inside(generation.image(), Work::Handle, call.request.number, call.slot,
                      call.began.load(std::memory_order_relaxed));
  return generation.http()->handle(generation.instance(), call.route->index, &call, &call);
}

// On the front's thread. Whether there are extensions cannot change meanwhile: only with some is it ever asked whose
// call this thread has.
bool run_inline(Call& call, Generation& generation) {
  if (call.pass) {
    const Arrival arrival = bring_leases(call);
    if (arrival == Arrival::Waiting) return false;
    if (arrival == Arrival::Refused) return finish(call);
  }
  call.front.set_inline_call(&call);
  if (generation.counters().is_sample_due()) call.began.store(now(), std::memory_order_relaxed);
  if (call.pass || call.plugin->has_chain()) {
    call.conclude(handle(call));
    if (call.pass) call.pass->leave();
  } else {
    const FloatingPointGuard floating_point;
    call.conclude(run_handler(call, generation));
  }
  call.front.set_inline_call(nullptr);
  call.front.signal_mask().count(generation.image());
  call.request.forget_headers();
  return finish(call);
}

// Whether a step or a hook of it may wait for another process.
bool meets_isolated(const Call& call) {
  if (!call.plugin->has_chain()) return false;
  const std::shared_ptr<const Chain> chain = call.pass ? call.pass->chain : call.plugin->chain();
  return chain && is_isolated(*chain);
}

// Whether nothing but its handler has to do with it.
bool is_handler_alone(const Call& call) { return !call.pass && call.gate_route == nullptr && !call.asks_only; }

InstanceSource::Start begin(Call& call, Generation& generation, bool may_wait, tenon_status& status) {
  call.denials = generation.denials();
  // Where it waits before its handler is none of that one's time.
  if (generation.pool().ahead() == 0) call.began.store(now(), std::memory_order_relaxed);
  const InstanceSource::Start start = generation.source().begin(call, may_wait, status);
  if (start == InstanceSource::Start::Refused) call.began.store(0, std::memory_order_relaxed);
  return start;
}

// What was begun is over. The next one of its generation, entered at the pool; null: none, or not by this thread.
Call* close_begun(Call& call, tenon_status status) {
  Generation& generation = *call.lease.load(std::memory_order_relaxed)->generation;
  // Under its lease; from its end on the generation may be gone.
  Call* const next = generation.pool().leave(call, call.front.is_current_thread());
  call.conclude(status);
  if (call.let_go()) call.post(kFinished);
  return next;
}

// `call` is entered at the pool, or null. What cannot begin elsewhere does so on one of its threads.
void begin_waiting(Call* call) {
  while (call != nullptr) {
    Generation& generation = *call->lease.load(std::memory_order_relaxed)->generation;
    tenon_status status = TENON_ERROR_CANCELLED;
    InstanceSource::Start start = InstanceSource::Start::Over;
    if (!call->abandoned() && !call->miss(now())) {
      start = is_handler_alone(*call) ? begin(*call, generation, false, status) : InstanceSource::Start::Refused;
    }
    if (start == InstanceSource::Start::Refused) generation.pool().take_over(*call);
    call = start == InstanceSource::Start::Over ? close_begun(*call, status) : nullptr;
  }
}

bool run(Call& call, Generation& generation) {
  if (call.route->inline_ && !meets_isolated(call)) return run_inline(call, generation);
  call.request.own();
  if (!call.armed) call.arm(call.route->deadline_ms);
  if (generation.is_isolated() && is_handler_alone(call) &&
      generation.pool().enter(call, generation.source().ahead())) {
    tenon_status status = TENON_OK;
    switch (begin(call, generation, true, status)) {
      case InstanceSource::Start::Begun:
        return false;
      case InstanceSource::Start::Over: {
        Call* const next = generation.pool().leave(call, true);
        call.conclude(status);
        begin_waiting(next);
        return finish(call);
      }
      case InstanceSource::Start::Refused:
        generation.pool().leave(call, false);
        break;
    }
  }
  switch (generation.pool().submit(call)) {
    case Pool::Submission::Accepted:
      return false;
    case Pool::Submission::Full:
      return refuse(call, Refusal::PluginBusy, 503, "too many calls wait for " + call.plugin->id());
    case Pool::Submission::Unresponsive:
      break;
  }
  refuse_for_want_of_threads(call, generation.pool().lost());
  return finish(call);
}

// The handler between the steps of the extensions.
tenon_status handle_in_chain(Call& call) {
  call.pass->began = now();
  if (!authenticate(call)) return call.refusal == Refusal::None ? TENON_ERROR_CANCELLED : TENON_OK;
  if (call.asks_only) {
    call.response.pass({});
    return TENON_OK;
  }
  const Generation& generation = *call.lease.load(std::memory_order_relaxed)->generation;
  if (!call.pass->chain) return run_handler(call, generation);
  Middleware middleware(call);
  const bool wanted = middleware.before() && !call.abandoned();
  if (call.gate_route != nullptr) {
    const Identity* const identity = call.pass->identity.get();
    if (wanted) call.response.pass(identity == nullptr ? std::string() : identity->json());
    return TENON_OK;
  }
  const tenon_status status = wanted             ? run_handler(call, generation)
                              : call.abandoned() ? TENON_ERROR_CANCELLED
                                                 : TENON_OK;
  if (call.deferral.load(std::memory_order_relaxed) != Call::Deferral::None) return status;
  // What is decided here no middleware changes.
  call.conclude(status);
  call.decide();
  middleware.after();
  return TENON_OK;
}

// What the call meets before its handler. False: nothing, and it only came for that.
bool find_way(Call& call) {
  std::shared_ptr<const Chain> chain = call.plugin->chain();
  if (chain && !concerns_requests(*chain)) chain = nullptr;
  if (chain || call.route->auth > TENON_AUTH_OPEN) {
    call.pass = std::make_unique<ChainPass>(std::move(chain));
  } else if (call.gate_route != nullptr || call.asks_only) {
    call.response.pass({});
    call.request.forget_headers();
    return false;
  }
  return true;
}

bool proceed(Call& call, Lease& lease) {
  Generation& generation = *lease.generation;
  call.route = call.gate_route != nullptr ? call.gate_route.get() : generation.route_of(call.local_slot);
  if (call.route == nullptr) {
    return refuse(call, Refusal::RouteGone, 404, "the running build of " + call.plugin->id() + " has no such route");
  }
  const bool alone =
      !call.plugin->has_chain() && call.route->auth <= TENON_AUTH_OPEN && call.gate_route == nullptr && !call.asks_only;
  if (!alone && !find_way(call)) return finish(call);
  return run(call, generation);
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
        return proceed(call, *lease);
      case Plugin::Entry::Stopped:
        return refuse(call, Refusal::PluginStopped, 503, plugin.id() + " is not running");
      case Plugin::Entry::Held:
        break;
    }
    bool opened = false;
    if (wait_at(call, plugin, call.patience_ms, opened)) return false;
    if (!opened) {
      call.parked = false;
      return refuse(call, Refusal::PluginBusy, 503, too_many_wait_for(plugin));
    }
  }
}

void resend(Call& call) {
  call.parked_at.store(nullptr, std::memory_order_release);
  if (call.abandoned()) {
    finish(call);
    return;
  }
  Lease* lease = call.lease.load(std::memory_order_relaxed);
  if (lease != nullptr) {
    run(call, *lease->generation);
    return;
  }
  Plugin& plugin = *call.plugin;
  if (plugin.enter(lease) != Plugin::Entry::Entered) {
    refuse(call, Refusal::PluginStopped, 503, plugin.id() + " is not running");
    return;
  }
  call.lease.store(lease, std::memory_order_release);
  proceed(call, *lease);
}

tenon_status handle(Call& call) {
  const Generation& generation = *call.lease.load(std::memory_order_relaxed)->generation;
  const FloatingPointGuard floating_point;
  const CallOfThread call_of_thread(call);
  return call.pass ? handle_in_chain(call) : run_handler(call, generation);
}

void end_begun(Call& call, tenon_status status) { begin_waiting(close_begun(call, status)); }

void begin_anew(Call& call) {
  Generation& generation = *call.lease.load(std::memory_order_relaxed)->generation;
  if (call.expired()) return end_begun(call, TENON_ERROR_CANCELLED);
  generation.pool().take_over(call);
}

void go_on_begun(Call& call) {
  call.goes_on = true;
  call.lease.load(std::memory_order_relaxed)->generation->pool().take_over(call);
}

void strand(Call& call, uint32_t lost) {
  if (call.goes_on) call.lease.load(std::memory_order_relaxed)->generation->source().give_up(call);
  refuse_for_want_of_threads(call, lost);
  if (call.let_go()) call.post(kFinished);
}

void expire(Call& call) {
  Lease* const lease = call.lease.load(std::memory_order_acquire);
  Plugin* const gate = call.parked_at.load(std::memory_order_acquire);
  const bool alone = gate != nullptr ? gate->unpark(call) : lease != nullptr && lease->generation->pool().expire(call);
  if (lease != nullptr) lease->generation->source().be_late();
  uint32_t events = kTimedOut;
  if (alone) {
    call.let_go();
    events |= kFinished;
  }
  call.post(events);
}

}  // namespace tenon::core
