#include "middleware.h"

#include <algorithm>
#include <string>

#include "chain_step.h"

namespace tenon::core {

// False when the call has been refused.
bool Middleware::find() {
  for (size_t link = 0; link < call_.pass->chain->links.size(); link++) {
    if (call_.pass->chain->links[link].own) continue;
    const ChainStep step(call_, link);
    if (step.refused()) return false;
    if (step.generation() == nullptr || step.generation()->offers().middleware == nullptr) continue;
    places_.push_back({step.generation()->offers().order, link});
  }
  std::stable_sort(places_.begin(), places_.end(),
                   [](const Place& left, const Place& right) { return left.order < right.order; });
  return true;
}

bool Middleware::before() {
  if (!find()) return false;
  for (; through_ < places_.size(); through_++) {
    if (call_.abandoned()) return false;
    ChainStep step(call_, places_[through_].link);
    if (step.refused()) return false;
    if (step.generation() == nullptr || !step.generation()->offers().before) continue;
    const Generation& generation = *step.generation();
    bool answered = false;
    const tenon_status status = step.run(Work::Before, [&] {
      return generation.offers().middleware->before(generation.instance(), &call_, &call_, &answered);
    });
    if (call_.refusal != Refusal::None) return false;
    if (status != TENON_OK) {
      const std::string_view message = call_.response.message();
      step.fail("before", 500, "its middleware failed",
                message.empty() ? "status " + std::to_string(status) : std::string(message));
      return false;
    }
    call_.response.fail({});
    if (answered) {
      call_.pass->foreign_fault = true;
      return through_++, false;
    }
  }
  return true;
}

void Middleware::after() {
  while (through_ > 0) {
    const ChainStep::Absence fine = ChainStep::Absence::IsFine;
    ChainStep step(call_, places_[--through_].link, fine);
    if (step.generation() == nullptr || !step.generation()->offers().after) continue;
    const Generation& generation = *step.generation();
    const bool well = call_.refusal == Refusal::None && call_.response.status() < 500;
    step.run(Work::After, [&]() -> tenon_status {
      generation.offers().middleware->after(generation.instance(), &call_, &call_);
      return TENON_OK;
    });
    if (well && call_.response.status() >= 500) call_.pass->foreign_fault = true;
  }
}

}  // namespace tenon::core
