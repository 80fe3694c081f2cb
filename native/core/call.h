#ifndef TENON_CORE_CALL_H
#define TENON_CORE_CALL_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "chain.h"
#include "request.h"
#include "response.h"

// The handles plugins hold. A call is both.
struct tenon_request {};
struct tenon_response {};

namespace tenon::core {

class Front;
class Generation;
class Plugin;
struct Lease;
class Worker;

// Numbers of `Refusal` in src/binding/refusal.ts.
enum class Refusal : uint32_t {
  None = 0,
  RouteGone = 1,
  PluginStopped = 2,
  PluginBusy = 3,
  DeadlineExceeded = 4,
  HandlerFailed = 5,
  ResponseInvalid = 6,
  PluginUnresponsive = 7,
  Unauthenticated = 8,
  Forbidden = 9,
  ExtensionUnavailable = 10,
  TooManyAttempts = 11,
  ExtensionFailed = 12,
  PermissionDenied = 13,
  MemoryOverrun = 14,
  ProcessEnded = 15,
};

// What has happened to a call that its front does not know yet.
enum CallEvent : uint32_t { kFinished = 1, kTimedOut = 2, kStreamed = 4, kCutOff = 8 };

// The stream of a response: chunks on their way to the client.
struct Stream {
  static constexpr size_t kWindow = 256 * 1024;
  static constexpr size_t kChunkBytes = 1024 * 1024;
  std::mutex mutex;
  std::condition_variable room;
  std::deque<std::string> chunks;
  bool of_events = false;  // text/event-stream: its client comes again when it ends
  size_t in_flight = 0;    // bytes taken from the plugin that have not left for the client
};

/*
 * One request on its way through the pipeline. Made, delivered and recycled on the front's thread.
 *
 * Protocol. `holds` counts who may still touch request and response: the handler, and a plugin that deferred. Whoever
 * brings it to zero finishes the call: it posts kFinished, once. The watchdog claims a call whose deadline has passed
 * by exchanging `deadline` for 0, and then posts kTimedOut, once; the finisher learns from the same exchange that it
 * was claimed. The front answers on whichever comes first and recycles only when both that are due have come, so
 * neither side can meet a call that has become another. The lease is given back at the recycling, because until then
 * the body may be the plugin's memory.
 */
class Call final : public tenon_request, public tenon_response {
 public:
  Call(Front& owner, uint32_t number) : front(owner), id(number) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Front& front;
  const uint32_t id;
  Request request;
  Response response;
  std::unique_ptr<Stream> stream;

  // Where it goes.
  Plugin* plugin = nullptr;
  uint32_t local_slot = 0;
  uint32_t slot = 0;         // place of its route in the black box
  uint32_t patience_ms = 0;  // how long it may wait at the gate
  std::atomic<Lease*> lease{nullptr};
  const Route* route = nullptr;
  bool asks_only = false;  // whether the extensions and the route would let it go on: no handler, no middleware
  std::shared_ptr<const Route> gate_route;  // it only passes the chain of its plugin, on the way to a table
  std::string_view path_pattern;            // prefix and pattern
  std::unique_ptr<ChainPass> pass;          // null where it meets no extension and its route asks for nothing

  // Who has it. The ticket names one turn of a worker, so that the watchdog cannot write off a thread that has moved
  // on.
  std::atomic<int> holds{0};
  std::atomic<Worker*> worker{nullptr};
  std::atomic<uint64_t> ticket{0};
  std::atomic<uint64_t> deadline{0};
  std::atomic<bool> cancelled{false};
  bool armed = false;
  bool claimed = false;
  enum class Deferral { None, Deferred, Completed };
  std::atomic<Deferral> deferral{Deferral::None};
  bool parked = false;
  std::atomic<Plugin*> parked_at{nullptr};  // behind whose gate

  // These stay as they are when its deadline passes.
  std::atomic<Plugin*> hook_of{nullptr};  // in whose hook its thread is
  std::atomic<uint64_t> held_number{0};   // of the generation whose code `held_in` names
  std::atomic<uint64_t> elsewhere{0};     // ns that it has spent in steps and hooks of extensions, or waited for them

  // Its handler runs in another process, and no thread waits for it: counted by its pool. Whoever takes it back counts
  // it off.
  std::atomic<bool> begun{false};
  bool goes_on = false;  // it was begun, and goes on on a thread of the pool
  // What its generation's source knows it by; the source's alone. [front], then of the thread it goes on on
  std::shared_ptr<void> errand;
  uint32_t errand_slot = 0;
  uint64_t errand_token = 0;

  // Of its generation, when its handler began.
  uint64_t denials = 0;

  // When its handler began, ns of the monotonic clock; 0 when it has not, or is not timed.
  std::atomic<uint64_t> began{0};

  // When it was sent, ns of the monotonic clock, when somebody wants to know of it; 0 once he has been told. [front]
  uint64_t arrived = 0;

  // How it ends; written by the finisher.
  uint64_t ended = 0;  // of a call that is timed
  Refusal refusal = Refusal::None;
  int32_t refused_status = 0;
  std::string message;

  // The front's own.
  std::atomic<uint32_t> events{0};
  Call* next = nullptr;
  uint32_t seen = 0;
  bool pending = false;
  bool answered = false;
  bool head_sent = false;
  bool counted = false;

  // Start the deadline `ms` from now. [front]
  void arm(uint64_t ms);
  // True when the deadline has passed and the watchdog has answered for it.
  bool expired() const { return armed && deadline.load(std::memory_order_acquire) == 0; }
  // End the deadline; false when the watchdog has claimed the call.
  bool disarm();
  bool abandoned() const;
  // Whether its deadline has passed by `time` before anybody has begun with it: then it is answered for, here and now.
  bool miss(uint64_t time);
  uint32_t time_left_ms() const;

  void refuse(Refusal why, int32_t status, std::string text);

  // Let go of one hold. True when it was the last and the call is finished, with its outcome decided.
  bool let_go();
  // The call whose handler or chain runs on this thread, or null.
  static Call* current();
  // The extension whose code has it, or had it when its deadline passed, as a step of its chain or as a hook that its
  // handler runs; or null. [any] once it is sent
  Plugin* held_in() const;
  // The link whose step has it, or null. [any] once it is sent
  const ChainLink* inside() const { return pass ? pass->inside.load(std::memory_order_acquire) : nullptr; }
  // `status` is what the handler, or `complete`, returned.
  void conclude(tenon_status status);
  // Tell the front. [any]
  void post(uint32_t event);

  // Waits for room, unless `over` is set meanwhile: then nobody is left who would go on with it.
  tenon_status write(std::string_view chunk, const std::atomic<bool>* over = nullptr);
  // Whether a stream has begun that its client has not seen the end of. [front]
  bool is_streaming() const;
  // Let the stream end for its client after what has been written; the plugin is told that nobody listens. [front]
  void cut_off();
  // Back to how it was made. Under the lease. [front]
  void clear();

  // How it ends, if that is decided by what was returned and by the response.
  void decide();
  // Code of `generation` has run: whether it has written beyond what it was lent. It is told of then. Under a lease.
  const char* take_overrun(const Generation& generation);
  // Its plugin, or the extension that has it, was lent a copy in another process and has written beyond this part of
  // it. Under its lease.
  void note_overrun(const char* part);
  // It is told of what code of `generation` has done.
  void note_overrun(const Generation& generation, const char* part) const;

 private:
  void explain_denial();
  void clear_response();

  std::atomic<tenon_status> result_{TENON_OK};
  std::atomic<bool> denied_{false};
  std::string denial_;  // of whoever has set `denied_`, before its hold ends: the line, a line feed and the sentence
};

// That `call` is the one of this thread.
class CallOfThread {
 public:
  explicit CallOfThread(Call& call);
  ~CallOfThread();
  CallOfThread(const CallOfThread&) = delete;
  CallOfThread& operator=(const CallOfThread&) = delete;

 private:
  Call* const before_;
};

// The call behind a handle.
inline const Call& call_of(const tenon_request_t* request) { return *static_cast<const Call*>(request); }
inline Call& call_of(tenon_request_t* request) { return *static_cast<Call*>(request); }
inline const Call& call_of(const tenon_response_t* response) { return *static_cast<const Call*>(response); }
inline Call& call_of(tenon_response_t* response) { return *static_cast<Call*>(response); }

}  // namespace tenon::core

#endif
