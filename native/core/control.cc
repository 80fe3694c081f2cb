#include "control.h"

#include <chrono>

#include "clock.h"
#include "front.h"
#include "generation.h"
#include "image_threads.h"
#include "log_origin.h"
#include "thread_guard.h"

namespace tenon::core {

namespace {

Work work_of(Step step) {
  switch (step) {
    case Step::Create:
      return Work::Create;
    case Step::Initialize:
      return Work::Initialize;
    case Step::Routes:
      return Work::Routes;
    case Step::Ready:
      return Work::Ready;
    case Step::Health:
      return Work::Health;
    case Step::Quiesce:
      return Work::Quiesce;
    case Step::Resume:
      return Work::Resume;
    case Step::Save:
      return Work::Save;
    case Step::Load:
      return Work::Load;
    case Step::Shutdown:
      return Work::Shutdown;
    case Step::Destroy:
      return Work::Destroy;
    case Step::Configure:
      return Work::Configure;
    case Step::Drain:
    case Step::Stop:
      break;
  }
  return Work::None;
}

}  // namespace

const char* step_name(Step step) {
  switch (step) {
    case Step::Create:
      return "create";
    case Step::Initialize:
      return "initialize";
    case Step::Routes:
      return "routes";
    case Step::Ready:
      return "ready";
    case Step::Health:
      return "health";
    case Step::Quiesce:
      return "quiesce";
    case Step::Resume:
      return "resume";
    case Step::Save:
      return "save";
    case Step::Load:
      return "load";
    case Step::Shutdown:
      return "shutdown";
    case Step::Destroy:
      return "destroy";
    case Step::Configure:
      return "configure";
    case Step::Drain:
      return "drain";
    case Step::Stop:
      return "stop";
  }
  return "";
}

bool Control::submit(std::shared_ptr<Task> task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_ || lost_.load(std::memory_order_acquire)) return false;
  if (!started_) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    started_ = start_core_thread(thread_, &attributes, &Control::main, this);
    pthread_attr_destroy(&attributes);
    if (!started_) return false;
    alive_.store(true, std::memory_order_release);
  }
  queue_.push_back(std::move(task));
  work_.notify_one();
  return true;
}

void* Control::main(void* argument) {
  static_cast<Control*>(argument)->run();
  return nullptr;
}

void Control::run() {
  ThreadGuard guard(ThreadKind::Control);
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    while (queue_.empty() && !stopping_) work_.wait(lock);
    if (queue_.empty()) break;
    const std::shared_ptr<Task> task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    if (!task->begin()) {
      lock.lock();
      continue;
    }
    const auto in_plugin = [&](Work what, const auto& work) {
      {
        const Generation& generation = *task->generation;
        const WorkOfThread step(generation.plugin(), generation.number(), step_name(task->step));
        const Inside inside(generation.image(), what, 0, kNoSlot, now());
        const FloatingPointGuard floating_point;
        work();
      }
      guard.restore_signals();
      lost_.store(false, std::memory_order_release);
    };
    in_plugin(work_of(task->step), [&] { task->generation->perform(*task); });
    const bool failed = task->failed;
    if (task->claim()) {
      task->generation->front().settle(task);
      if (!failed && task->generation->are_routes_next(*task))
        in_plugin(Work::Routes, [&] { task->generation->read_ahead(); });
    }
    lock.lock();
  }
  alive_.store(false, std::memory_order_release);
  ended_.notify_all();
}

bool Control::stop(uint64_t until) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    const uint64_t time = now();
    ended_.wait_for(lock, std::chrono::nanoseconds(until > time ? until - time : 0),
                    [this] { return !alive_.load(std::memory_order_acquire); });
    if (alive_.load(std::memory_order_acquire)) return false;
    if (!started_) return true;
    started_ = false;
  }
  pthread_join(thread_, nullptr);
  return true;
}

}  // namespace tenon::core
