#include "chain_step.h"

#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "clock.h"
#include "front.h"
#include "plugin.h"

namespace tenon::core {

void log_failure(const Call* call, const Generation& generation, const std::string& step, const std::string& message) {
  std::vector<tenon_log_field_t> fields = {{bytes("extension"), bytes(generation.plugin().id())},
                                           {bytes("step"), bytes(step)}};
  std::string request;
  if (call != nullptr) {
    request = call->front.name() + "-" + std::to_string(call->request.number);
    fields.push_back({bytes("request_id"), bytes(request)});
    fields.push_back({bytes("application"), bytes(call->plugin->id())});
  }
  generation.log(TENON_LOG_ERROR, message, fields.data(), fields.size());
}

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
      spend(now() - began);
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

void ChainStep::take_gift(Work work) {
  const Inside inside(generation()->image(), work, call_.request.number, call_.slot);
  call_.response.copy_gift();
}

uint64_t ChainStep::go_in() {
  ChainPass& pass = *call_.pass;
  const uint64_t number = lease_ == nullptr ? 0 : generation()->number();
  pass.inside.store(&link_, std::memory_order_release);
  if (!call_.expired()) {
    call_.held_number.store(number, std::memory_order_relaxed);
    pass.held.store(&link_, std::memory_order_release);
  }
  if (link_.own) return 0;
  uint64_t& counted = pass.visited[static_cast<size_t>(&link_ - pass.chain->links.data())];
  if (lease_ != nullptr && std::exchange(counted, number) != number) {
    generation()->visits().calls.fetch_add(1, std::memory_order_relaxed);
  }
  return now();
}

void ChainStep::book(uint64_t began) {
  const uint64_t spent = now() - began;
  link_.plugin->steps.add(spent);
  spend(spent);
}

void ChainStep::spend(uint64_t spent) {
  if (!call_.expired()) call_.elsewhere.fetch_add(spent, std::memory_order_relaxed);
}

// Whose deadline has passed in here is answered for as one that is in here, however soon it came back.
void ChainStep::come_out() {
  call_.pass->inside.store(nullptr, std::memory_order_release);
  if (!call_.expired()) call_.pass->held.store(nullptr, std::memory_order_release);
}

const std::string& ChainStep::id() const { return link_.plugin->id(); }

void ChainStep::fail(const char* step, int32_t status, const std::string& text, const std::string& cause) {
  count_fault();
  refuse(Refusal::ExtensionFailed, status, text);
  log_failure(&call_, *generation(), step, text + ": " + cause);
}

// Its own are counted with the call. Of one whose deadline has passed the front counts.
void ChainStep::count_fault() {
  if (link_.own || call_.expired()) return;
  link_.plugin->steps.faults.fetch_add(1, std::memory_order_relaxed);
  generation()->visits().faults.fetch_add(1, std::memory_order_relaxed);
}

void ChainStep::refuse(Refusal why, int32_t status, const std::string& text) {
  refused_ = true;
  call_.pass->foreign_fault = !link_.own;
  call_.refuse(why, status, "extension " + id() + ": " + text);
}

void ChainStep::check_lent() {
  const char* part = call_.take_overrun(*generation());
  if (const char* const elsewhere = std::exchange(call_.pass->overrun, nullptr);
      part == nullptr && elsewhere != nullptr) {
    call_.note_overrun(*generation(), elsewhere);
    part = elsewhere;
  }
  if (part == nullptr) return;
  count_fault();
  refuse(Refusal::MemoryOverrun, 500, std::string("it wrote beyond the ") + part + " of the request");
}

void ChainStep::check_response() {
  if (call_.refusal != Refusal::None) return;
  if (const std::string_view flaw = call_.response.flaw(); !flaw.empty()) {
    count_fault();
    refuse(Refusal::ResponseInvalid, 502, std::string(flaw));
  }
}

}  // namespace tenon::core
