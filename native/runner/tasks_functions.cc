#include "tenon/ext/tasks.h"

#include <time.h>

#include <mutex>
#include <unordered_map>

#include "host.h"
#include "plugin_server.h"

namespace tenon::runner {

namespace {

// `cancelled` is asked in loops: that it was not is believed for so long.
constexpr uint64_t kBelievedNs = 100'000;

struct Task {
  tenon_task_fn work = nullptr;
  tenon_task_end_fn end = nullptr;
  void* context = nullptr;
  uint64_t number = 0;  // the plugin's, once it is known
  uint64_t held = 0;    // the host's
};

// The tasks of this process that are not over, by a number of its own, which the host calls them by.
class Tasks {
 public:
  uint64_t add(const Task& task) {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.emplace(++last_, task);
    return last_;
  }
  // What the host calls it; nothing when it is over.
  void name(uint64_t own, uint64_t number, uint64_t held) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = tasks_.find(own);
    if (found == tasks_.end()) return;
    found->second.number = number;
    found->second.held = held;
    numbers_[number] = own;
  }
  bool find(uint64_t own, Task& task) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = tasks_.find(own);
    if (found == tasks_.end()) return false;
    task = found->second;
    return true;
  }
  // By the plugin's number; 0: it is over.
  uint64_t own_of(uint64_t number, uint64_t& held) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = numbers_.find(number);
    if (found == numbers_.end()) return 0;
    held = tasks_.at(found->second).held;
    return found->second;
  }
  bool take(uint64_t own, Task& task) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = tasks_.find(own);
    if (found == tasks_.end()) return false;
    task = found->second;
    numbers_.erase(task.number);
    tasks_.erase(found);
    return true;
  }

 private:
  std::mutex mutex_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, Task> tasks_;
  std::unordered_map<uint64_t, uint64_t> numbers_;  // the plugin's to this process's
};

Tasks tasks;
// Of `cancel`: what was believed before it is not any more.
std::atomic<uint64_t> cancels{0};

struct Belief {
  uint64_t number = 0;
  uint64_t cancels = 0;
  uint64_t until = 0;
};
thread_local Belief belief;

uint64_t now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

void end(uint64_t own) {
  Task task;
  if (tasks.take(own, task) && task.end != nullptr) task.end(task.context);
}

tenon_status add(const tenon_host_t* host, wire::TaskKind kind, uint64_t ms, const Task& task, uint64_t* number) {
  Host& face = Host::of(host);
  if (task.work == nullptr || ms > TENON_TASKS_DELAY_MS) return TENON_ERROR_ARGUMENT;
  if (!face.is_ready()) return TENON_ERROR_STATE;
  const uint64_t own = tasks.add(task);
  wire::Writer writer;
  writer.put(static_cast<uint8_t>(kind)).put(ms).put(own);
  const std::string answer = face.ask(wire::kUpTaskAdd, {writer.bytes()});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  const auto given = reader.get<uint64_t>();
  const auto held = reader.get<uint64_t>();
  if (status != TENON_OK) {
    Task none;
    tasks.take(own, none);
    return status;
  }
  tasks.name(own, given, held);
  if (number != nullptr) *number = given;
  return TENON_OK;
}

tenon_status submit(const tenon_host_t* host, tenon_task_fn work, tenon_task_end_fn end, void* context,
                    uint64_t* task) {
  return add(host, wire::TaskKind::Now, 0, {work, end, context}, task);
}

tenon_status once(const tenon_host_t* host, uint64_t delay_ms, tenon_task_fn work, tenon_task_end_fn end, void* context,
                  uint64_t* task) {
  return add(host, wire::TaskKind::Once, delay_ms, {work, end, context}, task);
}

tenon_status every(const tenon_host_t* host, uint64_t period_ms, tenon_task_fn work, tenon_task_end_fn end,
                   void* context, uint64_t* task) {
  if (period_ms == 0) return TENON_ERROR_ARGUMENT;
  return add(host, wire::TaskKind::Every, period_ms, {work, end, context}, task);
}

tenon_status cancel(const tenon_host_t* host, uint64_t number) {
  uint64_t held = 0;
  const uint64_t own = tasks.own_of(number, held);
  if (own == 0) return Host::of(host).is_ready() ? TENON_ERROR_NOT_FOUND : TENON_ERROR_STATE;
  wire::Writer writer;
  writer.put(held);
  const std::string answer = Host::of(host).ask(wire::kUpTaskCancel, {writer.bytes()});
  cancels.fetch_add(1, std::memory_order_acq_rel);
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  if (reader.flag()) end(own);
  return status;
}

bool cancelled(const tenon_host_t* host, uint64_t number) {
  const uint64_t time = now();
  const uint64_t seen = cancels.load(std::memory_order_acquire);
  if (belief.number == number && number != 0 && belief.cancels == seen && time < belief.until) return false;
  uint64_t held = 0;
  if (tasks.own_of(number, held) == 0) return true;
  wire::Writer writer;
  writer.put(held);
  const std::string answer = Host::of(host).ask(wire::kUpTaskCancelled, {writer.bytes()});
  const bool is_cancelled = wire::Reader(answer).flag();
  belief = {is_cancelled ? 0 : number, seen, time + kBelievedNs};
  return is_cancelled;
}

constexpr tenon_host_tasks_t kTasks = {sizeof(tenon_host_tasks_t), submit, once, every, cancel, cancelled};

}  // namespace

const void* tasks_functions() { return &kTasks; }

bool serve_task(uint16_t code, wire::Reader& reader, wire::Writer&) {
  const auto own = reader.get<uint64_t>();
  if (code == wire::kDownEndTask) return end(own), true;
  const auto number = reader.get<uint64_t>();
  tasks.name(own, number, reader.get<uint64_t>());
  if (Task task; tasks.find(own, task)) task.work(task.context, number);
  return true;
}

}  // namespace tenon::runner
