#include "subscriptions.h"

#include <algorithm>

#include "byte_buffer.h"
#include "event_bus.h"
#include "session.h"

namespace tenon::isolated {

using core::bytes;
using core::view;

namespace {

const tenon_host_events_t& events_of(const Session& session) {
  return *session.service<tenon_host_events_t>(TENON_EVENTS_ID);
}

}  // namespace

tenon_status Subscriptions::subscribe(const Session& session, tenon_bytes_t pattern) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const tenon_status status = events_of(session).subscribe(&session.host(), pattern);
  if (status != TENON_OK) return status;
  const auto owners = patterns_.try_emplace(std::string(view(pattern))).first;
  // One that ends now has left already, or leaves after this.
  if (!session.ended()) owners->second.insert(&session);
  return TENON_OK;
}

tenon_status Subscriptions::unsubscribe(const Session& session, tenon_bytes_t pattern) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = patterns_.find(view(pattern));
  if (found != patterns_.end() && found->second.erase(&session) > 0 && !found->second.empty()) return TENON_OK;
  const bool is_of_others = found != patterns_.end() && !found->second.empty();
  if (is_of_others) return TENON_ERROR_NOT_FOUND;
  if (found != patterns_.end()) patterns_.erase(found);
  return events_of(session).unsubscribe(&session.host(), pattern);
}

void Subscriptions::leave(const Session& session) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [pattern, owners] : patterns_) owners.erase(&session);
}

void Subscriptions::settle(const Session& successor) {
  const std::lock_guard<std::mutex> lock(mutex_);
  has_settled_.store(true, std::memory_order_release);
  for (auto pattern = patterns_.begin(); pattern != patterns_.end();) {
    if (!pattern->second.empty()) {
      pattern++;
      continue;
    }
    events_of(successor).unsubscribe(&successor.host(), bytes(pattern->first));
    pattern = patterns_.erase(pattern);
  }
}

void Subscriptions::sift(std::vector<const tenon_event_t*>& events) const {
  if (!has_settled_.load(std::memory_order_acquire)) return;
  std::vector<std::string> all;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [pattern, owners] : patterns_) all.push_back(pattern);
  }
  const auto is_stale = [&all](const tenon_event_t* event) { return !core::is_subject_of(all, view(event->topic)); };
  events.erase(std::remove_if(events.begin(), events.end(), is_stale), events.end());
}

}  // namespace tenon::isolated
