#include "remote_requests.h"

#include <utility>

namespace tenon::runner {

namespace {

std::mutex mutex;
std::unordered_map<const RemoteRequest*, std::shared_ptr<RemoteRequest>> in_handlers;
std::unordered_map<const RemoteRequest*, std::shared_ptr<RemoteRequest>> deferred;

}  // namespace

Requests::Entry::Entry(std::shared_ptr<RemoteRequest> request) : request_(std::move(request)) {
  const std::lock_guard<std::mutex> lock(mutex);
  in_handlers.emplace(request_.get(), request_);
}

Requests::Entry::~Entry() {
  const std::lock_guard<std::mutex> lock(mutex);
  in_handlers.erase(request_.get());
}

void Requests::keep(RemoteRequest& request) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (const auto found = in_handlers.find(&request); found != in_handlers.end()) deferred.insert(*found);
}

std::shared_ptr<RemoteRequest> Requests::end(RemoteRequest& request) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = deferred.find(&request);
  if (found == deferred.end()) return nullptr;
  std::shared_ptr<RemoteRequest> last = std::move(found->second);
  deferred.erase(found);
  return last;
}

}  // namespace tenon::runner
