#include "express_lane.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "clock.h"
#include "crash_handler.h"
#include "plugin_server.h"
#include "remote_requests.h"
#include "sandbox.h"
#include "wire/message.h"
#include "wire/pause.h"

namespace tenon::runner {

namespace {

// Where looking has not been worth it, it is tried again after so many sleeps.
constexpr int kSleepsBetweenTries = 64;
// Who has found something after longer was not looking all the while: the host had the processor.
constexpr uint64_t kWorthNs = 100'000;
// Left for those who want a lane, which must always be said.
constexpr size_t kSpareBytes = wire::kExpressSlots * sizeof(wire::ExpressHead);

thread_local void* work_of_thread = nullptr;

uint32_t took_us(uint64_t began) {
  return static_cast<uint32_t>(std::min<uint64_t>((core::now() - began) / 1000, UINT32_MAX));
}

}  // namespace

ExpressLane::ExpressLane(Host& host, PluginServer& server, int waiting, int ringing)
    : host_(host), server_(server), memory_(host.express_memory()), in_(memory_.to_runner), out_(memory_.to_host) {
  own_.adopt(waiting, waiting);
  other_.adopt(ringing, ringing);
  // Threads wait in a read of it, which wakes one of them for each byte. The host's end has flags of its own.
  fcntl(waiting, F_SETFL, fcntl(waiting, F_GETFL) & ~O_NONBLOCK);
}

bool ExpressLane::is_current() { return work_of_thread != nullptr; }

wire::Lane& ExpressLane::want_lane() {
  Work& work = *static_cast<Work*>(work_of_thread);
  return work.owner.wait_for_lane(work, true);
}

bool ExpressLane::start() {
  const std::lock_guard<std::mutex> lock(in_mutex_);
  allow_stack(host_.settings());
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  // What was allowed for its stack is not taken back: so it is not tried again and again.
  may_start_ = pthread_create(&thread, &attributes, main, this) == 0;
  pthread_attr_destroy(&attributes);
  if (may_start_) threads_++;
  return may_start_;
}

void* ExpressLane::main(void* self) {
  ExpressLane& own = *static_cast<ExpressLane*>(self);
  own.host_.run_thread(wire::CrashNote::kNoLane, [&own] { own.work(); });
  return nullptr;
}

void ExpressLane::work() {
  std::string payload;
  wire::ExpressHead head;
  for (;;) {
    if (take(head, payload)) {
      run(head, payload);
    } else if (!look()) {
      sleep();
    }
  }
}

// Under the mutex.
bool ExpressLane::may_run() const {
  const wire::SharedHead& told = host_.shared_head();
  const uint64_t counted = running_ & ~told.express_late.load(std::memory_order_acquire);
  return static_cast<uint32_t>(__builtin_popcountll(counted)) < told.express_limit.load(std::memory_order_acquire);
}

bool ExpressLane::take(wire::ExpressHead& head, std::string& payload) {
  bool wants_thread = false;
  {
    const std::lock_guard<std::mutex> lock(in_mutex_);
    if (!may_run()) return false;
    if (in_.read(reinterpret_cast<char*>(&head), sizeof head) != sizeof head) return false;
    running_ |= uint64_t{1} << head.slot;
    payload.resize(head.size);
    in_.read(payload.data(), head.size);
    in_.release();
    wants_thread = asleep_ == 0 && !looking_ && threads_ < kMostThreads && may_start_;
  }
  payload.append(wire::Lane::kSlackBytes, '\0');
  // Without one the next request waits until a thread is free.
  if (wants_thread) start();
  return true;
}

// Whether something has come. One thread at a time, and only as long as that is worth it.
bool ExpressLane::look() {
  int looks;
  {
    const std::lock_guard<std::mutex> lock(in_mutex_);
    if (looking_ || !may_run()) return false;
    looking_ = true;
    looks = looks_;
  }
  bool found = false;
  const uint64_t began = core::now();
  for (int count = 0; count < looks && !found; count++) {
    found = wire::has_unread(memory_.to_runner);
    if (!found) wire::pause();
  }
  const std::lock_guard<std::mutex> lock(in_mutex_);
  looking_ = false;
  const bool was_worth_it = found && core::now() - began < kWorthNs;
  looks_ = was_worth_it ? std::min(kMostLooks, looks_ * 2 + 1) : looks_ / 2;
  return found;
}

void ExpressLane::sleep() {
  {
    const std::lock_guard<std::mutex> lock(in_mutex_);
    if (++sleeps_ % kSleepsBetweenTries == 0) looks_ = kMostLooks;
    // The last one that is awake: the host rings for the next request.
    if (asleep_ + 1 == threads_ && !in_.prepare_sleep()) return;
    asleep_++;
  }
  char rung;
  ssize_t got;
  do {
    got = read(own_.waiting(), &rung, sizeof rung);
  } while (got < 0 && errno == EINTR);
  // The host is gone, and the main thread sees to the end; or a plugin has closed what is not its own.
  while (got == 0) ::pause();
  if (got < 0) _exit(0);
  const std::lock_guard<std::mutex> lock(in_mutex_);
  if (asleep_-- == threads_) in_.end_sleep();
}

void ExpressLane::run(const wire::ExpressHead& head, std::string& payload) {
  RemoteRequest& request = Requests::take();
  Work work = {*this, head.slot, request, core::now()};
  work_of_thread = &work;
  note_lane(wire::kExpressLane + head.slot);
  wire::Reader reader(std::string_view(payload).substr(0, head.size));
  const auto index = reader.get<uint32_t>();
  int32_t status = TENON_ERROR;
  if (request.read(reader) && reader.ended()) {
    request.attach(payload);
    const bool is_late = request.deadline != 0 && request.deadline <= work.began;
    status = is_late ? TENON_ERROR_CANCELLED : server_.handle(index, request);
  }
  answer(work, status);
  note_lane(wire::CrashNote::kNoLane);
  work_of_thread = nullptr;
}

void ExpressLane::answer(Work& work, int32_t status) {
  RemoteRequest& request = work.request;
  {
    // Before the host knows of it, who begins another one then.
    const std::lock_guard<std::mutex> lock(in_mutex_);
    running_ &= ~(uint64_t{1} << work.slot);
  }
  // Deferred: it is another thread's.
  const bool is_deferred = request.deferral.load(std::memory_order_acquire) != RemoteRequest::Deferral::None;
  if (!is_deferred) request.note_overrun();
  if (work.lane == nullptr) {
    const std::string_view raw(reinterpret_cast<const char*>(&status), sizeof status);
    bool is_large = false;
    if (is_deferred ? send(work.slot, wire::Express::Answer, took_us(work.began), {raw})
                    : send_changes(work, raw, is_large)) {
      return Requests::let_go(request);
    }
    wait_for_lane(work, is_large);
  }
  // Its body may lie in what came.
  if (!is_deferred) request.keep();
  Host::leave_lane();
  const std::lock_guard<std::mutex> lock(works_mutex_);
  work.result->status = status;
  work.result->request = &request;
  changed_.notify_all();
}

bool ExpressLane::send_changes(Work& work, std::string_view status, bool& is_large) {
  RemoteRequest& request = work.request;
  const std::string_view head = request.body_head();
  is_large =
      status.size() + request.changes.bytes().size() + head.size() + request.body_bytes().size() > wire::kExpressBytes;
  return !is_large && send(work.slot, wire::Express::Answer, took_us(work.began),
                           {status, request.changes.bytes(), head, request.body_bytes()});
}

bool ExpressLane::send(uint32_t slot, wire::Express kind, uint32_t detail, wire::Lane::Parts parts) {
  size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  const wire::ExpressHead head = {slot, kind, static_cast<uint32_t>(size), detail};
  const std::lock_guard<std::mutex> lock(out_mutex_);
  const size_t spare = kind == wire::Express::Answer ? kSpareBytes : 0;
  if (!out_.has_room(sizeof head + size + spare)) return false;
  out_.write(reinterpret_cast<const char*>(&head), sizeof head);
  for (const std::string_view part : parts) out_.write(part.data(), part.size());
  if (out_.publish()) other_.ring();
  return true;
}

wire::Lane& ExpressLane::wait_for_lane(Work& work, bool is_usual) {
  {
    const std::lock_guard<std::mutex> lock(works_mutex_);
    waiting_[work.slot] = &work;
  }
  send(work.slot, wire::Express::WantsLane, is_usual ? 1 : 0, {});
  std::unique_lock<std::mutex> lock(works_mutex_);
  changed_.wait(lock, [&work] { return work.lane != nullptr; });
  return *work.lane;
}

bool ExpressLane::go_on(uint32_t slot, wire::Lane& lane, wire::Writer& writer) {
  Result result;
  {
    std::unique_lock<std::mutex> lock(works_mutex_);
    if (slot >= waiting_.size() || waiting_[slot] == nullptr) return false;
    Work& work = *std::exchange(waiting_[slot], nullptr);
    work.lane = &lane;
    work.result = &result;
    changed_.notify_all();
    changed_.wait(lock, [&result] { return result.request != nullptr; });
  }
  send_result(*result.request, result.status, lane, writer);
  return true;
}

}  // namespace tenon::runner
