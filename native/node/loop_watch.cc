#include "loop_watch.h"

#include <signal.h>

#include <algorithm>
#include <utility>

namespace tenon::node {

namespace {

template <typename Watched>
uv_handle_t* HandleOf(Watched* watched) {
  return reinterpret_cast<uv_handle_t*>(&watched->handle);
}

template <typename Watched>
void Free(Watched* watched) {
  watched->handle.data = watched;
  uv_close(HandleOf(watched),
           [](uv_handle_t* handle) { const std::unique_ptr<Watched> closed(static_cast<Watched*>(handle->data)); });
}

// Of a child libuv learns by SIGCHLD.
bool IsWatched(void* loop, int signal) {
  struct Search {
    int signal;
    bool found;
  };
  Search search = {signal, false};
  const auto look = [](uv_handle_t* handle, void* context) {
    Search& wanted = *static_cast<Search*>(context);
    if (uv_is_active(handle) == 0) return;
    if (handle->type == UV_PROCESS) wanted.found = wanted.found || wanted.signal == SIGCHLD;
    if (handle->type == UV_SIGNAL && reinterpret_cast<uv_signal_t*>(handle)->signum == wanted.signal)
      wanted.found = true;
  };
  uv_walk(static_cast<uv_loop_t*>(loop), look, &search);
  return search.found;
}

}  // namespace

core::ProcessAudit::Loop AuditedLoop(uv_loop_t* loop) { return {IsWatched, loop}; }

LoopWatch::~LoopWatch() {
  for (Descriptor* const descriptor : descriptors_) Free(descriptor);
  if (before_sleep_ != nullptr) Free(before_sleep_);
}

bool LoopWatch::Attend(core::Attended& attended) {
  if (before_sleep_ == nullptr) {
    auto made = std::make_unique<BeforeSleep>();
    made->front = &front_;
    made->handle.data = made.get();
    uv_prepare_init(loop_, &made->handle);
    uv_prepare_start(&made->handle,
                     [](uv_prepare_t* handle) { static_cast<BeforeSleep*>(handle->data)->front->before_sleep(); });
    before_sleep_ = made.release();
    uv_unref(HandleOf(before_sleep_));
  }
  auto made = std::make_unique<Descriptor>();
  made->attended = &attended;
  made->handle.data = made.get();
  if (uv_poll_init(loop_, &made->handle, attended.descriptor()) != 0) return false;
  Descriptor* const descriptor = made.release();
  descriptors_.push_back(descriptor);
  uv_unref(HandleOf(descriptor));
  const int failed = uv_poll_start(&descriptor->handle, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<Descriptor*>(handle->data)->attended->look();
  });
  if (failed != 0) Neglect(attended);
  return failed == 0;
}

void LoopWatch::Neglect(core::Attended& attended) {
  const auto found = std::find_if(descriptors_.begin(), descriptors_.end(),
                                  [&](const Descriptor* one) { return one->attended == &attended; });
  if (found == descriptors_.end()) return;
  // At once: its descriptor is its owner's to close.
  uv_poll_stop(&(*found)->handle);
  Free(*found);
  descriptors_.erase(found);
}

}  // namespace tenon::node
