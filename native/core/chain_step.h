#ifndef TENON_CORE_CHAIN_STEP_H
#define TENON_CORE_CHAIN_STEP_H

#include <cstddef>
#include <string>

#include "call.h"
#include "generation.h"
#include "thread_guard.h"
#include "thread_visits.h"

namespace tenon::core {

// A call of `generation`, which is not that of this thread.
template <typename Function>
tenon_status run_foreign(const Generation& generation, Function function) {
  if (ThreadVisits* const visits = ThreadVisits::current(); visits != nullptr) visits->visit(generation);
  const FloatingPointGuard floating_point;
  return function();
}

// One record in the log of an extension for what failed in its `step`, of `call` or of none.
void log_failure(const Call* call, const Generation& generation, const std::string& step, const std::string& message);

/*
 * One step of a call within an extension of its chain, under a lease on the generation that is live then. A pool thread
 * waits while the extension is being replaced; an inline call has brought its leases.
 */
class ChainStep {
 public:
  enum class Absence { Refuses, IsFine };

  // With Absence::Refuses the call is refused when the extension is required and does not run.
  ChainStep(Call& call, size_t link, Absence absence = Absence::Refuses);
  ~ChainStep();
  ChainStep(const ChainStep&) = delete;
  ChainStep& operator=(const ChainStep&) = delete;

  bool refused() const { return refused_; }
  // Null when it does not run: the step is left out.
  Generation* generation() const { return lease_ == nullptr ? nullptr : lease_->generation; }
  const std::string& id() const;

  // Run the extension's code. What it did wrong to the response refuses the call, in the extension's name.
  template <typename Function>
  tenon_status run(Work work, Function function) {
    const uint32_t gifts = call_.response.gifts();
    const bool flawed = !call_.response.flaw().empty();
    const bool refused = call_.refusal != Refusal::None;
    const uint64_t began = go_in();
    const tenon_status status = enter(work, began, function);
    if (!link_.own) book(began);
    come_out();
    check_lent();
    if (call_.response.gifts() != gifts) take_gift(work);
    if (!flawed) check_response();
    // Its process has ended in here.
    if (!refused && call_.refusal == Refusal::ExtensionFailed) count_fault();
    return status;
  }
  // Refuse the call because the extension failed in `step`: `text` is for the client, `cause` for the log alone.
  void fail(const char* step, int32_t status, const std::string& text, const std::string& cause);

 private:
  template <typename Function>
  tenon_status enter(Work work, uint64_t began, Function function) {
    const Inside inside(generation()->image(), work, call_.request.number, call_.slot, began);
    return link_.own ? function() : run_foreign(*generation(), function);
  }
  // What it has given is freed by its code.
  void take_gift(Work work);
  // The time, when it matters.
  uint64_t go_in();
  // The time since `began` is the extension's, and not the plugin's.
  void book(uint64_t began);
  void spend(uint64_t spent);
  void come_out();
  void count_fault();
  void refuse(Refusal why, int32_t status, const std::string& text);
  void check_lent();
  void check_response();

  Call& call_;
  const ChainLink& link_;
  Lease* lease_ = nullptr;
  bool own_lease_ = false;
  bool refused_ = false;
};

}  // namespace tenon::core

#endif
