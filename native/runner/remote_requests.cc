#include "remote_requests.h"

#include <memory>
#include <mutex>
#include <vector>

namespace tenon::runner {

namespace {

struct Store {
  std::mutex mutex;
  std::vector<std::unique_ptr<RemoteRequest>> all;
  std::vector<RemoteRequest*> unused;
};

// Never taken down: a plugin that calls exit() does so under its handlers.
Store& store() {
  static Store& only = *std::make_unique<Store>().release();
  return only;
}

}  // namespace

RemoteRequest& Requests::take() {
  Store& own = store();
  RemoteRequest* request = nullptr;
  {
    const std::lock_guard<std::mutex> lock(own.mutex);
    if (own.unused.empty()) {
      own.all.push_back(std::make_unique<RemoteRequest>());
      own.unused.push_back(own.all.back().get());
    }
    request = own.unused.back();
    own.unused.pop_back();
  }
  request->holds.store(1, std::memory_order_relaxed);
  return *request;
}

void Requests::let_go(RemoteRequest& request) {
  if (request.holds.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  request.clear();
  Store& own = store();
  const std::lock_guard<std::mutex> lock(own.mutex);
  own.unused.push_back(&request);
}

}  // namespace tenon::runner
