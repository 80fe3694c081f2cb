#ifndef TENON_ISOLATED_SESSION_H
#define TENON_ISOLATED_SESSION_H

#include <sys/types.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "express_lane.h"
#include "frame.h"
#include "holdings.h"
#include "host_thread.h"
#include "line_pace.h"
#include "process_end.h"
#include "process_meter.h"
#include "spawn.h"
#include "subscriptions.h"
#include "tenon/ext/log.h"
#include "tenon/host.h"
#include "wire/control_socket.h"
#include "wire/lane.h"
#include "wire/message.h"
#include "wire/protocol.h"
#include "wire/runner_settings.h"

namespace tenon::isolated {

// What a session is started with.
struct Launch {
  std::string runner;        // absolute path of tenon-runner
  int library = -1;          // descriptor of the checked library; stays its owner's
  std::string library_path;  // where the system cannot open a library by its descriptor
  std::string temporary;     // absolute path of the folder that is its TMPDIR, and writable; empty: none
  wire::RunnerSettings settings;
  std::shared_ptr<Subscriptions> subscriptions = std::make_shared<Subscriptions>();  // of all its sessions
};

/*
 * One life of a runner: its process, the memory shared with it, its lanes, and what it holds of the host. Ends when its
 * process does; whatever then still waits for it is told.
 */
class Session final : public wire::Lane::Server, public std::enable_shared_from_this<Session> {
  struct Key {
    explicit Key() = default;
  };

 public:
  Session(Key, const tenon_host_t& host, const Launch& launch);
  // Null and why not in `problem`. [control] [keeper]
  static std::shared_ptr<Session> start(const Launch& launch, const tenon_host_t& host, std::string& problem);
  // Killed and reaped if it was not.
  ~Session() override;

  pid_t pid() const { return own_.pid; }
  // Null once its process is gone, whose number may be another's. [any]
  std::optional<ProcessFigures> figures() const;
  const tenon_host_t& host() const { return host_; }
  // The host's side of a capability, or null. [any]
  template <typename Table>
  const Table* service(const char* id) const {
    return static_cast<const Table*>(host_.get_extension(&host_, id));
  }

  // Ask the runner, on a lane of this call's own; `of_life`: on that of the life cycle. Waits for a lane while all are
  // taken. `answer` is nothing but with Done; with NotBegun the runner knows nothing of it. `request` is the number of
  // the request it is for, or 0. [any]
  wire::Outcome call(uint16_t code, wire::Lane::Parts parts, std::string& answer, wire::Patience& patience,
                     bool of_life = false, uint64_t request = 0);

  // End the process; `reason` is told to people. The first reason counts. [any]
  void kill(const std::string& reason);
  // One of its doorbells is gone: it is ending, or has closed what is not its own, and is ended for that. [any]
  void lose_bell();
  // Stop it and all it has begun, or let it go on. [keeper]
  void stand_still(bool still);
  // Whether it is gone. [any]
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  // The same, for who waits for something else meanwhile. [any]
  const std::atomic<bool>& over() const { return ended_; }
  // How it ended, once it has: "was ended by SIGSEGV", "exited with 3", or the reason it was killed for. [any]
  std::string how_ended() const;
  // The same, or why it is being killed. [any]
  std::string how_ends() const;
  // The same with all that is known of it, once it has ended. [any]
  ProcessEnd end() const;
  // What the kernel confines it to; null until it has said so. [any]
  std::optional<wire::Confinement> confinement() const;
  // The lowest level that tenon.log keeps. [any]
  void set_log_level(int32_t level);

  // The keeper's: what to poll, and what to do when it is readable.
  int control_socket() const { return closed_ ? -1 : own_.control; }
  int process_descriptor() const { return own_.process; }  // -1 where the system has none
  const std::array<int, 2>& output() const { return own_.output; }
  bool look_at_control();  // false: nothing more comes; it is being killed
  // Once it has ended: give back what it held. False as long as a thread is in what it asked for.
  bool settle();
  bool look_at_process();          // true: reaped, and all that waited has been told
  bool look_at_output(int which);  // false: it prints more than is read at once

  bool serve(wire::Lane& lane, uint16_t code, std::string_view payload, std::string& answer) override;

  Subscriptions& subscriptions() { return *subscriptions_; }

  // Into the log of the host, unless it has written too much of late; then how many lines were left out is said once.
  // [any]
  void write_log(int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields, size_t count);
  // Of those that have not been told of: how many there were. [any]
  void tell_left_out() { tell_left_out(pace_.take_left_out()); }

  // Requests for handlers that no thread waits for.
  ExpressLane& express() { return *express_; }
  // Tell the runner of the express lane, once. [front]
  bool open_express() { return express_->open(own_.control); }

  Frames frames;
  Holdings holdings;

 private:
  struct Seat;
  bool launch(const Launch& launch, std::string& problem);
  wire::LaneMemory& lane_memory(uint32_t lane);
  bool open_lane(uint32_t lane);
  void serve_up_lane(uint32_t lane);
  bool take_confinement(std::string_view bytes);
  void signal_all(int number) const;
  bool reap(int options);
  void finish(ProcessEnd end);
  void write_line(size_t which);
  void tell_left_out(uint64_t lines);

  const tenon_host_t& host_;
  const wire::RunnerSettings settings_;
  const std::shared_ptr<Subscriptions> subscriptions_;
  const uint64_t began_;  // ns, monotonic
  Spawned own_;
  std::unique_ptr<ExpressLane> express_;  // in the shared memory
  std::array<std::string, 2> line_;
  std::deque<std::string> said_;
  LinePace pace_;
  wire::Doorbell ended_bell_;
  std::atomic<bool> ended_{false};

  mutable std::mutex mutex_;
  std::condition_variable lane_free_;
  std::vector<std::unique_ptr<Seat>> seats_;  // by lane, null: not opened
  std::vector<uint32_t> free_;                // opened and not taken
  uint32_t opened_ = 1;                       // down lanes, lane 0 included
  std::vector<HostThread> agents_;
  std::atomic<uint32_t> agents_left_{0};
  bool reaped_ = false;
  std::string reason_;
  ProcessEnd end_;
  bool closed_ = false;   // by the runner [keeper]
  bool cut_off_ = false;  // it goes on without it
  bool stands_ = false;
  std::optional<wire::Confinement> confinement_;
};

}  // namespace tenon::isolated

#endif
