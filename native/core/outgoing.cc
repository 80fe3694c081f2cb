#include "outgoing.h"

#include <algorithm>

#include "http_client_face.h"

namespace tenon::core {

namespace {

using Requests = std::vector<std::unique_ptr<OutgoingRequest>>;

Requests unlink(OutgoingRequest* node) {
  Requests requests;
  while (node != nullptr) {
    requests.emplace_back(node);
    node = node->next;
  }
  std::reverse(requests.begin(), requests.end());
  return requests;
}

}  // namespace

Outgoing::~Outgoing() { unlink(head_.exchange(nullptr, std::memory_order_acq_rel)); }

bool Outgoing::push(std::unique_ptr<OutgoingRequest> request) {
  OutgoingRequest* const node = request.release();
  OutgoingRequest* head = head_.load(std::memory_order_relaxed);
  do {
    node->next = head;
  } while (!head_.compare_exchange_weak(head, node, std::memory_order_acq_rel, std::memory_order_relaxed));
  return head == nullptr;
}

Requests Outgoing::take() {
  Requests requests = unlink(head_.exchange(nullptr, std::memory_order_acq_rel));
  for (size_t index = 0; index < requests.size(); index++) {
    OutgoingRequest& request = *requests[index];
    if (!request.given_up) {
      open_.emplace(request.number, std::move(request.face));
      continue;
    }
    const auto found = open_.find(request.number);
    if (found == open_.end()) {  // it has been answered
      requests[index].reset();
      continue;
    }
    found->second->let_go(request.number);
    open_.erase(found);
    const auto begun = std::find_if(requests.begin(), requests.begin() + static_cast<std::ptrdiff_t>(index),
                                    [&](const auto& other) { return other && other->number == request.number; });
    if (begun == requests.begin() + static_cast<std::ptrdiff_t>(index)) continue;
    begun->reset();
    requests[index].reset();
  }
  requests.erase(std::remove(requests.begin(), requests.end(), nullptr), requests.end());
  return requests;
}

void Outgoing::answer(uint64_t number, OutgoingAnswer answer) {
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  const std::shared_ptr<HttpClientFace> face = std::move(found->second);
  open_.erase(found);
  face->answer(number, std::move(answer));
}

}  // namespace tenon::core
