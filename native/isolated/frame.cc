#include "frame.h"

#include <utility>

#include "plugin.h"

namespace tenon::isolated {

using core::Call;

uint64_t Frames::add(tenon_request_t* request, bool is_step) {
  Frame* frame;
  uint64_t token;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(frames_.size()));
      frames_.emplace_back();
    }
    const uint64_t place = free_.back();
    free_.pop_back();
    frame = &frames_[place];
    token = place << kPlaceShift | ++numbers_;
  }
  const std::lock_guard<std::mutex> lock(frame->mutex);
  frame->token = token;
  frame->call = &core::call_of(request);
  frame->deferred = false;
  frame->is_step = is_step;
  return token;
}

Frame* Frames::at(uint64_t token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t place = token >> kPlaceShift;
  return place < frames_.size() ? &frames_[place] : nullptr;
}

void Frames::free(uint64_t token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  free_.push_back(static_cast<uint32_t>(token >> kPlaceShift));
}

bool Frames::take_back(uint64_t token) {
  Frame& frame = *at(token);
  {
    const std::lock_guard<std::mutex> acting(frame.acting);
    const std::lock_guard<std::mutex> lock(frame.mutex);
    // Another one: it has been completed meanwhile.
    if (frame.token != token || frame.deferred) return false;
    frame.token = 0;
    frame.call = nullptr;
  }
  free(token);
  return true;
}

// One that was deferred may be acted on for as long as its client takes.
std::optional<bool> Frames::try_take_back(uint64_t token) {
  Frame& frame = *at(token);
  {
    const std::lock_guard<std::mutex> lock(frame.mutex);
    if (frame.token != token || frame.deferred) return false;
    const std::unique_lock<std::mutex> acting(frame.acting, std::try_to_lock);
    if (!acting.owns_lock()) return std::nullopt;
    frame.token = 0;
    frame.call = nullptr;
  }
  free(token);
  return true;
}

bool Frames::is_cancelled(uint64_t token) {
  Frame* const frame = at(token);
  if (frame == nullptr) return true;
  const std::lock_guard<std::mutex> lock(frame->mutex);
  return frame->token != token || token == 0 || frame->call->abandoned();
}

tenon_status Frames::defer(uint64_t token, const tenon_host_http_t& http, uint64_t& deadline) {
  Frame* const frame = at(token);
  if (frame == nullptr) return TENON_ERROR_STATE;
  const std::lock_guard<std::mutex> acting(frame->acting);
  const std::lock_guard<std::mutex> lock(frame->mutex);
  if (frame->token != token || token == 0 || over_.load(std::memory_order_seq_cst)) return TENON_ERROR_STATE;
  if (frame->is_step) return TENON_ERROR_STATE;
  const tenon_status status = http.defer(frame->call);
  if (status != TENON_OK) return status;
  frame->deferred = true;
  deadline = frame->call->deadline.load(std::memory_order_relaxed);
  return TENON_OK;
}

void Frames::fail_deferred(const tenon_host_http_t& http, const std::string& why) {
  over_.store(true, std::memory_order_seq_cst);
  size_t count;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    count = frames_.size();
  }
  for (uint64_t place = 0; place < count; place++) {
    Frame& frame = *at(place << kPlaceShift);
    uint64_t token;
    {
      const std::lock_guard<std::mutex> lock(frame.mutex);
      token = frame.deferred ? frame.token : 0;
    }
    if (token == 0) continue;
    Hold hold(*this, token);
    Call* const call = hold.take_deferred();
    if (call == nullptr) continue;
    call->refuse(core::Refusal::ProcessEnded, 502, call->plugin->id() + ": " + why);
    http.complete(call, TENON_OK);
  }
}

Frames::Hold::Hold(Frames& frames, uint64_t token) : frames_(frames), frame_(frames.at(token)), token_(token) {
  if (frame_ == nullptr) return;
  frame_->acting.lock();
  const std::lock_guard<std::mutex> lock(frame_->mutex);
  if (frame_->token == token && token != 0) call_ = frame_->call;
}

Frames::Hold::~Hold() {
  if (frame_ != nullptr) frame_->acting.unlock();
}

bool Frames::Hold::is_deferred() const {
  if (call_ == nullptr) return false;
  const std::lock_guard<std::mutex> lock(frame_->mutex);
  return frame_->deferred;
}

bool Frames::Hold::is_step() const {
  if (call_ == nullptr) return false;
  const std::lock_guard<std::mutex> lock(frame_->mutex);
  return frame_->is_step;
}

Call* Frames::Hold::take_deferred() {
  if (call_ == nullptr) return nullptr;
  {
    const std::lock_guard<std::mutex> lock(frame_->mutex);
    if (!frame_->deferred) return nullptr;
    frame_->token = 0;
    frame_->call = nullptr;
    frame_->deferred = false;
  }
  frames_.free(token_);
  return std::exchange(call_, nullptr);
}

}  // namespace tenon::isolated
