#include <doctest/doctest.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "harness.h"
#include "thread_faults.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

// One event as a text: topic|source|message|key=value…
std::string told(const tenon_event_t& event) {
  std::string text = std::string(core::view(event.topic)) + "|" + std::string(core::view(event.source)) + "|" +
                     std::string(core::view(event.message));
  for (uint32_t index = 0; index < event.field_count; index++) {
    text += "|" + std::string(core::view(event.fields[index].key)) + "=" +
            std::string(core::view(event.fields[index].value));
  }
  return text;
}

// A generation of a plugin that remembers what it is told.
struct Listener {
  explicit Listener(std::vector<std::string> topics) : patterns(std::move(topics)) {
    code.on_event = [this](const tenon_event_t* given, size_t count, uint64_t gone) {
      if (over) late = true;
      while (held) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const std::lock_guard<std::mutex> lock(mutex);
      dropped += gone;
      for (size_t index = 0; index < count; index++) texts.push_back(told(given[index]));
      if (over) late = true;
    };
    code.on_ready = [this] {
      events = static_cast<const tenon_host_events_t*>(code.host->get_extension(code.host, TENON_EVENTS_ID));
      for (const std::string& pattern : patterns) CHECK(subscribe(pattern) == TENON_OK);
    };
  }
  tenon_status subscribe(std::string_view pattern) { return events->subscribe(code.host, bytes(pattern)); }
  tenon_status publish(std::string_view topic, std::string_view payload) {
    return events->publish(code.host, bytes(topic), bytes(payload));
  }
  size_t count() {
    const std::lock_guard<std::mutex> lock(mutex);
    return texts.size();
  }
  std::vector<std::string> all() {
    const std::lock_guard<std::mutex> lock(mutex);
    return texts;
  }

  PluginUnderTest code;
  const std::vector<std::string> patterns;
  const tenon_host_events_t* events = nullptr;
  std::mutex mutex;
  std::vector<std::string> texts;
  uint64_t dropped = 0;
  std::atomic<bool> held{false};
  std::atomic<bool> over{false};
  std::atomic<bool> late{false};
};

std::shared_ptr<core::Generation> serve(FrontUnderTest& front, Listener& listener, const char* id, uint64_t number) {
  core::Plugin& plugin = front->plugin(id);
  if (!plugin.is_open) plugin.open(100);
  std::shared_ptr<core::Generation> generation = front.bring_up(plugin, listener.code, number, "/" + std::string(id));
  REQUIRE(static_cast<bool>(generation));
  plugin.swap(generation->lease());
  return generation;
}

bool delivers(const std::shared_ptr<core::Generation>& generation) {
  return generation->ledger().running == std::vector<std::string>{"on_event"};
}

#if defined(__linux__)
long thread_id() { return syscall(SYS_gettid); }

// Whether the thread waits for something.
bool is_blocked(long id) {
  std::ifstream file("/proc/self/task/" + std::to_string(id) + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  return name_end != std::string::npos && line.compare(name_end, 3, ") S") == 0;
}
#else
long thread_id() { return 1; }

bool is_blocked(long) {
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return true;
}
#endif

void take_down(FrontUnderTest& front, const std::shared_ptr<core::Generation>& generation) {
  if (generation->plugin().live() == generation->lease()) generation->plugin().swap(nullptr);
  generation->retire();
  CHECK(front.take_down(generation));
}

}  // namespace

TEST_CASE("events: reach those who subscribed, in order, and not the one who caused them") {
  FrontUnderTest front;
  Listener one({"shop.*"});
  Listener two({"shop.sold", "other"});
  const auto first = serve(front, one, "one", 1);
  const auto second = serve(front, two, "two", 1);
  Listener source({});
  const auto third = serve(front, source, "source", 1);
  CHECK(source.events->wanted(source.code.host, bytes("shop.sold")));
  CHECK_FALSE(source.events->wanted(source.code.host, bytes("shop")));
  CHECK(two.events->wanted(two.code.host, bytes("shop.sold")));
  CHECK_FALSE(two.events->wanted(two.code.host, bytes("other")));
  CHECK(source.publish("shop.sold", "1") == TENON_OK);
  CHECK(source.publish("shop.bought", "2") == TENON_OK);
  CHECK(source.publish("other", "3") == TENON_OK);
  CHECK(one.publish("shop.sold", "4") == TENON_OK);
  CHECK(front.until([&] { return one.count() == 2 && two.count() == 3; }));
  CHECK(one.all() == std::vector<std::string>{"shop.sold|source|1", "shop.bought|source|2"});
  CHECK(two.all() == std::vector<std::string>{"shop.sold|source|1", "other|source|3", "shop.sold|one|4"});
  CHECK(one.events->unsubscribe(one.code.host, bytes("shop.*")) == TENON_OK);
  CHECK(one.events->unsubscribe(one.code.host, bytes("shop.*")) == TENON_ERROR_NOT_FOUND);
  CHECK(source.publish("shop.sold", "5") == TENON_OK);
  CHECK(front.until([&] { return two.count() == 4; }));
  CHECK(one.count() == 2);
  for (const auto& generation : {third, second, first}) take_down(front, generation);
}

TEST_CASE("events: what breaks the rules is refused") {
  FrontUnderTest front;
  Listener listener({});
  core::Plugin& plugin = front->plugin("one");
  plugin.open(1);
  const auto generation = front.bring_up(plugin, listener.code, 1);
  for (const char* topic : {"", "tenon.log", "A", "a b", "a*"})
    CHECK(listener.publish(topic, "") == TENON_ERROR_ARGUMENT);
  CHECK(listener.publish(std::string(128, 'a'), "") == TENON_ERROR_ARGUMENT);
  CHECK(listener.publish("a", std::string(TENON_EVENT_LIMIT, 'x')) == TENON_ERROR_TOO_LARGE);
  CHECK(listener.publish("a", std::string(TENON_EVENT_LIMIT - 1, 'x')) == TENON_OK);
  for (const char* pattern : {"", "a*b", "**", "A*"}) CHECK(listener.subscribe(pattern) == TENON_ERROR_ARGUMENT);
  for (int number = 0; number < 64; number++) CHECK(listener.subscribe("t" + std::to_string(number)) == TENON_OK);
  CHECK(listener.subscribe("t1") == TENON_OK);
  CHECK(listener.subscribe("one.more") == TENON_ERROR_TOO_LARGE);
  tenon_span_t span = {sizeof(tenon_span_t), bytes(""), 1, 2, nullptr, 0};
  CHECK(listener.events->span(listener.code.host, &span) == TENON_ERROR_ARGUMENT);
  Listener deaf({});
  deaf.code.on_event = nullptr;
  const auto other = serve(front, deaf, "deaf", 1);
  CHECK(deaf.subscribe("a") == TENON_ERROR_UNSUPPORTED);
  take_down(front, other);
  CHECK(front.perform(generation, core::Step::Shutdown));
  CHECK(listener.publish("a", "") == TENON_ERROR_STATE);
  CHECK(listener.subscribe("a") == TENON_ERROR_STATE);
  take_down(front, generation);
}

TEST_CASE("events: what happens before anybody subscribes is kept for the first who does") {
  FrontUnderTest front;
  Listener source({});
  source.code.on_initialize = [&]() -> tenon_status {
    const tenon_host_t* const host = source.code.host;
    const auto* const log = static_cast<const tenon_host_log_t*>(host->get_extension(host, TENON_LOG_ID));
    const tenon_log_field_t field = {bytes("shelf"), bytes("3")};
    log->write(host, TENON_LOG_INFO, bytes("initialize"), &field, 1);
    return TENON_OK;
  };
  const auto first = serve(front, source, "source", 1);
  tenon_span_t span = {sizeof(tenon_span_t), bytes("work"), 1, 2, nullptr, 0};
  CHECK(source.events->span(source.code.host, &span) == TENON_OK);
  for (size_t number = 0; number < core::EventBus::kEarly; number++) source.publish("n", std::to_string(number));
  Listener listener({"tenon.*", "n"});
  const auto second = serve(front, listener, "listener", 1);
  CHECK(front.until([&] { return listener.count() == core::EventBus::kEarly; }));
  CHECK(listener.all().back() == "n|source|4095");
  // The oldest have gone, two for two, and are counted.
  {
    const std::lock_guard<std::mutex> lock(listener.mutex);
    CHECK(listener.dropped == 2);
  }
  CHECK(front->events()
            .metrics_text(core::Exposition::Prometheus)
            .find("tenon_plugin_events_dropped_total{plugin=\"listener\"} 2\n") != std::string::npos);
  CHECK(listener.all().front() == "n|source|0");
  CHECK(source.publish("n", "more") == TENON_OK);
  CHECK(front.until([&] { return listener.all().back() == "n|source|more"; }));
  take_down(front, second);
  take_down(front, first);
}

TEST_CASE("events: of those that went before anybody subscribed, those are counted that would have been wanted") {
  FrontUnderTest front;
  Listener source({});
  const auto first = serve(front, source, "source", 1);
  for (int number = 0; number < 3; number++) source.publish("n.1", "gone");
  for (int number = 0; number < 4; number++) source.publish("other", "gone");
  Listener listener({"n.*"});
  listener.code.on_initialize = [&]() -> tenon_status {
    const tenon_host_t* const host = listener.code.host;
    const auto* const log = static_cast<const tenon_host_log_t*>(host->get_extension(host, TENON_LOG_ID));
    for (size_t number = 0; number < core::EventBus::kEarly; number++) {
      log->write(host, TENON_LOG_INFO, bytes("its own"), nullptr, 0);
    }
    return TENON_OK;
  };
  const auto second = serve(front, listener, "listener", 1);
  CHECK(front->events().subscriber(second->plugin())->dropped() == 3);
  source.publish("n.2", "here");
  CHECK(front.until([&] { return listener.count() == 1; }));
  {
    const std::lock_guard<std::mutex> lock(listener.mutex);
    CHECK(listener.dropped == 3);
  }
  take_down(front, second);
  take_down(front, first);
}

TEST_CASE("events: records of the log, spans and requests are events; a request is told of once") {
  FrontUnderTest front;
  Listener listener({"tenon.*"});
  const auto second = serve(front, listener, "listener", 1);
  Listener source({});
  for (const uint32_t execution : {TENON_EXECUTION_INLINE, TENON_EXECUTION_POOL}) {
    source.code.route(TENON_HTTP_GET, execution == TENON_EXECUTION_POOL ? "/pool/:id" : "/inline/:id", execution,
                      [](auto& http, auto*, auto* response) -> tenon_status { return http.set_status(response, 201); });
  }
  std::atomic<bool> leave{false};
  source.code.route(
      TENON_HTTP_GET, "/late", TENON_EXECUTION_POOL,
      [&](auto&, auto*, auto*) -> tenon_status {
        while (!leave) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return TENON_OK;
      },
      20);
  const auto first = serve(front, source, "source", 1);
  core::Plugin& plugin = first->plugin();
  const tenon_host_t* const host = source.code.host;
  const auto* const log = static_cast<const tenon_host_log_t*>(host->get_extension(host, TENON_LOG_ID));
  const tenon_log_field_t field = {bytes("shelf"), bytes("3")};
  log->write(host, TENON_LOG_INFO, bytes("it is empty"), &field, 1);
  const tenon_span_t span = {sizeof(tenon_span_t), bytes("work"), 1, 2, &field, 1};
  CHECK(source.events->span(host, &span) == TENON_OK);
  CHECK(front.ask(front.slot(plugin, "GET", "/source/inline/:id"), "/source/inline/7?q=1").status == 201);
  CHECK(front.ask(front.slot(plugin, "GET", "/source/pool/:id"), "/source/pool/8").status == 201);
  CHECK(front.ask(front.slot(plugin, "GET", "/source/late"), "/source/late").status == 504);
  leave = true;
  CHECK(front.until([&] { return first->lease()->count == 0; }));
  CHECK(front.ask(front.slot(plugin, "GET", "/gone"), "/gone").status == 404);
  CHECK(front.until([&] { return listener.count() == 6; }));
  CHECK(listener.all() ==
        std::vector<std::string>{"tenon.log|source|it is empty|shelf=3", "tenon.span|source|work|shelf=3",
                                 "tenon.request|source|GET /source/inline/7|request_id=test-1|route=/source/inline/:id",
                                 "tenon.request|source|GET /source/pool/8|request_id=test-2|route=/source/pool/:id",
                                 "tenon.request|source|GET /source/late|request_id=test-3|route=/source/late",
                                 "tenon.request|source|GET /gone|request_id=test-4"});
  take_down(front, first);
  take_down(front, second);
}

TEST_CASE("events: past the bounds of a queue they are dropped and counted, and publishing goes on") {
  FrontUnderTest front;
  Listener listener({"n"});
  const auto first = serve(front, listener, "listener", 1);
  Listener source({});
  const auto second = serve(front, source, "source", 1);
  listener.held = true;
  source.publish("n", "first");
  core::EventBus& bus = front->events();
  CHECK(front.until([&] { return delivers(first); }));
  const auto& queue = *bus.subscriber(first->plugin());
  const size_t sent = TENON_EVENTS_QUEUE + 5000;
  for (size_t number = 0; number < sent; number++) CHECK(source.publish("n", std::to_string(number)) == TENON_OK);
  CHECK(queue.queued() <= TENON_EVENTS_QUEUE);
  const uint64_t dropped = queue.dropped();
  CHECK(dropped >= 5000);
  listener.held = false;
  CHECK(front.until([&] { return listener.count() == sent + 1 - dropped; }));
  {
    const std::lock_guard<std::mutex> lock(listener.mutex);
    CHECK(listener.dropped == dropped);
  }
  // Large ones are bound by their bytes.
  CHECK(front.until([&] { return !delivers(first); }));
  listener.held = true;
  source.publish("n", "again");
  CHECK(front.until([&] { return delivers(first); }));
  const std::string large(60'000, 'x');
  for (int number = 0; number < 1000; number++) source.publish("n", large);
  CHECK(queue.queued() < TENON_EVENTS_QUEUE_BYTES / large.size() + 1);
  CHECK(queue.queued() > 500);
  listener.held = false;
  take_down(front, second);
  take_down(front, first);
}

TEST_CASE("events: one that is published as its subscription is made is not taken for one of before") {
  using Patterns = std::vector<std::string>;
  core::Subscriber queue;
  const auto push = [&queue](std::string_view topic) {
    core::EventParts parts;
    parts.topic = topic;
    queue.push(core::Event::make(parts, TENON_EVENT_LIMIT));
  };
  std::vector<std::shared_ptr<const core::Event>> batch;
  uint64_t dropped = 0;
  push("old");
  queue.take(
      [&] {
        push("new");
        return std::make_shared<const Patterns>(Patterns{"old"});
      },
      10, batch, dropped);
  CHECK(batch.size() == 1);
  CHECK(queue.queued() == 1);
  const auto both = [] { return std::make_shared<const Patterns>(Patterns{"old", "new"}); };
  queue.take(both, 10, batch, dropped);
  REQUIRE(batch.size() == 2);
  CHECK(core::view(batch[1]->view().topic) == "new");
  // Whose place another has taken leaves all to it.
  push("new");
  queue.take([] { return nullptr; }, 10, batch, dropped);
  CHECK(batch.size() == 2);
  CHECK(queue.has_some());
  queue.take(both, 10, batch, dropped);
  CHECK(batch.size() == 3);
}

TEST_CASE("events: who publishes waits for no change of a subscription, nor for who takes events") {
  FrontUnderTest front;
  Listener listener({"n"});
  const auto first = serve(front, listener, "listener", 1);
  Listener source({});
  const auto second = serve(front, source, "source", 1);
  std::atomic<long> changing{0};
  std::atomic<int> published{0};
  std::thread changer;
  std::thread publisher;
  {
    // A change of its subscription waits for the queue.
    const std::lock_guard<std::mutex> lock(front->events().subscriber(first->plugin())->mutex);
    changer = std::thread([&] {
      changing = thread_id();
      first->serve();
    });
    publisher = std::thread([&] {
      while (changing == 0 || !is_blocked(changing)) std::this_thread::yield();
      for (; published < 50; published++) {
        CHECK(source.publish("other", "for nobody") == TENON_OK);
      }
    });
    CHECK(front.until([&] { return published == 50; }));
    CHECK(is_blocked(changing));
  }
  changer.join();
  publisher.join();
  take_down(front, second);
  take_down(front, first);
}

TEST_CASE("events: what nobody asks for any more is thrown away in parts, and what follows is told of") {
  FrontUnderTest front;
  Listener listener({"a", "b"});
  const auto first = serve(front, listener, "listener", 1);
  Listener source({});
  const auto second = serve(front, source, "source", 1);
  listener.held = true;
  source.publish("b", "first");
  CHECK(front.until([&] { return delivers(first); }));
  for (int number = 0; number < 50'000; number++) source.publish("a", "unwanted");
  source.publish("b", "last");
  CHECK(listener.events->unsubscribe(listener.code.host, bytes("a")) == TENON_OK);
  listener.held = false;
  CHECK(front.until([&] { return listener.count() == 2; }));
  CHECK(listener.all() == std::vector<std::string>{"b|source|first", "b|source|last"});
  const auto& queue = *front->events().subscriber(first->plugin());
  CHECK(front.until([&] { return queue.queued() == 0; }));
  take_down(front, second);
  take_down(front, first);
}

TEST_CASE("events: wait as long as no thread can be started for them, and the log says so") {
  if (!NoThreads::kPossible) return;
  FrontUnderTest front;
  Listener source({});
  const auto first = serve(front, source, "source", 1);
  Listener listener({"n"});
  core::Plugin& plugin = front->plugin("listener");
  plugin.open(100);
  const auto second = front.bring_up(plugin, listener.code, 1, "/listener");
  REQUIRE(static_cast<bool>(second));
  {
    const NoThreads none;
    plugin.swap(second->lease());
    const auto records = front->log().take();
    REQUIRE(records.size() == 1);
    CHECK(records[0]->message == "no thread could be started for events of listener, generation 1: it is tried again");
    source.publish("n", "1");
    CHECK(front->events().subscriber(plugin)->queued() == 1);
  }
  CHECK(front.until([&] { return listener.count() == 1; }));
  take_down(front, second);
  take_down(front, first);
}

TEST_CASE("events: over many reloads none is lost, none comes twice, none comes to a generation that is gone") {
  FrontUnderTest front;
  Listener source({});
  const auto speaking = serve(front, source, "source", 1);
  std::vector<std::unique_ptr<Listener>> lives;
  lives.push_back(std::make_unique<Listener>(std::vector<std::string>{"n"}));
  std::shared_ptr<core::Generation> live = serve(front, *lives.back(), "listener", 1);
  std::atomic<bool> enough{false};
  size_t sent[2] = {0, 0};
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 2; thread++) {
    threads.emplace_back([&, thread] {
      while (!enough) {
        source.publish("n", std::to_string(thread) + "." + std::to_string(sent[thread]++));
        if (sent[thread] % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(500));
      }
    });
  }
  for (uint64_t number = 2; number <= 40; number++) {
    lives.push_back(std::make_unique<Listener>(std::vector<std::string>{"n"}));
    std::shared_ptr<core::Generation> next;
    if (number % 2 == 0) {
      next = serve(front, *lives.back(), "listener", number);
      live->retire();
      CHECK(front.perform(live, core::Step::Drain));
    } else {
      core::Plugin& plugin = live->plugin();
      plugin.hold();
      plugin.swap(nullptr);
      CHECK(front.perform(live, core::Step::Drain));
      if (number % 3 == 0) {
        plugin.swap(live->lease());
        CHECK(front.until(
            [&, before = lives[lives.size() - 2]->count()] { return lives[lives.size() - 2]->count() > before; }));
        plugin.swap(nullptr);
        CHECK(front.perform(live, core::Step::Drain));
      }
      next = serve(front, *lives.back(), "listener", number);
      for (core::Call* call : plugin.release()) core::resend(*call);
      live->retire();
    }
    CHECK(front.perform(live, core::Step::Shutdown));
    lives[lives.size() - 2]->over = true;
    CHECK(front.take_down(live));
    live = std::move(next);
  }
  enough = true;
  for (std::thread& thread : threads) thread.join();
  std::vector<std::string> all;
  CHECK(front.until([&] {
    all.clear();
    for (const auto& life : lives) {
      const std::vector<std::string> some = life->all();
      all.insert(all.end(), some.begin(), some.end());
    }
    return all.size() >= sent[0] + sent[1];
  }));
  CHECK(all.size() == sent[0] + sent[1]);
  for (const auto& life : lives) {
    CHECK_FALSE(life->late);
    // Of one thread in the order in which it published them.
    long last[2] = {-1, -1};
    for (const std::string& text : life->all()) {
      const size_t thread = text[std::string("n|source|").size()] == '0' ? 0 : 1;
      const long number = std::stol(text.substr(text.find('.') + 1));
      CHECK(number > last[thread]);
      last[thread] = number;
    }
  }
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  take_down(front, live);
  take_down(front, speaking);
}

TEST_CASE("events: a subscriber that is closed is forgotten, with what waited for it") {
  FrontUnderTest front;
  Listener listener({"n"});
  const auto first = serve(front, listener, "listener", 1);
  Listener source({});
  const auto second = serve(front, source, "source", 1);
  core::Plugin& plugin = first->plugin();
  take_down(front, first);
  source.publish("n", "for nobody");
  CHECK(front->events().subscriber(plugin)->queued() == 1);
  front->forget(plugin);
  CHECK_FALSE(source.events->wanted(source.code.host, bytes("n")));
  Listener again({"n"});
  const auto third = serve(front, again, "listener", 2);
  source.publish("n", "for it");
  CHECK(front.until([&] { return again.count() == 1; }));
  CHECK(again.all().front() == "n|source|for it");
  take_down(front, third);
  take_down(front, second);
}

TEST_CASE("events: who does not return from on_event is waited for, and named") {
  FrontUnderTest front;
  Listener listener({"n"});
  const auto first = serve(front, listener, "listener", 1);
  Listener source({});
  const auto second = serve(front, source, "source", 1);
  listener.held = true;
  source.publish("n", "1");
  CHECK(front.until([&] { return delivers(first); }));
  first->plugin().swap(nullptr);
  first->retire();
  CHECK_FALSE(front.perform(first, core::Step::Drain, 30));
  CHECK(first->ledger().running == std::vector<std::string>{"on_event"});
  listener.held = false;
  take_down(front, first);
  take_down(front, second);
}
