#include "front.h"

#include <algorithm>
#include <array>

#include "black_box.h"
#include "byte_buffer.h"
#include "clock.h"
#include "generation.h"
#include "image_threads.h"
#include "pipeline.h"
#include "plugin_metrics.h"
#include "thread_guard.h"
#include "watchdog.h"

namespace tenon::core {

Front::Front(std::string name, int32_t log_level)
    : name_(std::move(name)),
      log_level_(log_level),
      thread_(pthread_self()),
      calls_(std::make_unique<std::atomic<Call*>[]>(kMostCalls)) {}

Front::~Front() {
  for (uint32_t index = 0; index < call_count_.load(std::memory_order_relaxed); index++) {
    const std::unique_ptr<Call> call(calls_[index].load(std::memory_order_relaxed));
  }
}

void Front::open(Wake waker, void* context) {
  {
    const std::lock_guard<std::mutex> lock(wake_mutex_);
    wake_ = waker;
    wake_context_ = context;
    woken_.store(false, std::memory_order_release);
  }
  Watchdog::instance().add(shared_from_this());
}

bool Front::attend(std::shared_ptr<Attended> attended) {
  if (attention_.attend == nullptr || closed() || !attention_.attend(attention_.context, *attended)) return false;
  attended_.push_back(std::move(attended));
  return true;
}

void Front::before_sleep() {
  using Readiness = Attended::Readiness;
  // What is taken may begin a call, and that attend to something else.
  for (size_t index = 0; index < attended_.size();) {
    const std::shared_ptr<Attended> attended = attended_[index];
    Readiness readiness = attended->before_sleep();
    if (readiness == Readiness::Something) {
      attended->look();
      readiness = attended->before_sleep();
    }
    // It goes on and on: everything else has its turn.
    if (readiness == Readiness::Something) wake();
    if (readiness == Readiness::Over) {
      attention_.neglect(attention_.context, *attended);
      attended_.erase(attended_.begin() + static_cast<std::ptrdiff_t>(index));
    } else {
      index++;
    }
  }
}

std::vector<std::shared_ptr<Task>> Front::close() {
  closed_.store(true, std::memory_order_relaxed);
  for (const std::shared_ptr<Attended>& attended : std::exchange(attended_, {})) {
    attention_.neglect(attention_.context, *attended);
  }
  {
    const std::lock_guard<std::mutex> lock(wake_mutex_);
    wake_ = nullptr;
  }
  Watchdog::instance().remove(*this);
  drains_.clear();
  const std::lock_guard<std::mutex> lock(tasks_mutex_);
  std::vector<std::shared_ptr<Task>> open = std::exchange(settled_, {});
  for (std::shared_ptr<Task>& task : std::exchange(watched_, {})) {
    end_audit(*task);
    if (!task->claim()) continue;  // its thread is about to hand it over, to nobody
    open.push_back(std::move(task));
  }
  for (const std::shared_ptr<Task>& task : open) {
    end_audit(*task);
    task->abandoned = true;
  }
  return open;
}

Plugin& Front::plugin(const std::string& id) {
  std::unique_ptr<Plugin>& plugin = plugins_[id];
  if (!plugin) plugin = std::make_unique<Plugin>(*this, id);
  return *plugin;
}

void Front::forget(Plugin& plugin) {
  ungate(plugin);
  events_.forget(plugin);
  metrics_.forget(plugin.id());
  plugin.calls = plugin.faults = plugin.deadline_misses = 0;
  plugin.steps.clear();
  for (std::atomic<uint64_t>& count : plugin.denied) count = 0;
}

uint32_t Front::slot(Plugin& plugin, tenon_http_method method, const std::string& path) {
  const auto [found, added] = plugin.slots.emplace(std::make_pair(method, path), 0);
  if (added) {
    found->second = add({&plugin, plugin.slot_count++, method, found->first.second, kPatienceMs});
  }
  return found->second;
}

uint32_t Front::add(Slot slot) {
  places_.name(free_slots_.empty() ? static_cast<uint32_t>(slots_.size()) : free_slots_.back(),
               method_name(slot.method), slot.path);
  if (free_slots_.empty()) {
    slot.number = static_cast<uint32_t>(slots_.size());
    slots_.push_back(std::move(slot));
    return slots_.back().number;
  }
  Slot& place = slots_[free_slots_.back()];
  free_slots_.pop_back();
  slot.number = place.number + kSlotIndex + 1;
  place = std::move(slot);
  return place.number;
}

void Front::bind(Generation& generation, uint32_t slot, uint32_t index) {
  Slot& bound = slots_[slot & kSlotIndex];
  generation.bind(bound.local, index);
  bound.patience_ms = generation.routes()[index].deadline_ms;
}

std::optional<uint32_t> Front::gate(Plugin& plugin, tenon_http_method method, const std::string& path,
                                    uint32_t deadline_ms) {
  const auto known = plugin.gates.find({method, path});
  if (known != plugin.gates.end() && slots_[known->second & kSlotIndex].patience_ms == deadline_ms) {
    return known->second;
  }
  std::optional<Route> made = gate_route(method, path, deadline_ms);
  if (!made) return std::nullopt;
  auto route = std::make_shared<const Route>(std::move(*made));
  const std::string_view pattern = route->pattern;
  if (known == plugin.gates.end()) {
    const uint32_t number = add({&plugin, 0, method, pattern, deadline_ms, std::move(route)});
    plugin.gates.emplace(std::make_pair(method, path), number);
    return number;
  }
  Slot& slot = slots_[known->second & kSlotIndex];
  slot.path = pattern;
  slot.patience_ms = deadline_ms;
  slot.gate = std::move(route);
  return slot.number;
}

void Front::ungate(Plugin& plugin) {
  for (const auto& [key, number] : std::exchange(plugin.gates, {})) {
    Slot& slot = slots_[number & kSlotIndex];
    slot.plugin = nullptr;
    slot.path = {};
    slot.gate.reset();
    // The last number of this index is not given out twice.
    if (number < ~kSlotIndex) free_slots_.push_back(number & kSlotIndex);
  }
}

void Front::index_routes(Plugin& plugin) {
  std::vector<RouteIndex::Entry> entries;
  if (const Lease* const live = plugin.live(); live != nullptr) {
    for (const auto& [key, slot] : plugin.slots) {
      const Slot& bound = slots_[slot & kSlotIndex];
      if (live->generation->route_of(bound.local) == nullptr) continue;
      entries.push_back({bound.method, bound.path});
    }
  }
  routes_.replace(plugin.id(), entries);
}

Call* Front::take(const Slot& slot) {
  if (free_.empty()) {
    const uint32_t count = call_count_.load(std::memory_order_relaxed);
    if (count == kMostCalls) return nullptr;
    auto call = std::make_unique<Call>(*this, count);
    call->request.set_strict(strict_);
    free_.push_back(call.get());
    calls_[count].store(call.release(), std::memory_order_release);
    call_count_.store(count + 1, std::memory_order_release);
  }
  Call* const call = free_.back();
  free_.pop_back();
  call->plugin = slot.plugin;
  call->local_slot = slot.local;
  call->slot = places_.of(slot.number & kSlotIndex);
  if (slot.gate) call->gate_route = slot.gate;
  call->path_pattern = slot.path;
  call->patience_ms = slot.patience_ms;
  call->request.method = slot.method;
  call->request.number = ++numbers_;
  return call;
}

bool Front::send(Call& call) {
  call.request.lend();
  if (call.gate_route == nullptr && events_.wants_requests()) call.arrived = now();
  if (core::send(call)) return true;
  call.pending = true;
  pending_++;
  return false;
}

// Each event of a call is pushed at most once between two looks at it, so a call is at most once in what is collected
// here; its `next` is read before its events are taken, because from then on it may be pushed again.
void Front::collect() {
  Call* node = arrived_.exchange(nullptr, std::memory_order_acq_rel);
  const size_t before = ready_.size();
  while (node != nullptr) {
    Call* const following = node->next;
    node->seen |= node->events.exchange(0, std::memory_order_acq_rel);
    ready_.push_back(node);
    node = following;
  }
  std::reverse(ready_.begin() + static_cast<std::ptrdiff_t>(before), ready_.end());
}

namespace {

// Whether extensions took more of the time that `call` has than everything else.
bool is_spent_elsewhere(const Call& call, uint32_t deadline_ms) {
  return call.elsewhere.load(std::memory_order_relaxed) > milliseconds(deadline_ms) / 2;
}

uint32_t deadline_of(const Call& call) { return call.route == nullptr ? call.patience_ms : call.route->deadline_ms; }

// What else there is to say of a call that missed its deadline, if an extension had to do with that.
std::string whose_deadline(const Call& call) {
  if (const Plugin* const extension = call.held_in(); extension != nullptr) {
    return ": it is in the extension " + extension->id();
  }
  const Plugin* const gate = call.parked_at.load(std::memory_order_relaxed);
  if (gate != nullptr && gate != call.plugin) return ": it waits for the extension " + gate->id() + " to be replaced";
  if (!is_spent_elsewhere(call, deadline_of(call))) return {};
  const uint64_t spent_ms = call.elsewhere.load(std::memory_order_relaxed) / milliseconds(1);
  return ": its extensions took " + std::to_string(spent_ms) + " ms of them";
}

}  // namespace

bool Front::next(Delivery& delivery) {
  for (;;) {
    if (ready_.empty()) {
      collect();
      if (ready_.empty()) return false;
    }
    Call& call = *ready_.front();
    bool through = false;
    const bool told = advance(call, delivery, through);
    if (through) ready_.pop_front();
    if (told) return true;
  }
}

// One step of telling what `call` has seen; `through` when there is nothing more to tell for now.
bool Front::advance(Call& call, Delivery& delivery, bool& through) {
  delivery.call = &call;
  delivery.chunk.clear();
  delivery.text.clear();
  delivery.headers.clear();
  delivery.refusal = Refusal::None;
  if ((call.seen & kStreamed) != 0 && !call.answered) {
    const std::lock_guard<std::mutex> lock(call.stream->mutex);
    if (!call.stream->chunks.empty()) {
      delivery.chunk = std::move(call.stream->chunks.front());
      call.stream->chunks.pop_front();
      delivery.outcome = call.head_sent ? Outcome::Chunk : Outcome::Head;
      delivery.status = call.response.status();
      call.head_sent = true;
      return true;
    }
  }
  if ((call.seen & kCutOff) != 0 && !call.answered) {
    call.answered = true;
    delivery.outcome = Outcome::End;
    delivery.status = call.response.status();
    return true;
  }
  if ((call.seen & kTimedOut) != 0 && !call.answered) {
    call.answered = true;
    // Not when the plugin lets go of it, which may be never.
    count(call);
    delivery.outcome = call.head_sent ? Outcome::Abort : Outcome::Refused;
    delivery.status = 504;
    delivery.refusal = Refusal::DeadlineExceeded;
    delivery.text = call.plugin->id() + " did not answer " + method_name(call.request.method) + " " +
                    std::string(call.request.path()) + " within " + std::to_string(deadline_of(call)) + " ms" +
                    whose_deadline(call);
    return true;
  }
  const bool over = (call.seen & kFinished) != 0 && (!call.claimed || (call.seen & kTimedOut) != 0);
  through = true;
  if (!over) return false;
  if (call.answered) {
    recycle(call);
    return false;
  }
  call.answered = true;
  describe(call, delivery);
  return true;
}

void Front::describe(const Call& call, Delivery& delivery) const {
  if (call.refusal != Refusal::None) {
    delivery.outcome = call.head_sent ? Outcome::Abort : Outcome::Refused;
    delivery.status = call.refused_status;
    delivery.refusal = call.refusal;
    delivery.text = call.message;
    if (call.pass) delivery.headers = call.pass->headers;
  } else {
    delivery.outcome = (call.seen & kStreamed) != 0 ? Outcome::End : Outcome::Response;
    delivery.status = call.response.status();
  }
}

uint32_t Front::identify_headers(const Call& call) {
  const Route& route = *call.route;
  if (route.header_id == 0 || route.header_block != call.response.header_block()) {
    route.header_block = call.response.header_block();
    route.header_id = identify_headers();
  }
  return route.header_id;
}

uint32_t Front::identify_headers() {
  if (++header_blocks_ == 0) ++header_blocks_;
  return header_blocks_;
}

void Front::done(const Delivery& delivery) {
  Call& call = *delivery.call;
  const bool over = (call.seen & kFinished) != 0 && (!call.claimed || (call.seen & kTimedOut) != 0);
  // A call that timed out and is over at once is still in `ready_`, and is recycled from there.
  if (call.answered && over && (ready_.empty() || ready_.front() != &call)) recycle(call);
}

namespace {

// Whether it only asked, and was let go on: the request itself comes again, with its body.
bool is_passed_ask(const Call& call) {
  return call.asks_only && (call.seen & kTimedOut) == 0 && call.refusal == Refusal::None;
}

// The host refused in place of the plugin, or an extension is what failed or did not answer.
bool is_no_fault_of_plugin(const Call& call, bool missed) {
  if (!missed && call.refusal == Refusal::None) return call.pass && call.pass->foreign_fault;
  if (missed) {
    return call.held_in() != nullptr || call.parked_at.load(std::memory_order_relaxed) != nullptr ||
           is_spent_elsewhere(call, deadline_of(call));
  }
  switch (call.refusal) {
    case Refusal::RouteGone:
    case Refusal::PluginBusy:
    case Refusal::Unauthenticated:
    case Refusal::Forbidden:
    case Refusal::ExtensionUnavailable:
    case Refusal::TooManyAttempts:
    case Refusal::PermissionDenied:
      return true;
    default:
      return call.pass && call.pass->foreign_fault;
  }
}

}  // namespace

// Once for each call that a generation has answered, failed or missed, under its lease. What the host refused in its
// place, or the client no longer waited for, is no fault of it. The life of a stream is no latency, and the time in
// extensions is theirs.
void Front::count(Call& call) {
  if (call.arrived != 0 && !is_passed_ask(call)) tell(call);
  const Lease* const lease = call.lease.load(std::memory_order_relaxed);
  if (call.counted || lease == nullptr) return;
  // The plugin still has a call that missed its deadline and has not finished: only `began` may be read then.
  const bool missed = (call.seen & kTimedOut) != 0;
  const bool running = missed && (call.seen & kFinished) == 0;
  call.counted = true;
  if (missed) {
    if (Plugin* const extension = call.held_in(); extension != nullptr && extension != call.plugin) {
      extension->steps.faults.fetch_add(1, std::memory_order_relaxed);
      // Of one that serves no more nobody asks.
      const Lease* const live = extension->live();
      if (live != nullptr && live->generation->number() == call.held_number.load(std::memory_order_relaxed)) {
        live->generation->visits().faults.fetch_add(1, std::memory_order_relaxed);
      }
    }
  }
  // Who asks first comes again, and is counted then, unless the plugin failed already.
  if (call.gate_route != nullptr || is_passed_ask(call) || is_no_fault_of_plugin(call, missed)) return;
  const bool failed = missed || call.refusal != Refusal::None || call.response.status() >= 500;
  CallCounters& counters = lease->generation->counters();
  const bool fault = failed && !call.cancelled.load(std::memory_order_relaxed);
  counters.count(fault);
  call.plugin->calls++;
  if (fault) call.plugin->faults++;
  if (missed) call.plugin->deadline_misses++;
  const uint64_t began = call.began.load(std::memory_order_relaxed);
  if (began == 0 || (call.seen & kStreamed) != 0) return;
  const uint64_t took = (running ? now() : call.ended) - began;
  counters.add_sample(took - std::min(took, call.elsewhere.load(std::memory_order_relaxed)));
}

// Once for each request that somebody wants to know of. The plugin may still have one that missed its deadline.
void Front::tell(Call& call) {
  const Lease* const lease = call.lease.load(std::memory_order_relaxed);
  const bool missed = (call.seen & kTimedOut) != 0;
  const uint64_t duration = now() - std::exchange(call.arrived, 0);
  const std::string message = std::string(method_name(call.request.method)).append(" ").append(call.request.path());
  const std::string id = name_ + "-" + std::to_string(call.request.number);
  std::string route;
  if (lease != nullptr && call.route != nullptr) route = lease->generation->path_of(*call.route);
  std::array<tenon_log_field_t, 3> fields = {{{bytes("request_id"), bytes(id)}}};
  uint32_t field_count = 1;
  if (!route.empty()) fields[field_count++] = {bytes("route"), bytes(route)};
  // Of one that missed its deadline a thread may still be finding out who asks.
  if (!missed && call.pass && call.pass->identity) {
    fields[field_count++] = {bytes("subject"), call.pass->identity->face().subject};
  }
  EventParts parts;
  parts.topic = "tenon.request";
  parts.source = call.plugin->id();
  parts.generation = lease == nullptr ? 0 : lease->generation->number();
  parts.time_us = wall_time_us() - static_cast<int64_t>(duration / 1000);
  parts.duration_us = duration / 1000;
  parts.status = missed ? 504 : call.refusal == Refusal::None ? call.response.status() : call.refused_status;
  parts.message = message;
  parts.fields = fields.data();
  parts.field_count = field_count;
  if (events_.wanted(parts.topic, call.plugin)) events_.publish(Event::make(parts, TENON_EVENT_LIMIT), call.plugin);
}

void Front::recycle(Call& call) {
  if (call.pending) pending_--;
  Lease* const lease = call.lease.load(std::memory_order_relaxed);
  Plugin* const plugin = call.plugin;
  count(call);
  call.clear();
  if (lease != nullptr) plugin->leave(*lease);
  free_.push_back(&call);
}

void Front::cancel(uint32_t id) {
  if (id >= call_count_.load(std::memory_order_relaxed)) return;
  Call& call = *calls_[id].load(std::memory_order_relaxed);
  if (!call.pending || call.answered) return;
  call.answered = true;
  call.cancelled.store(true, std::memory_order_release);
  Plugin* const gate = call.parked_at.load(std::memory_order_acquire);
  if (gate != nullptr && gate->unpark(call) && call.let_go()) call.post(kFinished);
}

void Front::acknowledge(uint32_t id, size_t count) {
  if (id >= call_count_.load(std::memory_order_relaxed)) return;
  Call& call = *calls_[id].load(std::memory_order_relaxed);
  if (!call.pending || !call.head_sent) return;
  {
    const std::lock_guard<std::mutex> lock(call.stream->mutex);
    call.stream->in_flight -= std::min(count, call.stream->in_flight);
  }
  call.stream->room.notify_all();
}

template <typename Visit>
void Front::visit_streams(const Generation& generation, Visit visit) const {
  const Lease* const wanted = generation.lease();
  for (uint32_t index = 0; index < call_count_.load(std::memory_order_relaxed); index++) {
    Call& call = *calls_[index].load(std::memory_order_relaxed);
    if (call.lease.load(std::memory_order_relaxed) == wanted && call.is_streaming()) visit(call);
  }
}

uint32_t Front::streams(const Generation& generation) const {
  uint32_t count = 0;
  visit_streams(generation, [&count](Call&) { count++; });
  return count;
}

uint32_t Front::end_streams(const Generation& generation) {
  uint32_t count = 0;
  visit_streams(generation, [&count](Call& call) {
    if (!call.stream->of_events || call.cancelled.load(std::memory_order_relaxed)) return;
    call.cut_off();
    count++;
  });
  return count;
}

// Watched first: it may be settled before this returns.
void Front::submit(const std::shared_ptr<Task>& task) {
  {
    const std::lock_guard<std::mutex> lock(tasks_mutex_);
    watched_.push_back(task);
  }
  const auto fail = [&](const char* message) {
    task->failed = true;
    task->message = message;
    if (task->claim()) settle(task);
  };
  if (task->step == Step::Drain) {
    Lease& lease = *task->generation->lease();
    task->generation->drain();
    lease.watched.store(true, std::memory_order_seq_cst);
    drains_.push_back(task);
    if (task->generation->end_drain() && task->claim()) settle(task);
  } else if (task->step == Step::Stop) {
    // A thread of its own: it waits for others, and joins them.
    pthread_t closer;
    auto argument = std::make_unique<std::shared_ptr<Task>>(task);
    const auto main = [](void* given) -> void* {
      const ThreadGuard guard(ThreadKind::Other);
      const std::unique_ptr<std::shared_ptr<Task>> own(static_cast<std::shared_ptr<Task>*>(given));
      const std::shared_ptr<Task> stopping = *own;
      const std::shared_ptr<Front> front = stopping->generation->front().shared_from_this();
      stopping->count = stopping->generation->stop(stopping->deadline);
      if (stopping->claim()) front->settle(stopping);
      return nullptr;
    };
    if (start_core_thread(closer, nullptr, main, argument.get())) {
      argument.release();
      pthread_detach(closer);
    } else {
      fail("no thread could be started");
    }
  } else if (begin_audit(*task); !task->generation->control().submit(task)) {
    fail(task->generation->control().lost() ? "its control thread hangs in an earlier step"
                                            : "its control thread has ended or could not be started");
  }
  watch();
}

void Front::settle(const std::shared_ptr<Task>& task) {
  {
    const std::lock_guard<std::mutex> lock(tasks_mutex_);
    settled_.push_back(task);
    watched_.erase(std::remove(watched_.begin(), watched_.end(), task), watched_.end());
  }
  wake();
}

std::vector<std::shared_ptr<Task>> Front::take_settled() {
  for (const std::shared_ptr<Task>& drain : drains_) {
    if (drain->generation->end_drain() && drain->claim()) settle(drain);
  }
  const auto is_settled = [](const std::shared_ptr<Task>& task) { return task->state.load() == Task::State::Settled; };
  const auto over = std::stable_partition(drains_.begin(), drains_.end(),
                                          [&](const std::shared_ptr<Task>& task) { return !is_settled(task); });
  for (auto task = over; task != drains_.end(); ++task) {
    const Generation* const generation = (*task)->generation.get();
    const bool wanted = std::any_of(drains_.begin(), over, [generation](const std::shared_ptr<Task>& other) {
      return other->generation.get() == generation;
    });
    if (!wanted) (*task)->generation->lease()->watched.store(false, std::memory_order_seq_cst);
  }
  drains_.erase(over, drains_.end());
  std::vector<std::shared_ptr<Task>> settled;
  {
    const std::lock_guard<std::mutex> lock(tasks_mutex_);
    settled.swap(settled_);
  }
  for (const std::shared_ptr<Task>& task : settled) end_audit(*task);
  return settled;
}

// Steps in which a plugin sets things up, or takes them down.
void Front::begin_audit(Task& task) {
  switch (task.step) {
    case Step::Create:
    case Step::Initialize:
    case Step::Ready:
    case Step::Load:
    case Step::Configure:
    case Step::Shutdown:
    case Step::Destroy:
      task.audit = ProcessAudit::instance().begin(task.generation->image(), loop_);
      break;
    default:
      break;
  }
}

// One look for two steps that follow each other.
void Front::end_audit(Task& task) {
  if (!task.audit.open) return;
  const bool first =
      task.step == Step::Create || task.step == Step::Shutdown || (task.step == Step::Load && task.dry_run);
  const bool later = first && !task.failed && !task.timed_out;
  ProcessAudit::instance().end(task.audit, step_name(task.step),
                               later ? ProcessAudit::Look::Later : ProcessAudit::Look::Now, loop_);
}

void Front::wake() {
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  const std::lock_guard<std::mutex> lock(wake_mutex_);
  if (wake_ != nullptr) wake_(wake_context_);
}

void Front::begin_turn() { woken_.store(false, std::memory_order_seq_cst); }

void Front::push(Call& call) {
  Call* head = arrived_.load(std::memory_order_relaxed);
  do {
    call.next = head;
  } while (!arrived_.compare_exchange_weak(head, &call, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (head == nullptr) wake();
}

void Front::notice_idle() { wake(); }

void Front::watch() { Watchdog::instance().attend(); }

void Front::try_again(std::function<void()> again) {
  {
    const std::lock_guard<std::mutex> lock(again_mutex_);
    if (again_.empty()) again_at_ = now() + milliseconds(kAgainMs);
    again_.push_back(std::move(again));
  }
  watch();
}

bool Front::check_again(uint64_t time) {
  std::vector<std::function<void()>> due;
  {
    const std::lock_guard<std::mutex> lock(again_mutex_);
    if (again_.empty()) return false;
    if (time < again_at_) return true;
    due.swap(again_);
  }
  for (const std::function<void()>& again : due) again();
  return true;
}

void Front::retire(std::unique_ptr<HostFace> face) {
  faces_.push_back(std::move(face));
  if (faces_.size() > kKeptFaces) faces_.pop_front();
}

std::string Front::metrics_text(Exposition exposition) const {
  return plugin_metrics_text(exposition, plugins_) + events_.metrics_text(exposition) + metrics_.text(exposition);
}

bool Front::check_deadlines(uint64_t time) {
  bool armed = false;
  const uint32_t count = call_count_.load(std::memory_order_acquire);
  std::vector<Call*> due;
  for (uint32_t index = 0; index < count; index++) {
    Call& call = *calls_[index].load(std::memory_order_acquire);
    uint64_t deadline = call.deadline.load(std::memory_order_acquire);
    if (deadline == 0) continue;
    armed = true;
    if (deadline > time) continue;
    if (call.deadline.compare_exchange_strong(deadline, 0, std::memory_order_acq_rel)) due.push_back(&call);
  }
  // All of them are claimed first: a thread that comes for the place of one must not begin with another.
  for (Call* const call : due) core::expire(*call);
  armed = check_again(time) || armed;
  std::vector<std::shared_ptr<Task>> late;
  {
    const std::lock_guard<std::mutex> lock(tasks_mutex_);
    armed = armed || !watched_.empty();
    for (const std::shared_ptr<Task>& task : watched_) {
      // A closer keeps its own deadline; this one is for a join that hangs.
      const uint64_t grace = task->step == Step::Stop ? milliseconds(1000) : 0;
      if (task->deadline + grace <= time) late.push_back(task);
    }
  }
  for (const std::shared_ptr<Task>& task : late) {
    bool running = false;
    if (!task->claim(&running)) continue;
    task->timed_out = true;
    const bool ahead = task->step == Step::Routes && task->generation->is_reading_ahead();
    // A slow answer to a question of health is an answer, and no reason to give the thread up.
    if ((running && task->step != Step::Health) || ahead) task->generation->control().lose();
    settle(task);
  }
  return armed;
}

}  // namespace tenon::core
