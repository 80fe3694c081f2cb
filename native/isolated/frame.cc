#include "frame.h"

#include <utility>

namespace tenon::isolated {

uint64_t Frames::add(tenon_request_t* request, tenon_response_t* response) {
  auto frame = std::make_shared<Frame>();
  frame->request = request;
  frame->response = response;
  const std::lock_guard<std::mutex> lock(mutex_);
  frames_.emplace(++last_, std::move(frame));
  return last_;
}

std::shared_ptr<Frame> Frames::find(uint64_t token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = frames_.find(token);
  return found == frames_.end() ? nullptr : found->second;
}

bool Frames::take_back(uint64_t token) {
  const std::shared_ptr<Frame> frame = find(token);
  if (!frame) return false;  // completed on another thread meanwhile
  {
    const std::lock_guard<std::mutex> lock(frame->mutex);
    if (frame->deferred) return false;
    frame->request = nullptr;
    frame->response = nullptr;
  }
  forget(token);
  return true;
}

void Frames::forget(uint64_t token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  frames_.erase(token);
}

std::vector<std::shared_ptr<Frame>> Frames::take_all() {
  std::vector<std::shared_ptr<Frame>> deferred;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [token, frame] : frames_) {
    const std::lock_guard<std::mutex> inner(frame->mutex);
    if (frame->deferred && frame->request != nullptr) deferred.push_back(frame);
  }
  frames_.clear();
  return deferred;
}

}  // namespace tenon::isolated
