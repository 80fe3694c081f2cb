#include "express_lane.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "clock.h"
#include "front.h"
#include "pipeline.h"
#include "plugin.h"
#include "plugin_functions.h"
#include "session.h"
#include "wire/pause.h"

namespace tenon::isolated {

using core::Call;
using Start = core::InstanceSource::Start;

namespace {

// A route whose handler has asked for something is asked over lanes for so many calls.
constexpr uint8_t kCallsOverLanes = 200;
// Where looking for an answer has not been worth it, it is tried again after so many calls.
constexpr uint32_t kCallsBetweenTries = 64;
// More than a runner that has nothing to say ever rings.
constexpr uint32_t kRungForNothing = 10'000;

}  // namespace

bool ExpressLane::open(int control) {
  if (open_ || std::exchange(tried_, true)) return is_open();
  for (uint32_t slot = wire::kExpressSlots; slot > 0; slot--) free_.push_back(slot - 1);
  if (!own_.open() || !other_.open()) return false;
  open_ = wire::send_packet(control, {wire::Packet::Lane, wire::kExpressLane}, {}, {other_.waiting(), own_.ringing()});
  own_.close_ringing();
  return open_;
}

void ExpressLane::set_limit(uint32_t limit) {
  // Only this thread changes it.
  if (limit == limit_) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  limit_ = limit;
  tell_limit();
}

// Under the mutex. Not written without need: the runner reads it all the time.
void ExpressLane::tell_limit() {
  if (head_.express_limit.load(std::memory_order_relaxed) != limit_) head_.express_limit.store(limit_);
  if (head_.express_late.load(std::memory_order_relaxed) != late_) head_.express_late.store(late_);
}

Start ExpressLane::begin(Call& call, uint64_t token, std::string_view question, std::string_view body, uint8_t& route,
                         bool may_wait, tenon_status& status) {
  const uint64_t body_size = body.size();
  const size_t size = question.size() + sizeof body_size + body.size();
  if (size > wire::kExpressBytes) return Start::Refused;
  bool rings = false;
  uint32_t end = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    wire::ExpressHead head = {0, wire::Express::Request, static_cast<uint32_t>(size), 0};
    if (over_ || free_.empty() || !out_.has_room(sizeof head + size)) return Start::Refused;
    head.slot = free_.back();
    free_.pop_back();
    under_way_.fetch_add(1, std::memory_order_relaxed);
    used_.fetch_add(1, std::memory_order_relaxed);
    late_ &= ~(uint64_t{1} << head.slot);
    tell_limit();
    // This thread is awake, and looks before it sleeps.
    in_.end_sleep();
    out_.write(reinterpret_cast<const char*>(&head), sizeof head);
    out_.write(question.data(), question.size());
    out_.write(reinterpret_cast<const char*>(&body_size), sizeof body_size);
    out_.write(body.data(), body.size());
    end = out_.position();
    slots_[head.slot] = {Slot::State::Begun, &call, token, &route, call.request.number, core::now(), 0, end};
    rings = out_.publish();
  }
  if (rings) {
    rung_ = end;
    other_.ring();
    return Start::Begun;
  }
  if (!may_wait || under_way_.load(std::memory_order_relaxed) != 1) return Start::Begun;
  if (++begins_ % kCallsBetweenTries == 0) looks_ = kMostLooks;
  awaited_ = &call;
  for (int looks = 0; looks < looks_; looks++) {
    if (!wire::has_unread(memory_.to_host)) {
      wire::pause();
      continue;
    }
    while (take()) {
    }
    if (awaited_ == nullptr) break;
  }
  if (std::exchange(awaited_, nullptr) != nullptr) {
    looks_ /= 2;
    return Start::Begun;
  }
  looks_ = std::min(kMostLooks, looks_ * 2 + 1);
  // Taken out of its slot by this thread: over, or on its way to a lane.
  if (call.goes_on) return Start::Begun;
  status = awaited_status_;
  return Start::Over;
}

void ExpressLane::leave(uint32_t slot) {
  const std::lock_guard<std::mutex> lock(mutex_);
  slots_[slot] = {};
  free_.push_back(slot);
  used_.fetch_sub(1, std::memory_order_relaxed);
}

// Under the mutex; the process is killed without it.
bool ExpressLane::violate() {
  over_ = violated_ = true;
  return false;
}

// Under the mutex: the next message, and the call that it has taken out of its slot.
bool ExpressLane::read(Message& message, std::string& payload) {
  wire::ExpressHead head = {};
  const size_t available = in_.available();
  if (over_ || (available == 0 && !in_.violated())) return false;
  if (in_.violated() || !in_.is_intact() || !out_.is_intact()) return violate();
  // The runner lets only whole ones be seen.
  if (in_.read(reinterpret_cast<char*>(&head), sizeof head) != sizeof head) return violate();
  if (head.size > wire::kExpressBytes) return violate();
  payload.resize(head.size);
  if (in_.read(payload.data(), payload.size()) != payload.size()) return violate();
  in_.release();
  if (head.slot >= slots_.size() || slots_[head.slot].state != Slot::State::Begun) return violate();
  Slot& slot = slots_[head.slot];
  message = {head.kind, head.slot, head.detail, slot.since, slot.call, slot.token, slot.route};
  switch (head.kind) {
    case wire::Express::Answer:
      slot = {};
      free_.push_back(head.slot);
      used_.fetch_sub(1, std::memory_order_relaxed);
      break;
    case wire::Express::WantsLane:
      slot.state = Slot::State::OnLane;
      break;
    default:
      return violate();
  }
  under_way_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

bool ExpressLane::next(Message& message, std::string& payload) {
  bool broken = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (read(message, payload)) return true;
    broken = std::exchange(violated_, false);
  }
  if (broken) session_.kill("broke the protocol between it and the host");
  return false;
}

bool ExpressLane::take() {
  // Memory of the answer before.
  thread_local std::string payload;
  Message message;
  if (!next(message, payload)) return false;
  rung_for_nothing_ = 0;
  const bool is_awaited = message.call == awaited_;
  if (is_awaited) awaited_ = nullptr;
  if (message.kind == wire::Express::Answer) {
    const tenon_status status = answer(message, payload);
    if (is_awaited) {
      awaited_status_ = status;
    } else {
      core::end_begun(*message.call, status);
    }
    return true;
  }
  if (message.detail == 1) *message.route = kCallsOverLanes;
  // Since when it runs is not known, of one that has waited.
  uint64_t never = 0;
  message.call->began.compare_exchange_strong(never, core::now(), std::memory_order_relaxed);
  message.call->errand = session_.shared_from_this();
  message.call->errand_slot = message.slot;
  message.call->errand_token = message.token;
  core::go_on_begun(*message.call);
  return true;
}

tenon_status ExpressLane::answer(const Message& message, std::string_view payload) {
  Call& call = *message.call;
  const uint64_t time = core::now();
  const uint64_t took = std::min(time - message.since, message.detail * uint64_t{1000});
  call.began.store(time - took, std::memory_order_relaxed);
  wire::Reader reader(payload);
  const auto status = reader.get<int32_t>();
  const std::optional<bool> taken = session_.frames.try_take_back(message.token);
  // Deferred: it is another thread's from here on.
  if (taken == false) return status;
  if (taken && apply_changes(call, reader)) return status;
  session_.kill(taken ? "answered a request with what is no answer"
                      : "answered a request that another of its threads was still at");
  // Who is at it lets go now.
  if (!taken && !session_.frames.take_back(message.token)) return status;
  call.refuse(core::Refusal::ProcessEnded, 502, call.plugin->id() + ": its process answered with what is no answer");
  return TENON_OK;
}

void ExpressLane::refuse(Call& call, uint64_t token, const std::string& why) {
  if (session_.frames.take_back(token)) {
    call.refuse(core::Refusal::ProcessEnded, 502, call.plugin->id() + ": " + why);
  }
  core::end_begun(call, TENON_OK);
}

void ExpressLane::look() {
  if (!own_.hush() && !std::exchange(deaf_, true)) session_.lose_bell();
  if (++rung_for_nothing_ > kRungForNothing) session_.kill("rang without end");
  while (take()) {
  }
}

// Under the mutex: whether the runner has not taken it, which has `unread` bytes to read.
bool ExpressLane::waits(const Slot& slot, uint32_t unread) const {
  return slot.state == Slot::State::Begun && out_.position() - slot.end < unread;
}

// Under the mutex. Who runs now is not known here: what has just returned may not have been told of yet.
void ExpressLane::ring_for(uint32_t waiting) {
  const uint32_t most = limit_ + static_cast<uint32_t>(__builtin_popcountll(late_));
  if (waiting > 0) other_.ring(std::min(waiting, most));
}

core::Attended::Readiness ExpressLane::before_sleep() {
  if (deaf_ || session_.ended()) return deaf_ = true, Readiness::Over;
  if (under_way_.load(std::memory_order_relaxed) == 0) return Readiness::Quiet;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (over_) return deaf_ = true, Readiness::Over;
  // It tells who runs no more.
  if (in_.has_some() || in_.violated()) return Readiness::Something;
  if (const uint32_t unread = out_.unread(); unread > 0 && std::exchange(told_, out_.position()) != out_.position()) {
    const auto waiting = static_cast<uint32_t>(
        std::count_if(slots_.begin(), slots_.end(), [&](const Slot& slot) { return waits(slot, unread); }));
    const bool has_rung = rung_ != 0 && out_.position() - rung_ < unread;
    if (!has_rung) rung_ = 0;
    ring_for(waiting - (has_rung && waiting > 0 ? 1 : 0));
  }
  return in_.prepare_sleep() ? Readiness::Quiet : Readiness::Something;
}

uint64_t ExpressLane::due(uint64_t time, uint64_t grace) {
  if (used_.load(std::memory_order_relaxed) == 0) return UINT64_MAX;
  uint64_t soonest = UINT64_MAX;
  uint64_t soonest_waiting = UINT64_MAX;
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint32_t unread = out_.unread();
  const uint64_t before = late_;
  uint32_t waiting = 0;
  for (uint32_t number = 0; number < slots_.size(); number++) {
    Slot& slot = slots_[number];
    const bool waits_for_thread = waits(slot, unread);
    if (waits_for_thread) waiting++;
    if (slot.state == Slot::State::Free || !slot.call->expired()) continue;
    if (slot.late == 0) slot.late = time;
    if (!waits_for_thread) late_ |= uint64_t{1} << number;
    // Who waits for it on a lane ends it himself.
    if (slot.state == Slot::State::OnLane) continue;
    uint64_t& first = waits_for_thread ? soonest_waiting : soonest;
    first = std::min(first, slot.late + grace);
  }
  // What waits, waits for what runs, which has a deadline of its own.
  if (waiting == used_.load(std::memory_order_relaxed)) soonest = std::min(soonest, soonest_waiting);
  if (late_ != before) {
    tell_limit();
    ring_for(waiting);
  }
  return soonest;
}

void ExpressLane::end(const std::string& why) {
  std::string payload;
  for (Message message; next(message, payload);) {
    if (message.kind == wire::Express::WantsLane) {
      refuse(*message.call, message.token, why);
    } else {
      const tenon_status status = answer(message, payload);
      core::end_begun(*message.call, status);
    }
  }
  std::vector<Slot> lost;
  std::vector<Slot> not_begun;
  uint32_t place = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
    place = out_.position();
    const uint32_t unread = out_.unread();
    for (Slot& slot : slots_) {
      if (slot.state == Slot::State::Begun) (waits(slot, unread) ? not_begun : lost).push_back(slot);
      // One on a lane is still its own.
      if (slot.state == Slot::State::Begun) slot = {};
    }
    under_way_.store(0, std::memory_order_relaxed);
  }
  for (const Slot& slot : lost) refuse(*slot.call, slot.token, why);
  // Each comes before those that wait: the last first.
  std::sort(not_begun.begin(), not_begun.end(),
            [place](const Slot& one, const Slot& other) { return place - one.end < place - other.end; });
  for (const Slot& slot : not_begun) {
    if (session_.frames.take_back(slot.token)) {
      core::begin_anew(*slot.call);
    } else {
      core::end_begun(*slot.call, TENON_OK);
    }
  }
}

void ExpressLane::add_doing(uint64_t time, std::vector<Doing>& doing) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint32_t unread = out_.unread();
  for (const bool late : {true, false}) {
    for (uint32_t slot = 0; slot < slots_.size(); slot++) {
      const Slot& one = slots_[slot];
      if (one.state == Slot::State::Free || waits(one, unread) || is_late(slot) != late) continue;
      doing.push_back({wire::kExpressLane + slot, wire::kDownHandle, one.request,
                       time < one.since ? 0 : (time - one.since) / 1'000'000});
    }
  }
}

}  // namespace tenon::isolated
