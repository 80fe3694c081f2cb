#include "host.h"

#include <pthread.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "crash_handler.h"
#include "express_lane.h"
#include "sandbox.h"
#include "tenon/ext/auth.h"
#include "tenon/ext/config.h"
#include "tenon/ext/events.h"
#include "tenon/ext/hooks.h"
#include "tenon/ext/http.h"
#include "tenon/ext/http_client.h"
#include "tenon/ext/log.h"
#include "tenon/ext/metrics.h"
#include "tenon/ext/middleware.h"
#include "tenon/ext/state.h"
#include "tenon/ext/tables.h"
#include "tenon/ext/tasks.h"
#include "wire/control_socket.h"

namespace tenon::runner {

namespace {

Host* only_host = nullptr;
thread_local wire::Lane* lane_of_thread = nullptr;

// At the begin of the stack, where no overflow comes.
constexpr size_t kCrashStackBytes = 64 * 1024;

wire::EndlessPatience endless;

// The host is gone, or says what it never says: nothing here is of use any more.
[[noreturn]] void leave() { _exit(0); }

const void* get_extension(const tenon_host_t*, const char* id) {
  if (id == nullptr) return nullptr;
  const std::string_view name(id);
  if (name == TENON_LOG_ID) return log_functions();
  if (name == TENON_STATE_ID) return state_functions();
  if (name == TENON_CONFIG_ID) return config_functions();
  if (name == TENON_HTTP_ID) return http_functions();
  if (name == TENON_TASKS_ID) return tasks_functions();
  if (name == TENON_EVENTS_ID) return events_functions();
  if (name == TENON_METRICS_ID) return metrics_functions();
  if (name == TENON_HTTP_CLIENT_ID) return http_client_functions();
  if (name == TENON_AUTH_ID) return auth_functions();
  if (name == TENON_MIDDLEWARE_ID) return middleware_functions();
  if (name == TENON_HOOKS_ID) return hooks_functions();
  if (name == TENON_TABLES_ID) return tables_functions();
  return nullptr;
}

// Called when a thread of a lane ends: only a plugin ends one.
void end_with_lane(void* control) {
  wire::send_packet(*static_cast<const int*>(control), {wire::Packet::Failed, 0}, "ended the thread of a call");
  leave();
}

struct Start {
  Host* host;
  void (Host::*run)(Seat&);
  Seat* seat;
};

}  // namespace

Seat::Seat(uint32_t which, wire::LaneMemory& memory, int waiting, int ringing)
    : number(which), lane(memory, wire::Lane::Side::Runner, own, other, -1, wire::kFromHostBytes) {
  own.adopt(waiting, waiting);
  other.adopt(ringing, ringing);
}

Host::Host(wire::RunnerSettings settings, int control, void* memory)
    : settings_(std::move(settings)), control_(control), memory_(memory), face_(), seats_(wire::kLanes) {
  face_.size = sizeof face_;
  face_.abi_major = TENON_ABI_MAJOR;
  face_.abi_minor = TENON_ABI_MINOR;
  face_.version = TENON_SDK_VERSION;
  face_.data = this;
  face_.get_extension = get_extension;
  pthread_key_create(&lane_ends_, end_with_lane);
  only_host = this;
}

Host& Host::instance() { return *only_host; }

wire::LaneMemory& Host::lane_memory(uint32_t lane) {
  char* const begin = static_cast<char*>(memory_) + wire::kHeadBytes + lane * wire::kLaneBytes;
  return *reinterpret_cast<wire::LaneMemory*>(begin);
}

int32_t Host::log_level() const { return shared_head().log_level.load(std::memory_order_relaxed); }

wire::LaneMemory& Host::express_memory() {
  return *reinterpret_cast<wire::LaneMemory*>(static_cast<char*>(memory_) + wire::kExpressAt);
}

void Host::run_thread(uint32_t lane, const std::function<void()>& work) {
  alignas(16) char crash_stack[kCrashStackBytes];
  enter_lane(lane, crash_stack, sizeof crash_stack);
  pthread_setspecific(lane_ends_, &control_);
  work();
  leave();
}

void Host::serve(Seat& seat) {
  lane_of_thread = &seat.lane;
  run_thread(seat.number, [&] { seat.lane.serve(*server_, endless); });
}

void Host::leave_lane() { lane_of_thread = nullptr; }

void* Host::serve_main(void* start) {
  const std::unique_ptr<Start> own(static_cast<Start*>(start));
  (own->host->*own->run)(*own->seat);
  return nullptr;
}

void Host::open_lane(uint32_t lane, int waiting, int ringing) {
  if (lane >= wire::kLanes || seats_[lane]) return;
  auto seat = std::make_unique<Seat>(lane, lane_memory(lane), waiting, ringing);
  Seat* const opened = seat.get();
  const std::lock_guard<std::mutex> lock(mutex_);
  seats_[lane] = std::move(seat);
  if (lane >= wire::kFirstUpLane) {
    free_up_.push_back(lane);
    changed_.notify_one();
    return;
  }
  allow_stack(settings_);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  auto start = std::make_unique<Start>(Start{this, &Host::serve, opened});
  const int failed = pthread_create(&thread, &attributes, serve_main, start.get());
  pthread_attr_destroy(&attributes);
  if (failed == 0) {
    start.release();
    return;
  }
  wire::send_packet(control_, {wire::Packet::Failed, lane}, "could not start a thread");
  leave();
}

// Takes a lane for one question of a thread that the host does not wait for.
class Host::UpLane {
 public:
  explicit UpLane(Host& host) : host_(host) {
    std::unique_lock<std::mutex> lock(host_.mutex_);
    if (host_.free_up_.empty() && host_.wanted_up_ < wire::kUpLanes) {
      const uint32_t lane = wire::kFirstUpLane + host_.wanted_up_++;
      wire::send_packet(host_.control_, {wire::Packet::WantLane, lane}, {});
    }
    host_.changed_.wait(lock, [this] { return !host_.free_up_.empty(); });
    lane_ = host_.free_up_.back();
    host_.free_up_.pop_back();
    own_ = &host_.seats_[lane_]->lane;
    lane_of_thread = own_;
  }
  ~UpLane() {
    lane_of_thread = nullptr;
    const std::lock_guard<std::mutex> lock(host_.mutex_);
    host_.free_up_.push_back(lane_);
    host_.changed_.notify_one();
  }
  wire::Lane& lane() { return *own_; }

 private:
  Host& host_;
  uint32_t lane_ = 0;
  wire::Lane* own_ = nullptr;
};

std::string Host::ask(uint16_t code, wire::Lane::Parts parts) {
  std::string answer;
  const auto ask_over = [&](wire::Lane& lane) {
    const wire::Outcome outcome = lane.call(code, parts, answer, *server_, endless);
    if (outcome != wire::Outcome::Done && outcome != wire::Outcome::GivenUp) leave();
  };
  if (lane_of_thread == nullptr && ExpressLane::is_current()) lane_of_thread = &ExpressLane::want_lane();
  if (lane_of_thread != nullptr) {
    ask_over(*lane_of_thread);
  } else {
    UpLane taken(*this);
    ask_over(taken.lane());
  }
  return answer;
}

void Host::tell(uint16_t code, wire::Lane::Parts parts) {
  if (lane_of_thread == nullptr && ExpressLane::is_current()) lane_of_thread = &ExpressLane::want_lane();
  if (lane_of_thread != nullptr) {
    if (lane_of_thread->post(code, parts, endless) != wire::Outcome::Done) leave();
    return;
  }
  UpLane taken(*this);
  if (taken.lane().post(code, parts, endless) != wire::Outcome::Done) leave();
}

}  // namespace tenon::runner
