#ifndef TENON_RUNNER_REMOTE_REQUESTS_H
#define TENON_RUNNER_REMOTE_REQUESTS_H

#include <memory>
#include <mutex>
#include <unordered_map>

#include "remote_request.h"

namespace tenon::runner {

// The requests that this process has: those in a handler, and those that were deferred, until `complete`.
class Requests {
 public:
  // In a handler for as long as this lives.
  class Entry {
   public:
    explicit Entry(std::shared_ptr<RemoteRequest> request);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    const std::shared_ptr<RemoteRequest> request_;
  };
  // It stays until `end`, which gives the last reference. [any]
  static void keep(RemoteRequest& request);
  static std::shared_ptr<RemoteRequest> end(RemoteRequest& request);
};

}  // namespace tenon::runner

#endif
