#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "wire/lane.h"
#include "wire/message.h"

using tenon::wire::Doorbell;
using tenon::wire::EndlessPatience;
using tenon::wire::Lane;
using tenon::wire::LaneMemory;
using tenon::wire::Outcome;
using tenon::wire::Patience;
using tenon::wire::RingMemory;

namespace {

constexpr uint64_t kLimit = 8 * 1024 * 1024;

class FunctionServer final : public Lane::Server {
 public:
  using Function = std::function<bool(Lane&, uint16_t, std::string_view, std::string&)>;
  explicit FunctionServer(Function function) : function_(std::move(function)) {}
  bool serve(Lane& lane, uint16_t code, std::string_view payload, std::string& answer) override {
    return function_(lane, code, payload, answer);
  }

 private:
  Function function_;
};

class ShortPatience final : public Patience {
 public:
  int wait_ms() override { return left_-- > 0 ? 5 : 0; }

 private:
  int left_ = 3;
};

class UntilPatience final : public Patience {
 public:
  explicit UntilPatience(const std::atomic<bool>& stops) : stops_(stops) {}
  int wait_ms() override { return stops_ ? 0 : 5; }

 private:
  const std::atomic<bool>& stops_;
};

// Two ends of a lane, as of two processes; `gone` rung: the runner has ended.
struct Ends {
  explicit Ends(uint64_t limit = kLimit) : memory(std::make_unique<LaneMemory>()) {
    REQUIRE((to_host.open() && to_runner.open() && gone.open()));
    host = std::make_unique<Lane>(*memory, Lane::Side::Host, to_host, to_runner, gone.waiting(), limit);
    runner = std::make_unique<Lane>(*memory, Lane::Side::Runner, to_runner, to_host, gone.waiting(), kLimit);
  }
  // Bytes that a hostile runner has put where those to the host are.
  void forge(std::string_view bytes) {
    std::memcpy(memory->to_host.bytes.data(), bytes.data(), bytes.size());
    memory->to_host.written.store(static_cast<uint32_t>(bytes.size()));
  }

  std::unique_ptr<LaneMemory> memory;
  Doorbell to_host, to_runner, gone;
  std::unique_ptr<Lane> host, runner;
};

std::string head(uint32_t sequence, uint16_t code, uint8_t kind, uint64_t size) {
  tenon::wire::Writer writer;
  writer.put(sequence).put(code).put(kind).put<uint8_t>(0).put(size);
  return writer.take();
}

FunctionServer refusing([](Lane&, uint16_t, std::string_view, std::string&) { return false; });

// Ends the lane from the side of the runner's thread.
void join(Ends& ends, std::thread& thread) {
  ends.gone.ring();
  thread.join();
}

}  // namespace

TEST_CASE("an answer comes back whole, whatever its size beside that of the ring") {
  Ends ends;
  FunctionServer echo([](Lane&, uint16_t, std::string_view payload, std::string& answer) {
    answer.assign(payload.rbegin(), payload.rend());
    return true;
  });
  std::thread thread([&] {
    EndlessPatience patience;
    ends.runner->serve(echo, patience);
  });
  EndlessPatience patience;
  std::string answer;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{RingMemory::kBytes - 16}, size_t{RingMemory::kBytes - 15},
                            size_t{3 * RingMemory::kBytes + 7}, size_t{4 * 1024 * 1024}}) {
    std::string sent(size, ' ');
    for (size_t index = 0; index < size; index++) sent[index] = static_cast<char>(index * 31);
    REQUIRE(ends.host->call(7, {std::string_view(sent).substr(0, size / 2), std::string_view(sent).substr(size / 2)},
                            answer, refusing, patience) == Outcome::Done);
    std::reverse(answer.begin(), answer.end());
    CHECK((answer == sent));
  }
  join(ends, thread);
}

TEST_CASE("calls nest, and each side gets the answers of its own") {
  Ends ends;
  FunctionServer of_runner([](Lane& lane, uint16_t, std::string_view payload, std::string& answer) {
    const int left = std::stoi(std::string(payload));
    FunctionServer never([](Lane&, uint16_t, std::string_view, std::string&) { return false; });
    EndlessPatience patience;
    std::string below = "0";
    if (left > 0 && lane.call(2, {std::to_string(left - 1)}, below, never, patience) != Outcome::Done) return false;
    answer = std::to_string(std::stoi(below) + 1);
    return true;
  });
  FunctionServer of_host([](Lane&, uint16_t code, std::string_view payload, std::string& answer) {
    answer = payload;
    return code == 2;
  });
  std::thread thread([&] {
    EndlessPatience patience;
    ends.runner->serve(of_runner, patience);
  });
  EndlessPatience patience;
  std::string answer;
  for (int count = 0; count < 100; count++) {
    REQUIRE(ends.host->call(1, {std::to_string(count)}, answer, of_host, patience) == Outcome::Done);
    CHECK(answer == std::to_string(count == 0 ? 1 : count));
  }
  CHECK(ends.host->depth() == 0);
  join(ends, thread);
}

TEST_CASE("a tail follows the answer, and is let go of once") {
  Ends ends;
  int released = 0;
  FunctionServer server([&](Lane& lane, uint16_t, std::string_view payload, std::string& answer) {
    answer = "head ";
    lane.follow(
        payload, [](void* owner) { ++*static_cast<int*>(owner); }, &released);
    return true;
  });
  std::thread thread([&] {
    EndlessPatience patience;
    ends.runner->serve(server, patience);
  });
  EndlessPatience patience;
  std::string answer;
  const std::string body(RingMemory::kBytes * 2, 'b');
  REQUIRE(ends.host->call(1, {body}, answer, refusing, patience) == Outcome::Done);
  CHECK((answer == "head " + body));
  REQUIRE(ends.host->call(1, {"c"}, answer, refusing, patience) == Outcome::Done);
  CHECK(answer == "head c");
  join(ends, thread);
  CHECK(released == 2);
}

TEST_CASE("a payload that is kept stays in its place") {
  Ends ends;
  std::string kept;
  const char* place = nullptr;
  FunctionServer server([&](Lane& lane, uint16_t, std::string_view payload, std::string&) {
    if (kept.empty()) {
      place = payload.data();
      kept = lane.keep_payload();
    }
    return true;
  });
  std::thread thread([&] {
    EndlessPatience patience;
    ends.runner->serve(server, patience);
  });
  EndlessPatience patience;
  std::string answer;
  const std::string body(100, 'k');
  for (int count = 0; count < 3; count++) {
    REQUIRE(ends.host->call(1, {body}, answer, refusing, patience) == Outcome::Done);
  }
  join(ends, thread);
  CHECK(kept.data() == place);
  CHECK(kept.substr(0, 100) == body);
}

TEST_CASE("a post is served before what is called after it") {
  Ends ends;
  std::string seen;
  FunctionServer server([&](Lane&, uint16_t, std::string_view payload, std::string& answer) {
    seen += payload;
    answer = seen;
    return true;
  });
  std::thread thread([&] {
    EndlessPatience patience;
    ends.runner->serve(server, patience);
  });
  EndlessPatience patience;
  REQUIRE(ends.host->post(1, {"a"}, patience) == Outcome::Done);
  REQUIRE(ends.host->post(1, {"b"}, patience) == Outcome::Done);
  std::string answer;
  REQUIRE(ends.host->call(1, {"c"}, answer, refusing, patience) == Outcome::Done);
  CHECK(answer == "abc");
  join(ends, thread);
}

TEST_CASE("what a hostile runner sends ends the lane, and nothing of it is served") {
  const auto outcome_of = [](const std::string& bytes) {
    Ends ends(1024);
    bool served = false;
    FunctionServer server([&](Lane&, uint16_t, std::string_view, std::string&) { return served = true; });
    ends.forge(bytes);
    ShortPatience patience;
    std::string answer;
    const Outcome outcome = ends.host->call(5, {}, answer, server, patience);
    CHECK_FALSE(served);
    if (outcome != Outcome::Done) CHECK(ends.host->call(5, {}, answer, server, patience) == outcome);
    return outcome;
  };
  CHECK(outcome_of(head(0, 5, 2, 0)) == Outcome::Done);
  CHECK(outcome_of(head(1, 5, 2, 0)) == Outcome::Violated);  // an answer to what was not asked
  CHECK(outcome_of(head(0, 6, 2, 0)) == Outcome::Violated);  // or to something else
  CHECK(outcome_of(head(0, 5, 0, 0)) == Outcome::Violated);  // no kind
  CHECK(outcome_of(head(0, 5, 4, 0)) == Outcome::Violated);
  CHECK(outcome_of(head(1, 5, 1, 0)) == Outcome::Violated);     // a call out of turn
  CHECK(outcome_of(head(7, 5, 3, 0)) == Outcome::Violated);     // a post out of turn
  CHECK(outcome_of(head(0, 5, 2, 1025)) == Outcome::Violated);  // more than it may
  CHECK(outcome_of(head(0, 5, 1, UINT64_MAX)) == Outcome::Violated);
  CHECK(outcome_of(head(0, 5, 2, 100)) == Outcome::GivenUp);  // less than it says
  CHECK(outcome_of("short") == Outcome::GivenUp);
}

TEST_CASE("positions that cannot be end the lane") {
  ShortPatience patience;
  std::string answer;
  SUBCASE("of what was written") {
    Ends ends;
    ends.memory->to_host.written.store(RingMemory::kBytes + 1);
    CHECK(ends.host->call(5, {}, answer, refusing, patience) == Outcome::Violated);
  }
  SUBCASE("of what was written, backwards") {
    Ends ends;
    ends.memory->to_host.written.store(UINT32_MAX);
    CHECK(ends.host->call(5, {}, answer, refusing, patience) == Outcome::Violated);
  }
  SUBCASE("of what was read") {
    Ends ends;
    ends.memory->to_runner.read.store(1);
    CHECK(ends.host->call(5, {}, answer, refusing, patience) == Outcome::Violated);
  }
  SUBCASE("of what was read, far behind") {
    Ends ends;
    ends.memory->to_runner.read.store(0x80000000u);
    CHECK(ends.host->call(5, {std::string(100, 'x')}, answer, refusing, patience) == Outcome::Violated);
  }
}

TEST_CASE("a runner that asks ever deeper is refused by the depth, and the lane goes on") {
  Ends ends;
  int deepest = 0;
  bool given_up = false;
  std::function<bool(Lane&)> deeper;
  FunctionServer of_host([&](Lane& lane, uint16_t, std::string_view, std::string&) { return deeper(lane); });
  deeper = [&](Lane& lane) {
    deepest = std::max(deepest, lane.depth());
    EndlessPatience patience;
    std::string answer;
    const Outcome outcome = lane.call(1, {}, answer, of_host, patience);
    if (outcome == Outcome::GivenUp) given_up = true;
    return outcome == Outcome::Done || outcome == Outcome::GivenUp;
  };
  FunctionServer of_runner([](Lane& lane, uint16_t, std::string_view, std::string&) {
    FunctionServer again([](Lane&, uint16_t, std::string_view, std::string&) { return true; });
    EndlessPatience patience;
    std::string answer;
    std::function<bool(Lane&)> ask;
    FunctionServer nested([&ask](Lane& own, uint16_t, std::string_view, std::string&) { return ask(own); });
    ask = [&](Lane& own) {
      const Outcome outcome = own.call(2, {}, answer, nested, patience);
      return outcome == Outcome::Done || outcome == Outcome::GivenUp;
    };
    return ask(lane);
  });
  std::thread thread([&] {
    EndlessPatience patience;
    ends.runner->serve(of_runner, patience);
  });
  EndlessPatience patience;
  std::string answer;
  CHECK(ends.host->call(1, {}, answer, of_host, patience) == Outcome::Done);
  CHECK(deepest > 4);
  CHECK(deepest <= 32);
  CHECK(ends.host->depth() == 0);
  join(ends, thread);
}

TEST_CASE("a runner that is gone ends who waits for it, after what it said last") {
  Ends ends;
  EndlessPatience patience;
  std::string answer;
  std::string said;
  FunctionServer server([&](Lane&, uint16_t, std::string_view payload, std::string&) {
    said = payload;
    return true;
  });
  ends.runner->post(1, {"last words"}, patience);
  ends.gone.ring();
  CHECK(ends.host->call(1, {}, answer, server, patience) == Outcome::Ended);
  CHECK(said == "last words");
}

TEST_CASE("whoever rings for a runner that is gone keeps nobody waiting") {
  Ends ends;
  ends.gone.ring();
  std::atomic<bool> stops{false};
  std::thread ringing([&] {
    while (!stops) ends.to_host.ring();
  });
  EndlessPatience patience;
  std::string answer;
  CHECK(ends.host->call(1, {}, answer, refusing, patience) == Outcome::Ended);
  stops = true;
  ringing.join();
}

TEST_CASE("whoever writes for a runner that is gone keeps nobody waiting") {
  Ends ends;
  ends.gone.ring();
  std::atomic<bool> stops{false};
  std::thread writing([&] {
    Lane left(*ends.memory, Lane::Side::Runner, ends.to_runner, ends.to_host, -1, kLimit);
    UntilPatience patience(stops);
    const std::string piece(1000, 'x');
    while (left.post(1, {piece}, patience) == Outcome::Done) {
    }
  });
  EndlessPatience patience;
  FunctionServer server([](Lane&, uint16_t, std::string_view, std::string&) { return true; });
  CHECK(ends.host->serve(server, patience) == Outcome::Ended);
  stops = true;
  writing.join();
}

TEST_CASE("patience is asked while bytes come") {
  Ends ends;
  EndlessPatience endless;
  const std::string payload(RingMemory::kBytes - head(0, 1, 3, 0).size(), 'x');
  REQUIRE(ends.runner->post(1, {payload}, endless) == Outcome::Done);
  const std::atomic<bool> stops{true};
  UntilPatience patience(stops);
  bool served = false;
  FunctionServer server([&](Lane&, uint16_t, std::string_view, std::string&) { return served = true; });
  CHECK(ends.host->serve(server, patience) == Outcome::GivenUp);
  CHECK_FALSE(served);
}

TEST_CASE("patience that ends leaves a lane that answers nothing any more") {
  Ends ends;
  ShortPatience patience;
  std::string answer;
  CHECK(ends.host->call(1, {}, answer, refusing, patience) == Outcome::GivenUp);
  CHECK(ends.host->state() == Outcome::GivenUp);
  EndlessPatience endless;
  CHECK(ends.host->post(1, {}, endless) == Outcome::GivenUp);
}
