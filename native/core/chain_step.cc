#include "chain_step.h"

#include "clock.h"
#include "plugin.h"

namespace tenon::core {

ChainStep::ChainStep(Call& call, size_t link, Absence absence) : call_(call), link_(call.pass->chain->links[link]) {
  ChainPass& pass = *call.pass;
  if (link_.own) {
    lease_ = call.lease.load(std::memory_order_relaxed);
  } else if (!pass.leases.empty()) {
    lease_ = pass.leases[link];
  } else {
    Plugin::Entry entry = link_.plugin->enter(lease_);
    if (entry == Plugin::Entry::Held) {
      const uint64_t began = go_in();
      entry = link_.plugin->enter(lease_, [&call] { return call.abandoned(); });
      call.elsewhere.fetch_add(now() - began, std::memory_order_relaxed);
      come_out();
    }
    own_lease_ = entry == Plugin::Entry::Entered;
    // Nobody waits for the call any more, and the step is not known to be left out.
    if (entry == Plugin::Entry::Held) {
      refused_ = true;
      return;
    }
  }
  if (lease_ != nullptr || !link_.required || absence == Absence::IsFine) return;
  refuse(Refusal::ExtensionUnavailable, 503, "it is not running");
}

ChainStep::~ChainStep() {
  if (own_lease_) link_.plugin->leave(*lease_);
}

uint64_t ChainStep::go_in() {
  call_.pass->inside.store(&link_, std::memory_order_release);
  return link_.own ? 0 : now();
}

void ChainStep::book(uint64_t began) {
  const uint64_t spent = now() - began;
  link_.plugin->steps.add(spent);
  call_.elsewhere.fetch_add(spent, std::memory_order_relaxed);
}

// Whose deadline has passed in here is answered for as one that is in here, however soon it came back.
void ChainStep::come_out() {
  if (!call_.expired()) call_.pass->inside.store(nullptr, std::memory_order_release);
}

const std::string& ChainStep::id() const { return link_.plugin->id(); }

void ChainStep::fail(Refusal why, int32_t status, const std::string& text) {
  if (!link_.own) link_.plugin->steps.faults.fetch_add(1, std::memory_order_relaxed);
  refuse(why, status, text);
}

void ChainStep::refuse(Refusal why, int32_t status, const std::string& text) {
  refused_ = true;
  call_.pass->foreign_fault = true;
  call_.refuse(why, status, "extension " + id() + ": " + text);
}

void ChainStep::check_response() {
  if (call_.refusal != Refusal::None) return;
  if (const std::string_view flaw = call_.response.flaw(); !flaw.empty()) {
    fail(Refusal::ResponseInvalid, 502, std::string(flaw));
  }
}

}  // namespace tenon::core
