#include "log_origin.h"

#include <utility>

#include "call.h"
#include "front.h"
#include "generation.h"

namespace tenon::core {

namespace {

thread_local const WorkOfThread* current_work = nullptr;

// Under its lease, on the thread that has it.
LogOrigin origin_of(const Call& call) {
  LogOrigin origin;
  origin.request = call.request.number;
  const ChainLink* const link = call.inside();
  const Plugin* const hook = call.hook_of.load(std::memory_order_acquire);
  if (hook != nullptr || (link != nullptr && !link->own)) {
    origin.plugin = hook != nullptr ? hook : link->plugin;
    origin.generation = call.held_number.load(std::memory_order_relaxed);
    return origin;
  }
  const Lease* const lease = call.lease.load(std::memory_order_relaxed);
  origin.plugin = call.plugin;
  origin.generation = lease == nullptr ? 0 : lease->generation->number();
  return origin;
}

}  // namespace

WorkOfThread::WorkOfThread(const Plugin& plugin, uint64_t generation, const char* work, uint64_t number)
    : origin_{&plugin, generation, 0, work, number}, before_(std::exchange(current_work, this)) {}

WorkOfThread::~WorkOfThread() { current_work = before_; }

LogOrigin origin_of_thread(const Front& front) {
  if (front.is_current_thread()) {
    const Call* const call = front.inline_call();
    return call == nullptr ? LogOrigin() : origin_of(*call);
  }
  if (current_work != nullptr) return current_work->origin_;
  const Call* const call = Call::current();
  return call == nullptr ? LogOrigin() : origin_of(*call);
}

}  // namespace tenon::core
