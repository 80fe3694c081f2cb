#include "remote_requests.h"

#include <memory>
#include <mutex>
#include <vector>

namespace tenon::runner {

namespace {

std::mutex mutex;
std::vector<std::unique_ptr<RemoteRequest>> all;
std::vector<RemoteRequest*> unused;

}  // namespace

RemoteRequest& Requests::take() {
  RemoteRequest* request = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (unused.empty()) {
      all.push_back(std::make_unique<RemoteRequest>());
      unused.push_back(all.back().get());
    }
    request = unused.back();
    unused.pop_back();
  }
  request->holds.store(1, std::memory_order_relaxed);
  return *request;
}

void Requests::let_go(RemoteRequest& request) {
  if (request.holds.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  request.clear();
  const std::lock_guard<std::mutex> lock(mutex);
  unused.push_back(&request);
}

}  // namespace tenon::runner
