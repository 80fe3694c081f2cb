#include <atomic>
#include <memory>
#include <thread>

#include "services.h"
#include "session.h"
#include "tenon/ext/tasks.h"

namespace tenon::isolated {

namespace {

constexpr Holdings::Kind kTask = wire::kUpTasks;

// A task of a runner, as the host's threads have it.
struct Task {
  std::weak_ptr<Session> session;
  uint64_t own = 0;                        // the runner's number
  uint64_t held = 0;                       // the host's
  std::atomic<uint64_t> number{0};         // the generation's, once it is known
  std::atomic<std::thread::id> canceller;  // who cancels it for the runner, last
  std::atomic<std::thread::id> ended_by;   // the canceller within whose call it was over
};

// What a runner holds of it.
struct HeldTask {
  HeldTask(const Session& session, std::shared_ptr<Task> held)
      : host(session.host()), tasks(session.service<tenon_host_tasks_t>(TENON_TASKS_ID)), task(std::move(held)) {}
  ~HeldTask() {
    if (const uint64_t number = task->number.load(); number != 0) tasks->cancel(&host, number);
  }
  HeldTask(const HeldTask&) = delete;
  HeldTask& operator=(const HeldTask&) = delete;

  const tenon_host_t& host;
  const tenon_host_tasks_t* const tasks;
  const std::shared_ptr<Task> task;
};

using Context = std::shared_ptr<Task>;

// [task] It takes as long as it takes; the end of the process ends it.
void tell(Session& session, uint16_t code, std::string_view numbers) {
  wire::EndlessPatience patience;
  std::string answer;
  if (session.call(code, {numbers}, answer, patience) == wire::Outcome::Done && !answer.empty()) {
    session.kill("answered a task with what is no answer");
  }
}

void run(void* context, uint64_t number) {
  const Context task = *static_cast<Context*>(context);
  task->number.store(number);
  const std::shared_ptr<Session> session = task->session.lock();
  if (!session || session->ended()) return;
  wire::Writer writer;
  writer.put(task->own).put(number).put(task->held);
  tell(*session, wire::kDownRunTask, writer.bytes());
}

void end(void* context) {
  const std::unique_ptr<Context> own(static_cast<Context*>(context));
  Task& task = **own;
  const std::shared_ptr<Session> session = task.session.lock();
  if (!session) return;
  session->holdings.drop(kTask, task.held);
  // The runner asks for its end, and calls the plugin's itself.
  if (task.canceller.load() == std::this_thread::get_id()) return task.ended_by.store(std::this_thread::get_id());
  if (session->ended()) return;
  wire::Writer writer;
  writer.put(task.own);
  tell(*session, wire::kDownEndTask, writer.bytes());
}

void add(Session& session, wire::TaskKind kind, uint64_t ms, uint64_t own, wire::Writer& writer) {
  const auto task = std::make_shared<Task>();
  task->session = session.weak_from_this();
  task->own = own;
  // Held before it can be over.
  const auto held = std::make_shared<HeldTask>(session, task);
  task->held = session.holdings.add(kTask, held);
  auto context = std::make_unique<Context>(task);
  const tenon_host_t* const host = &session.host();
  uint64_t number = 0;
  tenon_status status = TENON_OK;
  if (kind == wire::TaskKind::Now) {
    status = held->tasks->submit(host, run, end, context.get(), &number);
  } else if (kind == wire::TaskKind::Once) {
    status = held->tasks->once(host, ms, run, end, context.get(), &number);
  } else {
    status = held->tasks->every(host, ms, run, end, context.get(), &number);
  }
  if (status == TENON_OK) {
    context.release();
    task->number.store(number);
  } else {
    session.holdings.drop(kTask, task->held);
  }
  writer.put<int32_t>(status).put(number).put(task->held);
}

}  // namespace

bool serve_tasks(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  if (code == wire::kUpTaskAdd) {
    const auto kind = reader.get<uint8_t>();
    const auto ms = reader.get<uint64_t>();
    const auto own = reader.get<uint64_t>();
    if (!reader.ended() || kind > static_cast<uint8_t>(wire::TaskKind::Every)) return false;
    add(session, static_cast<wire::TaskKind>(kind), ms, own, writer);
    return true;
  }
  if (code != wire::kUpTaskCancel && code != wire::kUpTaskCancelled) return false;
  const auto held = session.holdings.find<HeldTask>(kTask, reader.get<uint64_t>());
  if (!reader.ended()) return false;
  const tenon_host_t* const host = &session.host();
  if (code == wire::kUpTaskCancelled) {
    writer.put(!held || held->tasks->cancelled(host, held->task->number.load()));
    return true;
  }
  if (!held) {
    writer.put<int32_t>(TENON_ERROR_NOT_FOUND).put(false);
    return true;
  }
  Task& task = *held->task;
  const std::thread::id self = std::this_thread::get_id();
  task.canceller.store(self);
  const tenon_status status = held->tasks->cancel(host, task.number.load());
  // The last run of a task that cancels itself ends on this very thread, but not in here.
  std::thread::id last = self;
  task.canceller.compare_exchange_strong(last, std::thread::id());
  writer.put<int32_t>(status).put(task.ended_by.load() == self);
  return true;
}

}  // namespace tenon::isolated
