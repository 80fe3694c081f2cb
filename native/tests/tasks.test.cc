#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "harness.h"
#include "tenon/ext/tasks.h"
#include "thread_faults.h"
#include "thread_visits.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

struct Counted {
  std::atomic<int> runs{0};
  std::atomic<int> ends{0};
  std::atomic<bool> leave{true};
  std::function<void(uint64_t)> within;
};

void run(void* context, uint64_t task) {
  Counted& counted = *static_cast<Counted*>(context);
  counted.runs++;
  if (counted.within) counted.within(task);
  while (!counted.leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void end(void* context) { static_cast<Counted*>(context)->ends++; }

// A plugin that serves, and what it does to get tasks.
struct TasksUnderTest {
  TasksUnderTest() {
    plugin.open(100);
    code.on_initialize = [this]() -> tenon_status {
      tasks = static_cast<const tenon_host_tasks_t*>(code.host->get_extension(code.host, TENON_TASKS_ID));
      early = tasks->submit(code.host, run, end, &never, nullptr);
      return TENON_OK;
    };
    generation = front.bring_up(plugin, code, 1);
    REQUIRE(static_cast<bool>(generation));
  }
  ~TasksUnderTest() { CHECK(front.take_down(generation)); }
  void serve() { plugin.swap(generation->lease()); }
  void stop() {
    plugin.swap(nullptr);
    generation->retire();
  }
  uint64_t submit(Counted& counted) {
    uint64_t number = 0;
    CHECK(tasks->submit(code.host, run, end, &counted, &number) == TENON_OK);
    return number;
  }

  Counted never;
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  PluginUnderTest code;
  const tenon_host_tasks_t* tasks = nullptr;
  tenon_status early = TENON_OK;
  std::shared_ptr<core::Generation> generation;
};

}  // namespace

TEST_CASE("tasks: may be begun from ready on, and run once the generation serves") {
  TasksUnderTest test;
  CHECK(test.early == TENON_ERROR_STATE);
  Counted counted;
  CHECK(test.submit(counted) == 1);
  CHECK(test.submit(counted) == 2);
  CHECK(test.generation->threads_alive() == 1);
  CHECK(counted.runs == 0);
  test.serve();
  CHECK(test.front.until([&] { return counted.ends == 2; }));
  CHECK(counted.runs == 2);
  test.stop();
  CHECK(test.never.runs == 0);
}

TEST_CASE("tasks: on two threads at most, one that repeats never twice at once") {
  TasksUnderTest test;
  Counted counted;
  std::atomic<int> within{0};
  std::atomic<int> most{0};
  counted.within = [&](uint64_t) {
    const int count = ++within;
    int known = most;
    while (known < count && !most.compare_exchange_weak(known, count)) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    within--;
  };
  Counted alone;
  std::atomic<int> inside{0};
  alone.within = [&](uint64_t) {
    CHECK(++inside == 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    inside--;
  };
  test.serve();
  for (int count = 0; count < 20; count++) test.submit(counted);
  uint64_t number = 0;
  CHECK(test.tasks->every(test.code.host, 1, run, end, &alone, &number) == TENON_OK);
  CHECK(test.front.until([&] { return counted.ends == 20 && alone.runs > 5; }));
  CHECK(most <= 2);
  CHECK(test.generation->threads_alive() == 3);
  CHECK(test.tasks->cancel(test.code.host, number) == TENON_OK);
  CHECK(test.front.until([&] { return alone.ends == 1; }));
  test.stop();
}

TEST_CASE("tasks: a delay is waited for, and what is due first runs first") {
  TasksUnderTest test;
  test.serve();
  std::mutex mutex;
  std::vector<int> order;
  Counted late;
  Counted soon;
  const uint64_t began = core::now();
  std::atomic<uint64_t> ran{0};
  late.within = [&](uint64_t) {
    const std::lock_guard<std::mutex> lock(mutex);
    order.push_back(2);
  };
  soon.within = [&](uint64_t) {
    ran = core::now();
    const std::lock_guard<std::mutex> lock(mutex);
    order.push_back(1);
  };
  CHECK(test.tasks->once(test.code.host, 60, run, end, &late, nullptr) == TENON_OK);
  CHECK(test.tasks->once(test.code.host, 20, run, end, &soon, nullptr) == TENON_OK);
  CHECK(test.front.until([&] { return late.ends == 1 && soon.ends == 1; }));
  CHECK(ran - began >= core::milliseconds(20));
  CHECK(order == std::vector<int>{1, 2});
  test.stop();
}

TEST_CASE("tasks: one that waits is cancelled within the call, one that runs is told") {
  TasksUnderTest test;
  Counted waiting;
  const uint64_t number = test.submit(waiting);
  CHECK(test.tasks->cancel(test.code.host, number) == TENON_OK);
  CHECK(waiting.ends == 1);
  CHECK(test.tasks->cancel(test.code.host, number) == TENON_ERROR_NOT_FOUND);
  CHECK(test.tasks->cancelled(test.code.host, number));

  Counted running;
  running.within = [&](uint64_t task) {
    while (!test.tasks->cancelled(test.code.host, task)) std::this_thread::yield();
  };
  test.serve();
  const uint64_t second = test.submit(running);
  CHECK(test.front.until([&] { return running.runs == 1; }));
  CHECK(running.ends == 0);
  CHECK(test.tasks->cancel(test.code.host, second) == TENON_OK);
  CHECK(test.front.until([&] { return running.ends == 1; }));
  CHECK(waiting.runs == 0);
  test.stop();
}

TEST_CASE("tasks: pause while the generation hands over, and one that runs is waited for") {
  TasksUnderTest test;
  Counted running;
  running.leave = false;
  Counted waiting;
  test.serve();
  const uint64_t number = test.submit(running);
  CHECK(test.front.until([&] { return running.runs == 1; }));
  CHECK(test.generation->lease()->count == 1);
  test.plugin.hold();
  test.plugin.swap(nullptr);
  CHECK_FALSE(test.front.perform(test.generation, core::Step::Drain, 30));
  CHECK(test.tasks->cancelled(test.code.host, number));
  CHECK(test.generation->ledger().running == std::vector<std::string>{"task 1"});
  test.submit(waiting);
  running.leave = true;
  CHECK(test.front.perform(test.generation, core::Step::Drain, 5000));
  CHECK(waiting.runs == 0);
  test.serve();
  for (core::Call* call : test.plugin.release()) core::resend(*call);
  CHECK(test.front.until([&] { return waiting.ends == 1; }));
  test.stop();
}

TEST_CASE("tasks: what has not run is ended once, at shutdown, and nothing is allowed after that") {
  Counted counted;
  const tenon_host_tasks_t* tasks = nullptr;
  const tenon_host_t* host = nullptr;
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(100);
  PluginUnderTest code;
  const auto generation = front.bring_up(plugin, code, 1);
  host = code.host;
  tasks = static_cast<const tenon_host_tasks_t*>(host->get_extension(host, TENON_TASKS_ID));
  plugin.swap(generation->lease());
  uint64_t number = 0;
  CHECK(tasks->once(host, 3'600'000, run, end, &counted, &number) == TENON_OK);
  CHECK(tasks->every(host, TENON_TASKS_DELAY_MS, run, end, &counted, nullptr) == TENON_OK);
  CHECK(generation->ledger().timers == 2);
  plugin.swap(nullptr);
  generation->retire();
  CHECK(tasks->submit(host, run, end, &counted, nullptr) == TENON_OK);
  CHECK(front.perform(generation, core::Step::Drain));
  CHECK(front.perform(generation, core::Step::Shutdown));
  CHECK(counted.ends == 3);
  CHECK(tasks->submit(host, run, end, &counted, nullptr) == TENON_ERROR_STATE);
  CHECK(front.perform(generation, core::Step::Destroy));
  CHECK(front.perform(generation, core::Step::Stop));
  CHECK(generation->threads_alive() == 0);
  generation->close();
  CHECK(tasks->submit(host, run, end, &counted, nullptr) == TENON_ERROR_STATE);
  CHECK(tasks->cancel(host, number) == TENON_ERROR_STATE);
  CHECK(tasks->cancelled(host, number));
  CHECK(counted.ends == 3);
  CHECK(counted.runs == 0);
}

TEST_CASE("tasks: bounds are kept") {
  TasksUnderTest test;
  Counted counted;
  CHECK(test.tasks->submit(test.code.host, nullptr, end, &counted, nullptr) == TENON_ERROR_ARGUMENT);
  CHECK(test.tasks->every(test.code.host, 0, run, end, &counted, nullptr) == TENON_ERROR_ARGUMENT);
  CHECK(test.tasks->once(test.code.host, TENON_TASKS_DELAY_MS + 1, run, end, &counted, nullptr) ==
        TENON_ERROR_ARGUMENT);
  for (uint32_t count = 0; count < TENON_TASKS_LIMIT; count++) test.submit(counted);
  CHECK(test.tasks->submit(test.code.host, run, end, &counted, nullptr) == TENON_ERROR_TOO_LARGE);
  CHECK(counted.ends == 0);
  test.serve();
  CHECK(test.front.until([&] { return counted.ends == static_cast<int>(TENON_TASKS_LIMIT); }));
  test.stop();
}

TEST_CASE("tasks: while no thread can be started they are refused or wait, and the log says so once") {
  if (!NoThreads::kPossible) return;
  TasksUnderTest test;
  Counted early;
  Counted refused;
  {
    const NoThreads none;
    test.submit(early);
    test.serve();
    CHECK(test.tasks->submit(test.code.host, run, end, &refused, nullptr) == TENON_ERROR_MEMORY);
    CHECK(test.tasks->once(test.code.host, 1, run, end, &refused, nullptr) == TENON_ERROR_MEMORY);
    const auto records = test.front->log().take();
    REQUIRE(records.size() == 1);
    CHECK(records[0]->plugin == "test");
    CHECK(records[0]->level == TENON_LOG_ERROR);
    CHECK(records[0]->message == "no thread could be started for tasks of test, generation 1: it is tried again");
    CHECK(early.runs == 0);
  }
  CHECK(test.front.until([&] { return early.ends == 1; }));
  CHECK(refused.runs == 0);
  CHECK(refused.ends == 0);
  CHECK(test.front->log().take().empty());
  test.stop();
}

TEST_CASE("tasks: at any moment of many reloads none runs in a generation that has been taken down") {
  struct Life {
    PluginUnderTest code;
    std::atomic<bool> over{false};
    std::atomic<bool> late{false};
    std::atomic<int> runs{0};
    std::atomic<int> ends{0};
  };
  const auto work = [](void* context, uint64_t) {
    Life& life = *static_cast<Life*>(context);
    if (life.over) life.late = true;
    life.runs++;
  };
  const auto over = [](void* context) {
    Life& life = *static_cast<Life*>(context);
    if (life.over) life.late = true;
    life.ends++;
  };
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(100);
  std::vector<std::unique_ptr<Life>> lives;
  std::shared_ptr<core::Generation> live;
  for (uint64_t number = 1; number <= 40; number++) {
    lives.push_back(std::make_unique<Life>());
    Life& life = *lives.back();
    std::shared_ptr<core::Generation> next = front.bring_up(plugin, life.code, number);
    const tenon_host_t* const host = life.code.host;
    const auto* const tasks = static_cast<const tenon_host_tasks_t*>(host->get_extension(host, TENON_TASKS_ID));
    for (int count = 0; count < 20; count++) {
      CHECK(tasks->submit(host, work, over, &life, nullptr) == TENON_OK);
      CHECK(tasks->every(host, 1, work, over, &life, nullptr) == TENON_OK);
      CHECK(tasks->once(host, static_cast<uint64_t>(count), work, over, &life, nullptr) == TENON_OK);
    }
    plugin.swap(next->lease());
    if (number % 3 == 0) CHECK(front.until([&] { return life.runs > 5; }));
    if (live) {
      Life& former = *lives[lives.size() - 2];
      live->retire();
      CHECK(front.perform(live, core::Step::Drain));
      CHECK(front.perform(live, core::Step::Shutdown));
      former.over = true;
      CHECK(former.ends == 60);
      CHECK(front.perform(live, core::Step::Destroy));
      CHECK(front.perform(live, core::Step::Stop));
      live->close();
    }
    live = std::move(next);
  }
  plugin.swap(nullptr);
  CHECK(front.take_down(live));
  for (const auto& life : lives) {
    CHECK_FALSE(life->late);
    CHECK(life->ends == 60);
  }
}

TEST_CASE("tasks: a thread that has run the code of another generation ends before that one, and is replaced") {
  TasksUnderTest test;
  core::Plugin& other = test.front->plugin("other");
  other.open(1);
  PluginUnderTest code;
  const auto foreign = test.front.bring_up(other, code, 1, "/other");
  Counted visiting;
  visiting.within = [&](uint64_t) { core::ThreadVisits::current()->visit(*foreign); };
  test.serve();
  test.submit(visiting);
  CHECK(test.front.until([&] { return visiting.ends == 1; }));
  CHECK(core::visitors_of(*foreign) == 1);
  CHECK(test.front.take_down(foreign));
  CHECK(core::visitors_of(*foreign) == 0);
  Counted later;
  test.submit(later);
  CHECK(test.front.until([&] { return later.ends == 1; }));
  test.stop();
}

TEST_CASE("tasks: what the host owes a plugin runs also while its tasks pause") {
  TasksUnderTest test;
  core::Lease& lease = *test.generation->lease();
  lease.count++;
  static std::atomic<int> paid{0};
  paid = 0;
  struct Debt {
    core::Generation* generation;
    core::Plugin* plugin;
  } debt = {test.generation.get(), &test.plugin};
  CHECK(test.generation->owe(
      [](void* context) {
        Debt& own = *static_cast<Debt*>(context);
        paid++;
        own.plugin->leave(*own.generation->lease());
      },
      &debt));
  CHECK(test.front.perform(test.generation, core::Step::Drain));
  CHECK(paid == 1);
}
