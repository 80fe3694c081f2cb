#ifndef TENON_RUNNER_HOST_H
#define TENON_RUNNER_HOST_H

#include <pthread.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tenon/host.h"
#include "wire/doorbell.h"
#include "wire/lane.h"
#include "wire/message.h"
#include "wire/protocol.h"
#include "wire/runner_settings.h"

namespace tenon::runner {

// A lane on this side.
struct Seat {
  Seat(uint32_t which, wire::LaneMemory& memory, int waiting, int ringing);
  const uint32_t number;
  wire::Doorbell own;    // rung by the host
  wire::Doorbell other;  // rung by the runner
  wire::Lane lane;
};

/*
 * The host as the plugin of this process sees it: each service asks the real one. A thread that the host has called
 * asks over the lane it was called on, any other over a lane that it takes for as long as its question lasts.
 */
class Host {
 public:
  Host(wire::RunnerSettings settings, int control, void* memory);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const tenon_host_t& face() const { return face_; }
  const wire::RunnerSettings& settings() const { return settings_; }
  static Host& of(const tenon_host_t* host) { return *static_cast<Host*>(host->data); }
  // That of this process. [any] once there is one
  static Host& instance();

  // Ask, and wait for the answer. Ends the process when the host is gone. [any]
  std::string ask(uint16_t code, wire::Lane::Parts parts);
  // Tell, without an answer. [any]
  void tell(uint16_t code, wire::Lane::Parts parts);
  int32_t log_level() const;
  // Whether `ready` has begun: the services that a plugin may use from then on answer TENON_ERROR_STATE before, also in
  // a process that takes the place of another while the plugin serves. [any]
  bool is_ready() const { return ready_.load(std::memory_order_acquire); }
  void begin_ready() { ready_.store(true, std::memory_order_release); }

  // What the host calls the plugin with; set before the first lane is served.
  void set_server(wire::Lane::Server& server) { server_ = &server; }
  // The main thread's: serve a new lane on a thread of its own, or let those wait who want it.
  void open_lane(uint32_t lane, int waiting, int ringing);
  wire::LaneMemory& express_memory();
  const wire::SharedHead& shared_head() const { return *static_cast<const wire::SharedHead*>(memory_); }
  // Run `work`, which does not end, on this new thread, as that of `lane`.
  [[noreturn]] void run_thread(uint32_t lane, const std::function<void()>& work);
  // A handler of the express lane no longer has the lane of its own.
  static void leave_lane();

 private:
  class UpLane;
  wire::LaneMemory& lane_memory(uint32_t lane);
  void serve(Seat& seat);
  static void* serve_main(void* start);

  const wire::RunnerSettings settings_;
  const int control_;
  pthread_key_t lane_ends_ = 0;
  void* const memory_;
  tenon_host_t face_;
  wire::Lane::Server* server_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<uint32_t> free_up_;
  uint32_t wanted_up_ = 0;
  std::atomic<bool> ready_{false};
};

// The functions of one capability as the plugin sees them; null: the host does not offer it. One file each.
const void* log_functions();
const void* state_functions();
const void* config_functions();
const void* http_functions();
const void* tasks_functions();
const void* events_functions();
const void* metrics_functions();
const void* http_client_functions();
const void* auth_functions();
const void* middleware_functions();
const void* hooks_functions();
const void* tables_functions();

}  // namespace tenon::runner

#endif
