#ifndef TENON_CORE_OUTGOING_H
#define TENON_CORE_OUTGOING_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tenon/types.h"

namespace tenon::core {

class HttpClientFace;

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// A request to another server, or the word that one is given up.
struct OutgoingRequest {
  uint64_t number = 0;
  bool given_up = false;  // then nothing below is set
  std::string plugin;
  uint64_t generation = 0;
  uint64_t request = 0;   // in whose handler or chain it was made; 0: none
  uint64_t deadline = 0;  // monotonic
  std::string method;
  std::string url;
  HeaderList headers;
  std::string body;
  std::shared_ptr<HttpClientFace> face;  // who asks
  OutgoingRequest* next = nullptr;
};

// What came of it: see tenon_http_client_response_t.
struct OutgoingAnswer {
  tenon_status outcome = TENON_OK;
  int32_t status = 0;
  HeaderList headers;
  std::string body;
  std::string message;
};

/*
 * Requests on their way from any thread to the front, which has them made, and their answers on the way back. Lock-free
 * and in order. Bounded by what each generation may have under way: what is in here counts there.
 */
class Outgoing {
 public:
  Outgoing() = default;
  ~Outgoing();
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  // Somebody makes requests. Before the front is opened.
  void offer() { offered_ = true; }
  bool offered() const { return offered_; }  // [any]

  uint64_t take_number() { return numbers_.fetch_add(1, std::memory_order_relaxed) + 1; }  // [any]
  // True when the front must be woken. [any]
  bool push(std::unique_ptr<OutgoingRequest> request);
  bool empty() const { return head_.load(std::memory_order_acquire) == nullptr; }

  // What has come since, in order, without what was given up meanwhile. [front]
  std::vector<std::unique_ptr<OutgoingRequest>> take();
  // The answer to one that was taken; one that was given up is let go. [front]
  void answer(uint64_t number, OutgoingAnswer answer);

 private:
  bool offered_ = false;
  std::atomic<uint64_t> numbers_{0};
  std::atomic<OutgoingRequest*> head_{nullptr};
  std::unordered_map<uint64_t, std::shared_ptr<HttpClientFace>> open_;
};

}  // namespace tenon::core

#endif
