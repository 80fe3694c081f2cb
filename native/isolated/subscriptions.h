#ifndef TENON_ISOLATED_SUBSCRIPTIONS_H
#define TENON_ISOLATED_SUBSCRIPTIONS_H

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/ext/events.h"

namespace tenon::isolated {

class Session;

/*
 * What the processes of one generation have subscribed to. The host has one queue for all of them, from which each
 * event goes to one process. What a process that has ended was subscribed to stays so until another has taken its
 * place: what happens meanwhile is in the queue, as at a reload.
 */
class Subscriptions {
 public:
  Subscriptions() = default;
  Subscriptions(const Subscriptions&) = delete;
  Subscriptions& operator=(const Subscriptions&) = delete;

  // As the functions of tenon.events, for one process. [any]
  tenon_status subscribe(const Session& session, tenon_bytes_t pattern);
  tenon_status unsubscribe(const Session& session, tenon_bytes_t pattern);
  // Its process has ended. [keeper]
  void leave(const Session& session);
  // Another is ready in its place: what nobody has subscribed to again is undone. [restarter]
  void settle(const Session& successor);
  // Without those of `events` that were only for a process which has ended. [event]
  void sift(std::vector<const tenon_event_t*>& events) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::set<const Session*>, std::less<>> patterns_;
  std::atomic<bool> has_settled_{false};
};

}  // namespace tenon::isolated

#endif
