#include "call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "clock.h"
#include "front.h"
#include "generation.h"
#include "guard_notes.h"
#include "lease.h"
#include "thread_record.h"

namespace tenon::core {

namespace {

thread_local Call* current_call = nullptr;

}  // namespace

CallOfThread::CallOfThread(Call& call) : before_(std::exchange(current_call, &call)) {}

CallOfThread::~CallOfThread() { current_call = before_; }

Call* Call::current() { return current_call; }

Plugin* Call::held_in() const {
  if (Plugin* const extension = hook_of.load(std::memory_order_acquire); extension != nullptr) return extension;
  const ChainLink* const link = pass ? pass->held.load(std::memory_order_acquire) : nullptr;
  return link == nullptr ? nullptr : link->plugin;
}

void Call::arm(uint64_t ms) {
  armed = true;
  deadline.store(now() + milliseconds(ms), std::memory_order_release);
  front.watch();
}

bool Call::disarm() { return !armed || deadline.exchange(0, std::memory_order_acq_rel) != 0; }

bool Call::abandoned() const { return cancelled.load(std::memory_order_relaxed) || expired() || front.closed(); }

bool Call::miss(uint64_t time) {
  uint64_t end = deadline.load(std::memory_order_relaxed);
  if (!armed || end == 0 || end > time) return false;
  if (deadline.compare_exchange_strong(end, 0, std::memory_order_acq_rel)) post(kTimedOut);
  return true;
}

uint32_t Call::time_left_ms() const {
  // An inline call is not armed: it cannot be stopped, and it has not yet used what it may.
  if (!armed) return route == nullptr ? 0 : route->deadline_ms;
  const uint64_t end = deadline.load(std::memory_order_relaxed);
  const uint64_t time = now();
  return end <= time ? 0 : static_cast<uint32_t>((end - time) / 1'000'000u);
}

void Call::refuse(Refusal why, int32_t status, std::string text) {
  refusal = why;
  refused_status = status;
  message = std::move(text);
}

void Call::conclude(tenon_status status) {
  if (status == TENON_OK) return;
  if (status == TENON_ERROR_DENIED) explain_denial();
  result_.store(status, std::memory_order_relaxed);
}

// Under its lease. Of a call that is completed elsewhere than it was refused something the thread does not tell.
void Call::explain_denial() {
  const Lease* const own = lease.load(std::memory_order_relaxed);
  if (own == nullptr) return;
  const bool anywhere = deferral.load(std::memory_order_relaxed) != Deferral::None;
  const std::optional<Permissions::Denial> denial = own->generation->permissions().denied(denials, anywhere);
  if (denial && !denied_.exchange(true, std::memory_order_acq_rel)) denial_ = denial->line + "\n" + denial->sentence;
}

bool Call::let_go() {
  if (holds.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  decide();
  if (began.load(std::memory_order_relaxed) != 0) ended = now();
  claimed = !disarm();
  return true;
}

const char* Call::take_overrun(const Generation& generation) {
  const char* const part = request.take_overrun();
  if (part != nullptr) note_overrun(generation, part);
  return part;
}

void Call::note_overrun(const Generation& generation, const char* part) const {
  std::string detail = std::string("it wrote beyond the ") + part + " of the request " + method_name(request.method);
  detail += " " + std::string(path_pattern) + " that it was lent";
  note_guard({generation.image(), "overrun", std::move(detail), true, true});
}

void Call::note_overrun(const char* part) {
  // The step refuses it.
  if (inside() != nullptr) {
    pass->overrun = part;
    return;
  }
  const Lease* const own = lease.load(std::memory_order_relaxed);
  if (own == nullptr) return;
  note_overrun(*own->generation, part);
  refuse(Refusal::MemoryOverrun, 500,
         plugin->id() + " wrote beyond the " + part + " of the request, which it was only lent");
}

void Call::decide() {
  if (const Lease* const own = lease.load(std::memory_order_relaxed); own != nullptr) {
    if (const char* const part = request.take_overrun()) note_overrun(part);
  }
  if (refusal != Refusal::None) return;
  const tenon_status status = result_.load(std::memory_order_relaxed);
  if (status != TENON_OK) {
    if (!denial_.empty()) return refuse(Refusal::PermissionDenied, 403, std::move(denial_));
    std::string text(response.message());
    if (text.empty()) text = "the handler returned status " + std::to_string(status);
    refuse(Refusal::HandlerFailed, 500, std::move(text));
  } else if (const std::string_view flaw = response.flaw(); !flaw.empty()) {
    refuse(Refusal::ResponseInvalid, 502, std::string(flaw));
  }
}

void Call::post(uint32_t event) {
  if (events.fetch_or(event, std::memory_order_acq_rel) == 0) front.push(*this);
}

tenon_status Call::write(std::string_view chunk, const std::atomic<bool>* over) {
  if (inside() != nullptr) return TENON_ERROR_STATE;
  if (chunk.size() > Stream::kChunkBytes) return TENON_ERROR_TOO_LARGE;
  if (chunk.data() == nullptr && !chunk.empty()) return TENON_ERROR_ARGUMENT;
  if (abandoned()) return TENON_ERROR_CANCELLED;
  if (!response.flaw().empty()) return TENON_ERROR_STATE;
  const bool on_front = front.is_current_thread();
  if (!stream) {
    if (!response.may_have_body()) return TENON_ERROR_STATE;
    // The front looks at the stream only after this event: it publishes it, and lets the beginning leave.
    stream = std::make_unique<Stream>();
    stream->of_events = response.has_type("text/event-stream");
    if (const std::string_view beginning = response.body(); !beginning.empty()) {
      stream->chunks.emplace_back(beginning);
      stream->in_flight += beginning.size();
    }
    post(kStreamed);
  }
  {
    std::unique_lock<std::mutex> lock(stream->mutex);
    while (stream->in_flight > Stream::kWindow) {
      if (on_front) return TENON_ERROR_AGAIN;
      // Bounded because a deadline that passes does not know of this stream.
      stream->room.wait_for(lock, std::chrono::milliseconds(20));
      if (abandoned()) return TENON_ERROR_CANCELLED;
      if (over != nullptr && over->load(std::memory_order_acquire)) return TENON_ERROR_CANCELLED;
    }
    // Asked under the mutex: what is taken here comes before the end that `cut_off` posts.
    if (cancelled.load(std::memory_order_relaxed)) return TENON_ERROR_CANCELLED;
    stream->chunks.emplace_back(chunk);
    stream->in_flight += chunk.size();
  }
  uint64_t end = deadline.load(std::memory_order_relaxed);
  while (armed && end != 0) {
    if (deadline.compare_exchange_weak(end, now() + milliseconds(route->deadline_ms))) break;
  }
  post(kStreamed);
  return TENON_OK;
}

bool Call::is_streaming() const {
  const uint32_t happened = seen | events.load(std::memory_order_acquire);
  return pending && !answered && (happened & kStreamed) != 0 && (happened & kFinished) == 0;
}

// Only of a call that is not known to be finished: the front recycles none before it has seen that, and then it has
// seen this too.
void Call::cut_off() {
  {
    const std::lock_guard<std::mutex> lock(stream->mutex);
    cancelled.store(true, std::memory_order_release);
  }
  stream->room.notify_all();
  post(kCutOff);
}

// What a plugin gave as a body it takes back here, with its own function.
void Call::clear_response() {
  const Lease* const own = lease.load(std::memory_order_relaxed);
  if (!response.body_is_given() || own == nullptr) return response.clear();
  const Inside inside(own->generation->image(), Work::Complete, request.number, slot);
  response.clear();
}

void Call::clear() {
  clear_response();
  request.clear();
  if (stream) stream.reset();
  plugin = nullptr;
  lease.store(nullptr, std::memory_order_relaxed);
  route = nullptr;
  if (gate_route) gate_route.reset();
  if (pass) pass.reset();
  parked_at.store(nullptr, std::memory_order_relaxed);
  hook_of.store(nullptr, std::memory_order_relaxed);
  held_number.store(0, std::memory_order_relaxed);
  elsewhere.store(0, std::memory_order_relaxed);
  holds.store(0, std::memory_order_relaxed);
  worker.store(nullptr, std::memory_order_relaxed);
  deadline.store(0, std::memory_order_relaxed);
  cancelled.store(false, std::memory_order_relaxed);
  asks_only = armed = claimed = parked = false;
  begun.store(false, std::memory_order_relaxed);
  goes_on = false;
  if (errand) errand.reset();
  deferral.store(Deferral::None, std::memory_order_relaxed);
  began.store(0, std::memory_order_relaxed);
  arrived = 0;
  refusal = Refusal::None;
  if (!message.empty()) message.clear();
  result_.store(TENON_OK, std::memory_order_relaxed);
  denied_.store(false, std::memory_order_relaxed);
  if (!denial_.empty()) denial_.clear();
  events.store(0, std::memory_order_relaxed);
  seen = 0;
  pending = answered = head_sent = counted = false;
}

}  // namespace tenon::core
