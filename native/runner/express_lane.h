#ifndef TENON_RUNNER_EXPRESS_LANE_H
#define TENON_RUNNER_EXPRESS_LANE_H

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "host.h"
#include "remote_request.h"
#include "wire/protocol.h"
#include "wire/ring.h"

namespace tenon::runner {

class PluginServer;

/*
 * The requests that no thread of the host waits for. Each of the threads takes the next one out of the ring and runs
 * its handler, not more of them at once than the host lets; one is always left that could take another. A thread that
 * finds none looks for some microseconds, then sleeps in a read of the bell, which wakes one thread for each byte.
 * While one is awake it looks by itself; the host rings for what it still finds there when it goes to sleep.
 *
 * A handler that asks the host for anything waits for a lane: the host calls kDownContinue on one, whose own thread
 * then stands aside until the handler has returned, and sends what it answers.
 */
class ExpressLane {
 public:
  ExpressLane(Host& host, PluginServer& server, int waiting, int ringing);
  ExpressLane(const ExpressLane&) = delete;
  ExpressLane& operator=(const ExpressLane&) = delete;

  // Begin to serve with a first thread; false: there is none.
  bool start();

  // Whether this thread runs a handler of the express lane.
  static bool is_current();
  // The lane that the handler of this thread goes on with, waited for. [its thread]
  static wire::Lane& want_lane();

  // The host calls for what waits in `slot`: have it go on over `lane`, and answer with what it returns. False: nothing
  // waits there. [the thread of a lane]
  bool go_on(uint32_t slot, wire::Lane& lane, wire::Writer& writer);

 private:
  // About 50 us: a host that was woken for one answer may be back with the next request by then. Only as long as that
  // is seen to be so.
  static constexpr int kMostLooks = 1000;
  static constexpr uint32_t kMostThreads = wire::kExpressSlots + 1;

  // What came of a handler, for the thread of its lane, which waits for it.
  struct Result {
    RemoteRequest* request = nullptr;
    int32_t status = 0;
  };
  // What a thread is in.
  struct Work {
    ExpressLane& owner;
    const uint32_t slot;
    RemoteRequest& request;
    const uint64_t began;
    wire::Lane* lane = nullptr;
    Result* result = nullptr;  // with a lane
  };

  static void* main(void* self);
  void work();
  bool take(wire::ExpressHead& head, std::string& payload);
  bool look();
  void sleep();
  void run(const wire::ExpressHead& head, std::string& payload);
  bool may_run() const;
  void answer(Work& work, int32_t status);
  bool send_changes(Work& work, std::string_view status, bool& is_large);
  bool send(uint32_t slot, wire::Express kind, uint32_t detail, wire::Lane::Parts parts);
  wire::Lane& wait_for_lane(Work& work, bool is_usual);

  Host& host_;
  PluginServer& server_;
  wire::LaneMemory& memory_;
  wire::Doorbell own_;    // rung by the host
  wire::Doorbell other_;  // rung by the runner

  std::mutex in_mutex_;
  wire::RingReader in_;
  uint32_t threads_ = 0;
  uint32_t asleep_ = 0;
  uint64_t running_ = 0;   // slots whose handler runs, a bit for each
  bool may_start_ = true;  // a thread could be started the last time
  bool looking_ = false;
  int looks_ = kMostLooks;
  int sleeps_ = 0;

  std::mutex out_mutex_;
  wire::RingWriter out_;

  std::mutex works_mutex_;
  std::condition_variable changed_;
  std::array<Work*, wire::kExpressSlots> waiting_ = {};
};

}  // namespace tenon::runner

#endif
