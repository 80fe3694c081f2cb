#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "harness.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

struct World {
  World() : plugin(front->plugin("test")) { plugin.open(100); }
  void live() {
    generation = front.bring_up(plugin, code, 1);
    REQUIRE(static_cast<bool>(generation));
    plugin.swap(generation->lease());
  }
  ~World() {
    if (!generation) return;
    plugin.swap(nullptr);
    CHECK(front.take_down(generation));
    CHECK(front->pending() == 0);
    CHECK(code.destroyed == 1);
  }
  uint32_t slot(const char* method, const std::string& pattern) {
    return front.slot(plugin, method, "/test" + pattern);
  }

  FrontUnderTest front;
  core::Plugin& plugin;
  PluginUnderTest code;
  std::shared_ptr<core::Generation> generation;
};

// Holds handlers back until the test lets them go.
class Door {
 public:
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    waiting++;
    opened_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  std::atomic<int> waiting{0};

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

}  // namespace

TEST_CASE("an inline call is answered at once, on the front's thread") {
  World world;
  std::thread::id thread;
  world.code.route(TENON_HTTP_GET, "/now", TENON_EXECUTION_INLINE,
                   [&](auto& http, auto*, auto* response) -> tenon_status {
                     thread = std::this_thread::get_id();
                     http.set_header(response, bytes("content-type"), bytes("text/plain"));
                     return http.set_body(response, bytes("now"));
                   });
  world.live();
  const Answer answer = world.front.ask(world.slot("GET", "/now"), "/test/now");
  CHECK(answer.outcome == core::Outcome::Response);
  CHECK(answer.body == "now");
  CHECK(answer.headers == "content-type\ntext/plain\n");
  CHECK(answer.generation == 1);
  CHECK((thread == std::this_thread::get_id()));
}

TEST_CASE("a pool call sees path, parameters, query, headers and body as they were sent") {
  World world;
  world.code.route(TENON_HTTP_POST, "/items/:id/*", TENON_EXECUTION_POOL,
                   [](auto& http, auto* request, auto* response) -> tenon_status {
                     std::string seen;
                     tenon_bytes_t value = {nullptr, 0};
                     const auto add = [&](bool found) { seen += (found ? std::string(core::view(value)) : "-") + "|"; };
                     value = http.path(request);
                     add(true);
                     value = http.query(request);
                     add(true);
                     add(http.param(request, bytes("id"), &value));
                     add(http.param(request, bytes("*"), &value));
                     add(http.query_value(request, bytes("a b"), &value));
                     add(http.query_value(request, bytes("none"), &value));
                     add(http.header(request, bytes("X-TWO"), &value));
                     add(http.header(request, bytes("x"), &value));
                     value = http.body(request);
                     add(true);
                     seen += std::to_string(http.header_count(request)) + "|" +
                             std::to_string(http.time_left_ms(request) > 0);
                     return http.set_body(response, bytes(seen));
                   });
  world.live();
  const Answer answer = world.front.ask(world.slot("POST", "/items/:id/*"), "/test/items/a%2Fb/c/d?x=1&a+b=c%20d",
                                        "x-one\n1\nx-two\n2", "the body");
  CHECK(answer.body == "/test/items/a%2Fb/c/d|x=1&a+b=c%20d|a/b|c/d|c d|-|2|-|the body|2|1");
}

TEST_CASE("a deferred call is completed by another thread") {
  World world;
  std::thread later;
  for (const uint32_t execution : {TENON_EXECUTION_POOL, TENON_EXECUTION_INLINE}) {
    world.code.route(TENON_HTTP_GET, execution == TENON_EXECUTION_POOL ? "/pool" : "/inline", execution,
                     [&](auto& http, auto*, auto* response) -> tenon_status {
                       http.defer(response);
                       later = std::thread([&http, response] {
                         http.set_body(response, bytes("later"));
                         http.complete(response, TENON_OK);
                       });
                       return TENON_OK;
                     });
  }
  world.live();
  for (const char* pattern : {"/pool", "/inline"}) {
    CHECK(world.front.ask(world.slot("GET", pattern), std::string("/test") + pattern).body == "later");
    later.join();
  }
}

TEST_CASE("borrowed headers are fetched once, when they are asked for, and before the call outlives who lent them") {
  World world;
  std::thread later;
  std::string seen;
  const auto read = [&seen](auto& http, auto* request) {
    tenon_bytes_t value = {nullptr, 0};
    if (http.header(request, bytes("a"), &value)) seen += core::view(value);
  };
  world.code.route(TENON_HTTP_GET, "/blind", TENON_EXECUTION_INLINE,
                   [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; });
  world.code.route(TENON_HTTP_GET, "/twice", TENON_EXECUTION_INLINE,
                   [&](auto& http, auto* request, auto*) -> tenon_status {
                     read(http, request);
                     read(http, request);
                     return TENON_OK;
                   });
  world.code.route(TENON_HTTP_GET, "/later", TENON_EXECUTION_INLINE,
                   [&](auto& http, auto* request, auto* response) -> tenon_status {
                     http.defer(response);
                     later = std::thread([&, request, response] {
                       read(http, request);
                       http.complete(response, TENON_OK);
                     });
                     return TENON_OK;
                   });
  world.code.route(TENON_HTTP_GET, "/pool", TENON_EXECUTION_POOL,
                   [&](auto& http, auto* request, auto*) -> tenon_status {
                     read(http, request);
                     return TENON_OK;
                   });
  world.live();
  const auto fetches = [&](const char* pattern) {
    seen.clear();
    std::pair<int, bool> lent = {0, true};
    core::Call& call = *world.front->take(*world.front->slot_at(world.slot("GET", pattern)));
    call.request.url().assign("/test");
    call.request.borrow_headers(
        [](void* context, core::ByteBuffer& block) {
          auto& [count, valid] = *static_cast<std::pair<int, bool>*>(context);
          CHECK(valid);
          count++;
          block.assign("a\n1");
        },
        &lent);
    if (world.front->send(call)) world.front->recycle(call);
    lent.second = false;
    if (later.joinable()) later.join();
    CHECK(world.front.until([&] { return world.front->pending() == 0; }));
    return lent.first;
  };
  CHECK(fetches("/blind") == 0);
  CHECK(fetches("/twice") == 1);
  CHECK(seen == "11");
  CHECK(fetches("/later") == 1);
  CHECK(seen == "1");
  CHECK(fetches("/pool") == 1);
  CHECK(seen == "1");
}

TEST_CASE("a stream waits for the client, and ends with it") {
  World world;
  std::atomic<int> written{0};
  world.code.route(TENON_HTTP_GET, "/stream", TENON_EXECUTION_POOL,
                   [&](auto& http, auto*, auto* response) -> tenon_status {
                     const std::string chunk(64 * 1024, 'x');
                     http.set_body(response, bytes("begin"));
                     for (; written < 40; written++) {
                       if (http.write(response, bytes(chunk)) != TENON_OK) return TENON_ERROR_CANCELLED;
                     }
                     CHECK(http.set_status(response, 404) == TENON_ERROR_STATE);
                     return TENON_OK;
                   });
  world.live();
  SUBCASE("read to its end") {
    const Answer answer = world.front.ask(world.slot("GET", "/stream"), "/test/stream");
    CHECK(answer.outcome == core::Outcome::End);
    CHECK(answer.body.size() == 5 + 40 * 64 * 1024);
  }
  SUBCASE("left") {
    uint32_t id = 0;
    world.front.on_chunk = [&](core::Call& call, size_t) { id = call.id; };
    world.front.send(world.slot("GET", "/stream"), "/test/stream");
    CHECK(world.front.until([&] { return written >= 4; }));
    world.front->cancel(id);
    CHECK(world.front.until([&] { return world.front->pending() == 0; }));
    CHECK(written < 40);
  }
}

TEST_CASE("a call that misses its deadline is answered, its thread replaced, and both are at rest afterwards") {
  World world;
  Door door;
  world.code.max_concurrency = 1;
  world.code.route(
      TENON_HTTP_GET, "/hang", TENON_EXECUTION_POOL,
      [&](auto&, auto* request, auto*) -> tenon_status {
        door.wait();
        return request == nullptr ? TENON_ERROR : TENON_OK;
      },
      30);
  world.code.route(
      TENON_HTTP_GET, "/fine", TENON_EXECUTION_POOL,
      [](auto& http, auto*, auto* response) -> tenon_status { return http.set_body(response, bytes("fine")); });
  world.live();
  const Answer late = world.front.ask(world.slot("GET", "/hang"), "/test/hang");
  CHECK(late.status == 504);
  CHECK(late.refusal == core::Refusal::DeadlineExceeded);
  CHECK(world.generation->threads_lost() == 1);
  CHECK(world.front.ask(world.slot("GET", "/fine"), "/test/fine").body == "fine");
  CHECK(world.front->pending() == 1);  // the plugin still has the first request
  door.open();
  CHECK(world.front.until([&] { return world.front->pending() == 0 && world.generation->threads_lost() == 0; }));
}

TEST_CASE("a call that waits for a thread past its deadline is answered and never starts") {
  World world;
  Door door;
  std::atomic<int> started{0};
  world.code.max_concurrency = 1;
  world.code.route(TENON_HTTP_GET, "/long", TENON_EXECUTION_POOL, [&](auto&, auto*, auto*) -> tenon_status {
    door.wait();
    return TENON_OK;
  });
  world.code.route(
      TENON_HTTP_GET, "/short", TENON_EXECUTION_POOL,
      [&](auto&, auto*, auto*) -> tenon_status {
        started++;
        return TENON_OK;
      },
      20);
  world.live();
  Answer& first = world.front.send(world.slot("GET", "/long"), "/test/long");
  CHECK(world.front.until([&] { return door.waiting == 1; }));
  CHECK(world.front.ask(world.slot("GET", "/short"), "/test/short").status == 504);
  door.open();
  CHECK(world.front.until([&] { return first.outcome == core::Outcome::Response; }));
  CHECK(started == 0);
}

TEST_CASE("a plugin that hangs in every call gets no more threads than the limit, and says so") {
  World world;
  Door door;
  world.code.max_concurrency = 2;
  world.code.route(
      TENON_HTTP_GET, "/hang", TENON_EXECUTION_POOL,
      [&](auto&, auto*, auto*) -> tenon_status {
        door.wait();
        return TENON_OK;
      },
      15);
  world.live();
  const uint32_t slot = world.slot("GET", "/hang");
  core::Refusal last = core::Refusal::None;
  for (int count = 0; count < 60 && last != core::Refusal::PluginUnresponsive; count++) {
    last = world.front.ask(slot, "/test/hang").refusal;
  }
  CHECK(last == core::Refusal::PluginUnresponsive);
  CHECK(world.generation->threads_lost() <= core::Pool::kMostLost + 1);
  door.open();
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
}

TEST_CASE("more calls than may wait are refused at once") {
  World world;
  Door door;
  world.plugin.open(3);
  world.code.max_concurrency = 1;
  world.code.route(TENON_HTTP_GET, "/long", TENON_EXECUTION_POOL, [&](auto&, auto*, auto*) -> tenon_status {
    door.wait();
    return TENON_OK;
  });
  world.live();
  const uint32_t slot = world.slot("GET", "/long");
  world.front.send(slot, "/test/long");
  CHECK(world.front.until([&] { return door.waiting == 1; }));
  for (int count = 0; count < 3; count++) CHECK(world.front.send(slot, "/test/long").outcome == core::Outcome::Pending);
  CHECK(world.front.send(slot, "/test/long").refusal == core::Refusal::PluginBusy);
  door.open();
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
}

TEST_CASE("what a plugin must not send does not go out") {
  World world;
  int which = 0;
  world.code.route(TENON_HTTP_GET, "/bad", TENON_EXECUTION_INLINE,
                   [&](auto& http, auto*, auto* response) -> tenon_status {
                     switch (which) {
                       case 0:
                         return http.set_header(response, bytes("x"), bytes("a\r\nb: c")), TENON_OK;
                       case 1:
                         return http.set_header(response, bytes("x y"), bytes("a")), TENON_OK;
                       case 2:
                         return http.set_header(response, bytes("Content-Length"), bytes("3")), TENON_OK;
                       case 3:
                         return http.set_status(response, 99), TENON_OK;
                       case 4:
                         return http.give_body(response, nullptr, 7, nullptr, nullptr), TENON_OK;
                       case 5:
                         http.set_status(response, 204);
                         return http.set_body(response, bytes("body"));
                       case 6:
                         for (int count = 0; count <= 100; count++) http.add_header(response, bytes("x"), bytes("y"));
                         return TENON_OK;
                       default:
                         return http.set_body(response, bytes("good"));
                     }
                   });
  world.live();
  for (which = 0; which < 7; which++) {
    CAPTURE(which);
    const Answer answer = world.front.ask(world.slot("GET", "/bad"), "/test/bad");
    CHECK(answer.status == 502);
    CHECK(answer.refusal == core::Refusal::ResponseInvalid);
  }
  CHECK(world.front.ask(world.slot("GET", "/bad"), "/test/bad").body == "good");
}

TEST_CASE("a body that was handed over is freed once, under the lease, whatever becomes of it") {
  World world;
  std::atomic<int> freed{0};
  tenon_status outcome = TENON_OK;
  world.code.route(
      TENON_HTTP_GET, "/give", TENON_EXECUTION_POOL, [&](auto& http, auto*, auto* response) -> tenon_status {
        const auto release = [](void*, size_t, void* context) { ++*static_cast<std::atomic<int>*>(context); };
        http.give_body(response, "one", 3, release, &freed);
        http.give_body(response, "two", 3, release, &freed);
        return outcome;
      });
  world.live();
  CHECK(world.front.ask(world.slot("GET", "/give"), "/test/give").body == "two");
  CHECK(freed == 2);
  outcome = TENON_ERROR;
  CHECK(world.front.ask(world.slot("GET", "/give"), "/test/give").status == 500);
  CHECK(freed == 4);
}

TEST_CASE("floating-point mode is the host's again after a handler changed it") {
  World world;
  world.code.route(TENON_HTTP_GET, "/round", TENON_EXECUTION_INLINE, [](auto&, auto*, auto*) -> tenon_status {
#if defined(__x86_64__)
    const uint32_t mode = 0x9fc0;  // flush to zero, denormals are zero, round towards zero
    __asm__ __volatile__("ldmxcsr %0" : : "m"(mode));
#endif
    return TENON_OK;
  });
  world.live();
  world.front.ask(world.slot("GET", "/round"), "/test/round");
  volatile double tiny = 1e-310;
  CHECK(tiny * 1.0 != 0.0);
}

TEST_CASE("a body larger than the window that was set before the first chunk is the beginning of the stream") {
  World world;
  world.code.route(TENON_HTTP_GET, "/large", TENON_EXECUTION_POOL,
                   [](auto& http, auto*, auto* response) -> tenon_status {
                     const std::string beginning(core::Stream::kWindow + 1000, 'b');
                     http.set_body(response, bytes(beginning));
                     return http.write(response, bytes("end"));
                   });
  world.live();
  const Answer answer = world.front.ask(world.slot("GET", "/large"), "/test/large");
  CHECK(answer.outcome == core::Outcome::End);
  CHECK(answer.body.size() == core::Stream::kWindow + 1003);
}

TEST_CASE("completing a response that was not deferred, or twice, does nothing") {
  World world;
  world.code.route(TENON_HTTP_GET, "/never", TENON_EXECUTION_POOL,
                   [](auto& http, auto*, auto* response) -> tenon_status {
                     http.complete(response, TENON_OK);
                     return http.set_body(response, bytes("mine"));
                   });
  world.code.route(TENON_HTTP_GET, "/twice", TENON_EXECUTION_POOL,
                   [&](auto& http, auto*, auto* response) -> tenon_status {
                     http.defer(response);
                     http.complete(response, TENON_OK);
                     http.complete(response, TENON_ERROR);
                     return http.set_body(response, bytes("mine too"));
                   });
  world.live();
  for (int count = 0; count < 20; count++) {
    CHECK(world.front.ask(world.slot("GET", "/never"), "/test/never").body == "mine");
    CHECK(world.front.ask(world.slot("GET", "/twice"), "/test/twice").body == "mine too");
  }
}

TEST_CASE("a plugin that may have nobody waiting still serves when a thread is free") {
  World world;
  world.plugin.open(0);
  world.code.route(TENON_HTTP_GET, "/pool", TENON_EXECUTION_POOL,
                   [](auto&, auto*, auto*) -> tenon_status { return TENON_OK; });
  world.live();
  for (int count = 0; count < 20; count++)
    CHECK(world.front.ask(world.slot("GET", "/pool"), "/test/pool").status == 200);
}

TEST_CASE("whoever writes a stream learns that its front has closed") {
  std::atomic<tenon_status> last{TENON_OK};
  PluginUnderTest code;
  code.route(TENON_HTTP_GET, "/stream", TENON_EXECUTION_POOL, [&](auto& http, auto*, auto* response) -> tenon_status {
    const std::string chunk(64 * 1024, 'x');
    tenon_status status = TENON_OK;
    while (status == TENON_OK) status = http.write(response, bytes(chunk));
    last = status;
    return status;
  });
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  const auto generation = front.bring_up(plugin, code, 1);
  plugin.swap(generation->lease());
  bool begun = false;
  front.on_chunk = [&](core::Call&, size_t) { begun = true; };
  front.send(front.slot(plugin, "GET", "/test/stream"), "/test/stream");
  CHECK(front.until([&] { return begun; }));
  front->close();
  CHECK(generation->stop(core::now() + core::milliseconds(10'000)) == 0);
  CHECK(last == TENON_ERROR_CANCELLED);
}

TEST_CASE("parameters are found by segments, however the client escaped the prefix") {
  World world;
  world.code.route(TENON_HTTP_GET, "/items/:id", TENON_EXECUTION_INLINE,
                   [](auto& http, auto* request, auto* response) -> tenon_status {
                     tenon_bytes_t value = {nullptr, 0};
                     http.param(request, bytes("id"), &value);
                     return http.set_body(response, value);
                   });
  world.live();
  const uint32_t slot = world.slot("GET", "/items/:id");
  CHECK(world.front.ask(slot, "/test/items/42").body == "42");
  CHECK(world.front.ask(slot, "/t%65st/items/42?x=/y").body == "42");
}

TEST_CASE("calls are counted where they end, with those the plugin failed, and timed") {
  World world;
  Door door;
  int32_t status = 200;
  tenon_status outcome = TENON_OK;
  world.code.max_concurrency = 1;
  for (const uint32_t execution : {TENON_EXECUTION_POOL, TENON_EXECUTION_INLINE}) {
    world.code.route(TENON_HTTP_GET, execution == TENON_EXECUTION_POOL ? "/pool" : "/inline", execution,
                     [&](auto& http, auto*, auto* response) -> tenon_status {
                       http.set_status(response, status);
                       return outcome;
                     });
  }
  world.code.route(
      TENON_HTTP_GET, "/hang", TENON_EXECUTION_POOL,
      [&](auto&, auto*, auto*) -> tenon_status {
        door.wait();
        return TENON_OK;
      },
      30);
  world.live();
  const core::CallCounters& counters = world.generation->counters();
  const uint32_t pool = world.slot("GET", "/pool");
  const auto faults = [&] {
    const uint64_t before = counters.faults();
    world.front.ask(pool, "/test/pool");
    return counters.faults() - before;
  };
  CHECK(faults() == 0);
  status = 404;
  CHECK(faults() == 0);
  status = 503;
  CHECK(faults() == 1);
  status = 99;
  CHECK(faults() == 1);
  status = 200;
  outcome = TENON_ERROR;
  CHECK(faults() == 1);
  outcome = TENON_OK;
  CHECK(counters.calls() == 5);
  CHECK(counters.samples() == 5);
  for (int count = 0; count < 128; count++) world.front.ask(world.slot("GET", "/inline"), "/test/inline");
  CHECK(counters.calls() == 133);
  CHECK(counters.samples() == 7);
  const uint64_t faulty = counters.faults();
  CHECK(world.front.ask(world.slot("GET", "/hang"), "/test/hang").status == 504);
  CHECK(counters.calls() == 134);
  CHECK(counters.faults() == faulty + 1);
  CHECK(counters.quantile(1) > 25e6);
  door.open();
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(counters.calls() == 134);
}

TEST_CASE("a call that its client left is counted, and is no fault") {
  World world;
  Door door;
  world.code.route(TENON_HTTP_GET, "/left", TENON_EXECUTION_POOL, [&](auto&, auto*, auto*) -> tenon_status {
    door.wait();
    return TENON_ERROR_CANCELLED;
  });
  world.live();
  world.front.send(world.slot("GET", "/left"), "/test/left");
  CHECK(world.front.until([&] { return door.waiting == 1; }));
  world.front->cancel(0);
  door.open();
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  CHECK(world.generation->counters().calls() == 1);
  CHECK(world.generation->counters().faults() == 0);
}

TEST_CASE("a quantile is near the time that so many samples did not exceed") {
  core::CallCounters counters;
  CHECK(counters.quantile(0.5) == 0);
  for (uint64_t sample = 1; sample <= 1000; sample++) counters.add_sample(sample * 1000);
  for (const double share : {0.01, 0.5, 0.95, 1.0}) {
    CHECK(counters.quantile(share) == doctest::Approx(share * 1e6).epsilon(1.0 / 16));
  }
  core::CallCounters extremes;
  for (const uint64_t sample : {uint64_t{0}, uint64_t{7}, uint64_t{8}, UINT64_MAX}) extremes.add_sample(sample);
  CHECK(extremes.quantile(0.25) == 0);
  CHECK(extremes.quantile(0.5) == 7);
  CHECK(extremes.quantile(0.75) == doctest::Approx(8.5));
  CHECK(extremes.quantile(1) == doctest::Approx(18446744073709551616.0).epsilon(1.0 / 16));
}

TEST_CASE("an event stream that is ended is complete for its client, and its plugin is told that nobody listens") {
  World world;
  std::atomic<int> written{0};
  std::atomic<bool> abandoned{false};
  std::atomic<tenon_status> refused{TENON_OK};
  const auto write_on = [&](const tenon_host_http_t& http, tenon_request_t* request, tenon_response_t* response) {
    tenon_status status = TENON_OK;
    for (; status == TENON_OK; written++) {
      status = http.write(response, bytes("data: x\n\n"));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    refused = status;
    abandoned = http.cancelled(request);
    return TENON_ERROR_CANCELLED;
  };
  std::string type;
  world.code.route(TENON_HTTP_GET, "/events", TENON_EXECUTION_POOL,
                   [&](auto& http, auto* request, auto* response) -> tenon_status {
                     http.set_header(response, bytes("Content-Type"), bytes(type));
                     return write_on(http, request, response);
                   });
  world.live();
  const uint32_t slot = world.slot("GET", "/events");
  const auto begin = [&]() -> Answer& {
    written = 0;
    Answer& answer = world.front.send(slot, "/test/events");
    CHECK(world.front.until([&] { return written > 3 && answer.outcome == core::Outcome::Chunk; }));
    return answer;
  };
  SUBCASE("with a client that reads") {
    type = "Text/Event-Stream; charset=utf-8";
    Answer& answer = begin();
    CHECK(world.front->streams(*world.generation) == 1);
    CHECK(world.front->end_streams(*world.generation) == 1);
    CHECK(world.front->end_streams(*world.generation) == 0);
    CHECK(world.front.until([&] { return world.front->pending() == 0; }));
    CHECK(answer.outcome == core::Outcome::End);
    CHECK(answer.body.size() % 9 == 0);
    CHECK(answer.body.size() / 9 == static_cast<size_t>(written) - 1);
    CHECK(refused == TENON_ERROR_CANCELLED);
    CHECK(abandoned);
    CHECK(world.front->streams(*world.generation) == 0);
    CHECK(world.generation->counters().faults() == 0);
  }
  SUBCASE("of another type goes on") {
    type = "text/event-streams";
    uint32_t id = 0;
    world.front.on_chunk = [&](core::Call& call, size_t size) {
      id = call.id;
      world.front->acknowledge(call.id, size);
    };
    begin();
    CHECK(world.front->streams(*world.generation) == 1);
    CHECK(world.front->end_streams(*world.generation) == 0);
    const int before = written;
    CHECK(world.front.until([&] { return written > before + 3; }));
    world.front->cancel(id);
    CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  }
}

TEST_CASE("event streams are ended at any moment of their writing, each once") {
  World world;
  world.code.max_concurrency = 8;
  world.code.route(TENON_HTTP_GET, "/events", TENON_EXECUTION_POOL,
                   [](auto& http, auto*, auto* response) -> tenon_status {
                     http.set_header(response, bytes("content-type"), bytes("text/event-stream"));
                     for (int count = 0; count < 200; count++) {
                       if (http.write(response, bytes("data: x\n\n")) != TENON_OK) return TENON_ERROR_CANCELLED;
                     }
                     return TENON_OK;
                   });
  world.live();
  const uint32_t slot = world.slot("GET", "/events");
  for (int round = 0; round < 50; round++) {
    std::vector<Answer*> answers;
    for (int count = 0; count < 8; count++) answers.push_back(&world.front.send(slot, "/test/events"));
    CHECK(world.front.until([&] {
      world.front->end_streams(*world.generation);
      return world.front->pending() == 0;
    }));
    for (const Answer* answer : answers) {
      REQUIRE(answer->outcome == core::Outcome::End);
      REQUIRE(answer->body.size() % 9 == 0);
    }
  }
  CHECK(world.generation->counters().calls() == 400);
  CHECK(world.generation->counters().faults() == 0);
}

TEST_CASE("a control byte is found wherever it stands in the value of a header") {
  for (size_t size = 0; size < 40; size++) {
    std::string text(size, 'v');
    CHECK(core::is_field_value(text));
    for (char& place : text) {
      for (const char good : {'\t', ' ', '~', '\x80', '\xff'}) {
        place = good;
        CHECK(core::is_field_value(text));
      }
      for (const char bad : {'\0', '\n', '\r', '\x1f', '\x7f'}) {
        place = bad;
        CHECK_FALSE(core::is_field_value(text));
      }
      place = 'v';
    }
  }
}
