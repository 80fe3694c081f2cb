#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "harness.h"
#include "isolated/frame.h"
#include "lease.h"

using tenon::core::Refusal;
using tenon::isolated::Frames;
using tenon::tests::Answer;
using tenon::tests::FrontUnderTest;
using tenon::tests::PluginUnderTest;

namespace {

// A plugin with one route, whose handler is a function of the test.
struct Served {
  explicit Served(PluginUnderTest::Handler handler) {
    code.route(TENON_HTTP_GET, "/", TENON_EXECUTION_POOL, std::move(handler));
    generation = front.bring_up(plugin, code, 1);
    REQUIRE(static_cast<bool>(generation));
    plugin.swap(generation->lease());
    slot = front.slot(plugin, "GET", "/test");
  }
  ~Served() {
    plugin.swap(nullptr);
    CHECK(front.take_down(generation));
  }
  Answer ask() { return front.ask(slot, "/test"); }

  FrontUnderTest front;
  tenon::core::Plugin& plugin = front->plugin("test");
  PluginUnderTest code;
  std::shared_ptr<tenon::core::Generation> generation;
  uint32_t slot = 0;
};

}  // namespace

TEST_CASE("a request that has gone back to the host is nobody's, and its token is never one again") {
  Frames frames;
  std::vector<uint64_t> tokens;
  Served served([&](const tenon_host_http_t& http, tenon_request_t* request, tenon_response_t*) {
    const uint64_t token = frames.add(request);
    tokens.push_back(token);
    CHECK_FALSE(frames.is_cancelled(token));
    CHECK(Frames::Hold(frames, token).call() != nullptr);
    CHECK(frames.take_back(token));
    CHECK_FALSE(frames.take_back(token));
    for (const uint64_t gone : tokens) {
      uint64_t deadline = 0;
      CHECK(frames.is_cancelled(gone));
      CHECK(Frames::Hold(frames, gone).call() == nullptr);
      CHECK(frames.defer(gone, http, deadline) == TENON_ERROR_STATE);
    }
    return TENON_OK;
  });
  for (int count = 0; count < 3; count++) CHECK(served.ask().status == 200);
  CHECK(tokens[0] != tokens[1]);
  CHECK(tokens[1] != tokens[2]);
}

TEST_CASE("a token that no runner was given is nobody's") {
  Frames frames;
  Served served([&](const tenon_host_http_t& http, tenon_request_t* request, tenon_response_t*) {
    const uint64_t token = frames.add(request);
    for (const uint64_t forged : {uint64_t{0}, token + 1, token + (uint64_t{1} << 40), ~uint64_t{0}}) {
      uint64_t deadline = 0;
      CHECK(frames.is_cancelled(forged));
      CHECK(Frames::Hold(frames, forged).call() == nullptr);
      CHECK_FALSE(Frames::Hold(frames, forged).is_deferred());
      CHECK(frames.defer(forged, http, deadline) == TENON_ERROR_STATE);
    }
    CHECK(frames.take_back(token));
    return TENON_OK;
  });
  CHECK(served.ask().status == 200);
}

TEST_CASE("what was deferred is completed once, by whoever takes it first") {
  Frames frames;
  std::vector<std::thread> threads;
  Served served([&](const tenon_host_http_t& http, tenon_request_t* request, tenon_response_t*) {
    const uint64_t token = frames.add(request);
    CHECK(Frames::Hold(frames, token).take_deferred() == nullptr);
    uint64_t deadline = 0;
    CHECK(frames.defer(token, http, deadline) == TENON_OK);
    CHECK(deadline > 0);
    CHECK(frames.defer(token, http, deadline) == TENON_ERROR_STATE);
    for (int count = 0; count < 3; count++) {
      threads.emplace_back([&frames, &http, token] {
        Frames::Hold hold(frames, token);
        if (tenon::core::Call* const call = hold.take_deferred()) http.complete(call, TENON_OK);
      });
    }
    CHECK_FALSE(frames.take_back(token));
    return TENON_OK;
  });
  for (int count = 0; count < 50; count++) CHECK(served.ask().status == 200);
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("whatever was deferred when the runner ends is answered 502, and nothing is deferred any more") {
  for (int count = 0; count < 50; count++) {
    Frames frames;
    std::thread end;
    bool deferred = false;
    Served served([&](const tenon_host_http_t& http, tenon_request_t* request, tenon_response_t*) {
      const uint64_t token = frames.add(request);
      end = std::thread([&] { frames.fail_deferred(http, "its process ended"); });
      uint64_t deadline = 0;
      deferred = frames.defer(token, http, deadline) == TENON_OK;
      CHECK(frames.take_back(token) != deferred);
      return TENON_OK;
    });
    const Answer answer = served.ask();
    end.join();
    CHECK(answer.status == (deferred ? 502 : 200));
    CHECK(answer.refusal == (deferred ? Refusal::ProcessEnded : Refusal::None));
  }
}
