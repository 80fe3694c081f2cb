#ifndef TENON_CORE_HTTP_CLIENT_FACE_H
#define TENON_CORE_HTTP_CLIENT_FACE_H

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "outgoing.h"
#include "permissions.h"
#include "tenon/ext/http_client.h"
#include "tenon/host.h"

namespace tenon::core {

struct Lease;
class Plugin;
class Tasks;

/*
 * tenon.http_client/1 for one generation: which requests it has under way, and their `done` functions, which run one
 * after the other on a thread of its tasks, under its lease. While its calls are waited for they begin only as long as
 * there is one, which may wait for them. When it is being taken down what is open is cancelled, and what has not run
 * runs then.
 */
class HttpClientFace final : public std::enable_shared_from_this<HttpClientFace> {
 public:
  HttpClientFace(Plugin& plugin, uint64_t generation, std::shared_ptr<Permissions> permissions)
      : plugin_(plugin), generation_(generation), permissions_(std::move(permissions)) {}
  HttpClientFace(const HttpClientFace&) = delete;
  HttpClientFace& operator=(const HttpClientFace&) = delete;
  static const tenon_host_http_client_t& functions();

  // `ready` begins: from here on it may be used. [front] [control]
  void open(Lease& lease, Tasks& tasks);
  // Its calls are waited for, or are not any more. [front]
  void drain();
  void serve();
  // Whether no call is in it any more; then no `done` begins until it serves again, or is taken down. [front]
  bool end_drain(const Lease& lease);
  // It is being taken down: nothing is sent any more, what is open is cancelled. [any]
  void retire();
  // The same; every `done` has run when this returns. [control]
  void finish();

  tenon_status send(const tenon_http_client_request_t& request, tenon_http_client_done_fn done, void* context,
                    uint64_t* number);                  // [any]
  tenon_status cancel(uint64_t number);                 // [any]
  size_t count() const;                                 // those whose `done` has not returned [any]
  uint64_t running() const;                             // number of the one whose `done` runs now; 0: none [any]
  void answer(uint64_t number, OutgoingAnswer answer);  // [front]
  // It was given up, and the front has nothing of it any more. [front]
  void let_go(uint64_t number);

 private:
  enum class State : uint8_t { Early, Open, Retiring };
  struct Request {
    tenon_http_client_done_fn done = nullptr;
    void* context = nullptr;
    size_t bytes = 0;        // of bodies
    bool with_front = true;  // it will still answer it, or let it go
    enum class Done : uint8_t { Waiting, Due, Running, Over } state = Done::Waiting;
    OutgoingAnswer answer;
  };
  using Requests = std::map<uint64_t, Request>;

  // All under the mutex.
  // `own`: leases that this holds itself.
  bool may_run(int64_t own) const;
  void make_due(uint64_t number, Request& request, OutgoingAnswer answer);
  void give_up(uint64_t number, Request& request, const char* why);
  void erase_if_over(Requests::iterator request);
  void summon();
  void ask_again();
  void take_turn();
  // [task], or [control] when no thread can be had
  static void run(void* self);
  void run_due();

  Plugin& plugin_;
  const uint64_t generation_;
  const std::shared_ptr<Permissions> permissions_;
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  State state_ = State::Early;
  bool draining_ = false;
  bool drained_ = false;
  bool running_ = false;  // with a lease
  bool asking_ = false;   // `summon` will be tried again
  uint64_t current_ = 0;
  Lease* lease_ = nullptr;
  Tasks* tasks_ = nullptr;
  Requests requests_;
  std::deque<uint64_t> due_;
  size_t bytes_ = 0;
};

}  // namespace tenon::core

#endif
