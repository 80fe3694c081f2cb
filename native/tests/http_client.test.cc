#include "tenon/ext/http_client.h"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "harness.h"
#include "thread_faults.h"

using namespace tenon;
using tests::bytes;
using tests::FrontUnderTest;
using tests::PluginUnderTest;

namespace {

// What `done` was told, and on which thread.
struct Told {
  int times = 0;
  tenon_status outcome = -1;
  int32_t status = 0;
  std::string headers;
  std::string body;
  std::string message;
};

class Bench {
 public:
  Bench() {
    plugin.open(10);
    front->outgoing().offer();
    code.on_shutdown = [this] {
      const std::lock_guard<std::mutex> lock(mutex);
      open_at_shutdown = told_.size() - done_;
    };
  }

  std::shared_ptr<core::Generation> start(uint64_t number = 1) {
    auto generation = front.bring_up(plugin, code, number);
    CHECK(generation.get() != nullptr);
    client = static_cast<const tenon_host_http_client_t*>(code.host->get_extension(code.host, TENON_HTTP_CLIENT_ID));
    CHECK(client != nullptr);
    return generation;
  }

  static tenon_http_client_request_t order(std::string_view url = "http://example.test/") {
    return {sizeof(tenon_http_client_request_t), 0, bytes("GET"), bytes(url), nullptr, 0, {nullptr, 0}};
  }

  tenon_status send(const tenon_http_client_request_t& request, uint64_t* number = nullptr) {
    Told* told = nullptr;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      told_.push_back(std::make_unique<Told>());
      told = told_.back().get();
      contexts_.push_back(std::make_unique<Context>(Context{this, told}));
    }
    const tenon_status status = client->send(code.host, &request, done, contexts_.back().get(), number);
    if (status == TENON_OK) return status;
    const std::lock_guard<std::mutex> lock(mutex);
    told_.pop_back();
    return status;
  }

  // How many `done` have run.
  size_t count() {
    const std::lock_guard<std::mutex> lock(mutex);
    return done_;
  }
  Told told(size_t index) {
    const std::lock_guard<std::mutex> lock(mutex);
    return *told_[index];
  }

  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  PluginUnderTest code;
  const tenon_host_http_client_t* client = nullptr;
  std::mutex mutex;
  std::atomic<bool> hold{false};  // keeps `done` from returning
  std::atomic<bool> inside{false};
  size_t open_at_shutdown = 0;
  std::thread::id thread;

 private:
  struct Context {
    Bench* bench;
    Told* told;
  };
  static void done(void* context, const tenon_http_client_response_t* response) {
    const Context& own = *static_cast<Context*>(context);
    Bench& bench = *own.bench;
    bench.inside = true;
    while (bench.hold) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::lock_guard<std::mutex> lock(bench.mutex);
    own.told->times++;
    own.told->outcome = response->outcome;
    own.told->status = response->status;
    own.told->body = core::view(response->body);
    own.told->message = core::view(response->message);
    for (uint32_t index = 0; index < response->header_count; index++) {
      own.told->headers += std::string(core::view(response->headers[index].key)) + ": " +
                           std::string(core::view(response->headers[index].value)) + "\n";
    }
    bench.thread = std::this_thread::get_id();
    bench.done_++;
    bench.inside = false;
  }

  std::vector<std::unique_ptr<Told>> told_;
  std::vector<std::unique_ptr<Context>> contexts_;
  size_t done_ = 0;
};

// Its handler waits until a `done` has run.
void route_that_fetches(Bench& bench, std::atomic<bool>& asked) {
  bench.code.route(TENON_HTTP_GET, "/fetch", TENON_EXECUTION_POOL,
                   [&](const tenon_host_http_t& http, tenon_request_t*, tenon_response_t* response) -> tenon_status {
                     const size_t before = bench.count();
                     CHECK(bench.send(Bench::order()) == TENON_OK);
                     asked = true;
                     while (bench.count() == before) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                     return http.set_body(response, bytes("fetched"));
                   });
}

core::OutgoingAnswer found(std::string body) { return {TENON_OK, 200, {{"x-one", "1"}}, std::move(body), {}}; }

}  // namespace

TEST_CASE("a request goes out as it was asked for, and its answer comes back on a thread of the generation") {
  Bench bench;
  const auto generation = bench.start();
  const tenon_log_field_t header = {bytes("X-Asked"), bytes("yes")};
  tenon_http_client_request_t request = Bench::order("HTTPS://example.test:8443/a?b#c");
  request.method = bytes("PUT");
  request.body = bytes("what");
  request.headers = &header;
  request.header_count = 1;
  request.deadline_ms = 5000;
  uint64_t number = 0;
  CHECK(bench.send(request, &number) == TENON_OK);
  CHECK(number != 0);
  CHECK(generation->ledger().requests == 1);
  const auto taken = bench.front->outgoing().take();
  REQUIRE(taken.size() == 1);
  CHECK(taken[0]->number == number);
  CHECK(taken[0]->plugin == "test");
  CHECK(taken[0]->method == "PUT");
  CHECK(taken[0]->url == "HTTPS://example.test:8443/a?b#c");
  CHECK((taken[0]->headers == core::HeaderList{{"x-asked", "yes"}}));
  CHECK(taken[0]->body == "what");
  CHECK(taken[0]->deadline > core::now());
  CHECK(taken[0]->deadline <= core::now() + core::milliseconds(5000));
  bench.front->outgoing().answer(number, found("here"));
  CHECK(bench.front.until([&] { return bench.count() == 1; }));
  const Told told = bench.told(0);
  CHECK(told.outcome == TENON_OK);
  CHECK(told.status == 200);
  CHECK(told.headers == "x-one: 1\n");
  CHECK(told.body == "here");
  CHECK((bench.thread != std::this_thread::get_id()));
  CHECK(bench.front.until([&] { return generation->ledger().requests == 0; }));
  CHECK(bench.client->cancel(bench.code.host, number) == TENON_ERROR_NOT_FOUND);
  bench.front->outgoing().answer(number, found("again"));
  CHECK(bench.front.take_down(generation));
  CHECK(bench.told(0).times == 1);
  CHECK(bench.send(Bench::order()) == TENON_ERROR_STATE);
}

TEST_CASE("a request outside its bounds is refused, and nothing goes out") {
  Bench bench;
  const auto generation = bench.start();
  const auto refused = [&](auto change) {
    tenon_http_client_request_t request = Bench::order();
    change(request);
    CHECK(bench.send(request) == TENON_ERROR_ARGUMENT);
  };
  refused([](auto& request) { request.size = 8; });
  refused([](auto& request) { request.deadline_ms = TENON_HTTP_CLIENT_DEADLINE_MS + 1; });
  const std::string long_url = "http://example.test/" + std::string(8192, 'x');
  for (const std::string& url :
       {std::string(), std::string("example.test"), std::string("ftp://example.test/"), std::string("http://"),
        std::string("http:///path"), std::string("https://?"), std::string("http://a b/"), std::string("http://a/\n"),
        std::string("http://user:word@example.test/"), std::string("http://example.test\\@other/\x01"),
        std::string("http://ex\xc3\xa4mple.test/"), std::string("file:///etc/passwd"), long_url}) {
    CAPTURE(url);
    refused([&](auto& request) { request.url = bytes(url); });
  }
  for (const std::string_view method :
       {"", "GET ", "G\r\nT", "CONNECT", "connect", "AVERYLONGMETHODTHATNOBODYHASEVERUSED"}) {
    refused([&](auto& request) { request.method = bytes(method); });
  }
  const std::string long_value(64 * 1024, 'x');
  const std::pair<std::string_view, std::string_view> wrong[] = {{"", "x"},
                                                                 {"a b", "x"},
                                                                 {"a:", "x"},
                                                                 {"x", "a\r\nb: c"},
                                                                 {"x", std::string_view("a\0b", 3)},
                                                                 {"x", long_value},
                                                                 {"Host", "other"},
                                                                 {"content-length", "7"},
                                                                 {"Transfer-Encoding", "chunked"},
                                                                 {"connection", "close"},
                                                                 {"upgrade", "websocket"},
                                                                 {"expect", "100-continue"},
                                                                 {"te", "trailers"}};
  for (const auto& each : wrong) {
    const auto& name = each.first;
    const auto& value = each.second;
    CAPTURE(name);
    const tenon_log_field_t header = {bytes(name), bytes(value)};
    refused([&](auto& request) {
      request.headers = &header;
      request.header_count = 1;
    });
  }
  const std::vector<tenon_log_field_t> many(101, tenon_log_field_t{bytes("x"), bytes("y")});
  refused([&](auto& request) {
    request.headers = many.data();
    request.header_count = many.size();
  });
  refused([](auto& request) { request.header_count = 1; });
  refused([](auto& request) { request.body = {nullptr, 1}; });
  refused([](auto& request) { request.body = {"", TENON_HTTP_CLIENT_BODY + size_t{1}}; });
  const tenon_http_client_request_t good = Bench::order();
  CHECK(bench.client->send(bench.code.host, &good, nullptr, nullptr, nullptr) == TENON_ERROR_ARGUMENT);
  CHECK(bench.front->outgoing().empty());
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("a generation has so many requests under way, and no more") {
  Bench bench;
  const auto generation = bench.start();
  std::vector<uint64_t> numbers(TENON_HTTP_CLIENT_REQUESTS);
  for (uint64_t& number : numbers) CHECK(bench.send(Bench::order(), &number) == TENON_OK);
  CHECK(bench.send(Bench::order()) == TENON_ERROR_TOO_LARGE);
  // One that is given up counts for as long as it is on its way to the front.
  CHECK(bench.client->cancel(bench.code.host, numbers[0]) == TENON_OK);
  CHECK(bench.front.until([&] { return bench.count() == 1; }));
  CHECK(bench.send(Bench::order()) == TENON_ERROR_TOO_LARGE);
  CHECK(bench.front->outgoing().take().size() == TENON_HTTP_CLIENT_REQUESTS - 1);
  CHECK(bench.send(Bench::order()) == TENON_OK);
  const std::string large(TENON_HTTP_CLIENT_BODY, 'x');
  for (size_t index = 1; index <= 5; index++) bench.front->outgoing().answer(numbers[index], found(large));
  CHECK(bench.front.until([&] { return bench.count() == 6; }));
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("bodies that wait for their `done` are bounded together") {
  Bench bench;
  const auto generation = bench.start();
  std::vector<uint64_t> numbers(5);
  for (uint64_t& number : numbers) CHECK(bench.send(Bench::order(), &number) == TENON_OK);
  bench.front->outgoing().take();
  bench.hold = true;
  const std::string large(TENON_HTTP_CLIENT_BODY, 'x');
  for (const uint64_t number : numbers) bench.front->outgoing().answer(number, found(large));
  tenon_http_client_request_t more = Bench::order();
  more.body = bytes("x");
  CHECK(bench.send(more) == TENON_ERROR_TOO_LARGE);
  bench.hold = false;
  CHECK(bench.front.until([&] { return bench.count() == 5; }));
  CHECK(bench.told(3).outcome == TENON_OK);
  CHECK(bench.told(4).outcome == TENON_ERROR);
  CHECK(bench.told(4).message == "the bodies of the plugin's requests are too large together");
  CHECK(bench.send(more) == TENON_OK);
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("one that is given up ends as cancelled, whatever comes of it afterwards") {
  Bench bench;
  const auto generation = bench.start();
  uint64_t early = 0;
  uint64_t late = 0;
  uint64_t due = 0;
  uint64_t running = 0;
  CHECK(bench.send(Bench::order(), &late) == TENON_OK);
  CHECK(bench.send(Bench::order(), &running) == TENON_OK);
  CHECK(bench.send(Bench::order(), &due) == TENON_OK);
  CHECK(bench.front->outgoing().take().size() == 3);
  CHECK(bench.send(Bench::order(), &early) == TENON_OK);
  CHECK(bench.client->cancel(bench.code.host, early) == TENON_OK);
  CHECK(bench.client->cancel(bench.code.host, late) == TENON_OK);
  CHECK(bench.front.until([&] { return bench.count() == 2; }));
  CHECK(bench.client->cancel(bench.code.host, late) == TENON_ERROR_NOT_FOUND);
  const auto words = bench.front->outgoing().take();
  REQUIRE(words.size() == 1);  // of the one that was never taken nothing is heard
  CHECK(words[0]->given_up);
  CHECK(words[0]->number == late);
  bench.front->outgoing().answer(late, found("too late"));
  bench.hold = true;
  bench.front->outgoing().answer(running, found("one"));
  CHECK(bench.front.until([&] { return bench.inside.load(); }));
  bench.front->outgoing().answer(due, found("two"));
  CHECK(bench.client->cancel(bench.code.host, running) == TENON_ERROR_NOT_FOUND);
  CHECK(bench.client->cancel(bench.code.host, due) == TENON_OK);
  bench.hold = false;
  CHECK(bench.front.until([&] { return bench.count() == 4; }));
  CHECK(bench.told(0).outcome == TENON_ERROR_CANCELLED);
  CHECK(bench.told(1).body == "one");
  CHECK(bench.told(2).outcome == TENON_ERROR_CANCELLED);
  CHECK(bench.told(2).body.empty());
  CHECK(bench.told(3).outcome == TENON_ERROR_CANCELLED);
  CHECK(bench.told(3).message == "it was cancelled");
  CHECK(bench.client->cancel(bench.code.host, 0) == TENON_ERROR_NOT_FOUND);
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("what is open when a generation is taken down is cancelled, and has ended before shutdown") {
  Bench bench;
  const auto generation = bench.start();
  uint64_t answered = 0;
  CHECK(bench.send(Bench::order(), &answered) == TENON_OK);
  for (int count = 0; count < 20; count++) CHECK(bench.send(Bench::order()) == TENON_OK);
  CHECK(bench.front->outgoing().take().size() == 21);
  generation->drain();
  bench.front->outgoing().answer(answered, found("here"));
  CHECK(bench.send(Bench::order()) == TENON_OK);
  SUBCASE("told to begin with, as a host does") { generation->retire(); }
  SUBCASE("told by its shutdown") {}
  CHECK(bench.front.take_down(generation));
  CHECK(bench.open_at_shutdown == 0);
  CHECK(bench.count() == 22);
  CHECK(bench.told(0).body == "here");
  for (size_t index = 1; index < 22; index++) {
    CHECK(bench.told(index).times == 1);
    CHECK(bench.told(index).outcome == TENON_ERROR_CANCELLED);
  }
  CHECK(bench.front->outgoing().take().size() == 20);
  CHECK(bench.send(Bench::order()) == TENON_ERROR_STATE);
  CHECK(bench.client->cancel(bench.code.host, answered) == TENON_ERROR_NOT_FOUND);
}

TEST_CASE("no `done` runs while calls are waited for, and one that runs is waited for") {
  Bench bench;
  const auto generation = bench.start();
  bench.plugin.swap(generation->lease());
  uint64_t first = 0;
  uint64_t second = 0;
  CHECK(bench.send(Bench::order(), &first) == TENON_OK);
  CHECK(bench.send(Bench::order(), &second) == TENON_OK);
  bench.front->outgoing().take();
  bench.hold = true;
  bench.front->outgoing().answer(first, found("one"));
  CHECK(bench.front.until([&] { return bench.inside.load(); }));
  CHECK((generation->ledger().running == std::vector<std::string>{"done of request " + std::to_string(first)}));
  bench.plugin.hold();
  CHECK_FALSE(bench.front.perform(generation, core::Step::Drain, 30));
  bench.front->outgoing().answer(second, found("two"));
  bench.hold = false;
  CHECK(bench.front.perform(generation, core::Step::Drain));
  CHECK(bench.count() == 1);
  CHECK(generation->ledger().requests == 1);
  // It serves again: its successor was refused.
  bench.plugin.swap(generation->lease());
  bench.plugin.release();
  CHECK(bench.front.until([&] { return bench.count() == 2; }));
  bench.plugin.swap(nullptr);
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("a handler that waits for an answer gets it while its generation is waited for, and nobody after that") {
  Bench bench;
  std::atomic<bool> asked{false};
  route_that_fetches(bench, asked);
  const auto generation = bench.start();
  bench.plugin.swap(generation->lease());
  const auto& answer = bench.front.send(bench.front.slot(bench.plugin, "GET", "/test/fetch"), "/test/fetch");
  CHECK(bench.front.until([&] { return asked.load(); }));
  const auto taken = bench.front->outgoing().take();
  REQUIRE(taken.size() == 1);
  bench.plugin.hold();
  CHECK_FALSE(bench.front.perform(generation, core::Step::Drain, 30));
  bench.front->outgoing().answer(taken[0]->number, found("here"));
  CHECK(bench.front.perform(generation, core::Step::Drain));
  CHECK(answer.body == "fetched");
  CHECK(bench.told(0).body == "here");
  // It is being saved: a lease that is taken and given back at once, as a call at the gate does, lets nothing in.
  uint64_t late = 0;
  CHECK(bench.send(Bench::order(), &late) == TENON_OK);
  generation->lease()->count++;
  CHECK(bench.client->cancel(bench.code.host, late) == TENON_OK);
  bench.plugin.leave(*generation->lease());
  CHECK(generation->lease()->count == 0);
  CHECK(bench.count() == 1);
  bench.plugin.swap(generation->lease());
  bench.plugin.release();
  CHECK(bench.front.until([&] { return bench.count() == 2; }));
  bench.plugin.swap(nullptr);
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("an answer that comes while no thread can be started is delivered when one can") {
  if (!tests::NoThreads::kPossible) return;
  Bench bench;
  const auto generation = bench.start();
  uint64_t number = 0;
  CHECK(bench.send(Bench::order(), &number) == TENON_OK);
  bench.front->outgoing().take();
  {
    const tests::NoThreads none;
    bench.front->outgoing().answer(number, found("here"));
    CHECK(bench.front->log().take().size() == 1);
    CHECK(bench.count() == 0);
    CHECK(generation->lease()->count == 0);
  }
  CHECK(bench.front.until([&] { return bench.count() == 1; }));
  CHECK(bench.told(0).body == "here");
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("a handler that waits is told that its request was cancelled, as soon as a thread can be started") {
  if (!tests::NoThreads::kPossible) return;
  Bench bench;
  std::atomic<bool> asked{false};
  route_that_fetches(bench, asked);
  const auto generation = bench.start();
  bench.plugin.swap(generation->lease());
  const auto& answer = bench.front.send(bench.front.slot(bench.plugin, "GET", "/test/fetch"), "/test/fetch");
  CHECK(bench.front.until([&] { return asked.load(); }));
  bench.plugin.swap(nullptr);
  {
    const tests::NoThreads none;
    generation->retire();
    CHECK(bench.count() == 0);
  }
  CHECK(bench.front.perform(generation, core::Step::Drain));
  CHECK(answer.body == "fetched");
  CHECK(bench.told(0).outcome == TENON_ERROR_CANCELLED);
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("requests come and go from many threads while a generation is taken down") {
  Bench bench;
  for (uint64_t number = 1; number <= 10; number++) {
    const auto generation = bench.start(number);
    std::atomic<bool> leave{false};
    std::atomic<int> sent{0};
    std::atomic<int> done{0};
    const tenon_host_t* const host = bench.code.host;
    const auto count = [](void* context, const tenon_http_client_response_t*) {
      ++*static_cast<std::atomic<int>*>(context);
    };
    std::vector<std::thread> threads;
    for (int index = 0; index < 4; index++) {
      threads.emplace_back([&, index] {
        const tenon_http_client_request_t request = Bench::order();
        while (!leave) {
          uint64_t own = 0;
          if (bench.client->send(host, &request, count, &done, &own) != TENON_OK) continue;
          sent++;
          if (index % 2 == 0) bench.client->cancel(host, own);
        }
      });
    }
    for (int round = 0; round < 50; round++) {
      for (const auto& request : bench.front->outgoing().take()) {
        if (!request->given_up) bench.front->outgoing().answer(request->number, found("x"));
      }
    }
    generation->retire();
    CHECK(bench.front.take_down(generation));
    leave = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(sent == done);
  }
}
