#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grammar.h"
#include "life.h"
#include "pool.h"
#include "wire/ring.h"

namespace tenon::fuzz {

namespace {

// What the runner says on the express lane: mostly an answer to what it has, and sometimes anything.
void say_express(Script& script, wire::RingWriter& out, uint32_t slots) {
  for (int left = 1 + script.byte() % 8; left > 0 && !script.done(); left--) {
    const uint8_t what = script.byte();
    const std::string bytes = payload(script, wire::kDownHandle);
    wire::ExpressHead head = {script.byte() % slots, wire::Express::Answer, static_cast<uint32_t>(bytes.size()),
                              what >= 128 ? script.number<uint32_t>() : what & 1u};
    if (what % 4 == 3) head.kind = wire::Express::WantsLane;
    if (what >= 252) head.slot = script.number<uint32_t>();
    if (what == 251) head.kind = static_cast<wire::Express>(script.byte());
    if (what == 250) head.size = script.number<uint32_t>();
    out.write(reinterpret_cast<const char*>(&head), sizeof head);
    out.write(bytes.data(), bytes.size());
  }
  if (script.byte() < 240) out.publish();
}

// Each has come to its end once, or waits for a thread of the pool.
void require_ended(core::Generation& generation, const std::vector<std::unique_ptr<Request>>& requests) {
  size_t waiting = 0;
  for (const std::unique_ptr<Request>& request : requests) {
    const int holds = request->call.holds;
    require(holds == 0 || holds == 1);
    require(!request->call.begun);
    if (holds == 1) waiting++;
  }
  core::Pool& pool = generation.pool();
  require(pool.queue_.size() == waiting && pool.begun_ == 0);
  pool.queue_.clear();
}

}  // namespace

void answer_express(Script& script) {
  Life life(script);
  const std::unique_ptr<core::Generation> generation = generation_of(life);
  isolated::ExpressLane& express = life.session->express();
  require(life.session->open_express());
  express.set_limit(1 + script.byte() % 4);
  uint8_t route = 0;
  std::vector<std::unique_ptr<Request>> requests;
  wire::RingWriter out(life.express().to_host);
  const uint32_t count = 1 + script.byte() % 6;
  const auto end = [&](core::Call& call) {
    require(generation->pool().leave(call, false) == nullptr);
    require(call.let_go());
  };
  for (uint32_t index = 0; index < count; index++) {
    auto request = std::make_unique<Request>();
    core::Call& call = request->call;
    if (!request->begin(*generation)) break;
    call.armed = true;
    call.deadline = (script.byte() & 3) == 0 ? 0 : UINT64_MAX;
    const std::string question(script.byte() < 250 ? 100 : 20'000, 'x');
    tenon_status status = TENON_OK;
    using Start = core::InstanceSource::Start;
    const uint64_t token = life.session->frames.add(&call);
    switch (express.begin(call, token, question, "body", route, (script.byte() & 1) != 0, status)) {
      case Start::Begun:
        break;
      case Start::Refused:
        require(life.session->frames.take_back(token));
        end(call);
        break;
      case Start::Over:
        end(call);
        break;
    }
    requests.push_back(std::move(request));
    if ((script.byte() & 3) == 0) say_express(script, out, count);
  }
  for (int turns = 1 + script.byte() % 4; turns > 0; turns--) {
    const uint8_t what = script.byte();
    wire::RingMemory& taken = life.express().to_runner;
    if ((what & 1) != 0) taken.read.store(script.number<uint32_t>());
    if ((what & 2) != 0) taken.read.store(taken.written.load() - script.byte());
    if ((what & 4) != 0) life.express().to_runner.written.store(script.number<uint32_t>());
    if ((what & 8) != 0) life.express().to_host.written.store(script.number<uint32_t>());
    if ((what & 16) != 0) express.due(1, 0);
    say_express(script, out, count);
    express.look();
    express.before_sleep();
  }
  say(script, life.said(1), {wire::kDownContinue});
  core::Pool& pool = generation->pool();
  for (const std::unique_ptr<Request>& request : requests) {
    if (!request->call.goes_on || (script.byte() & 3) == 0) continue;
    pool.queue_.erase(std::find(pool.queue_.begin(), pool.queue_.end(), &request->call));
    life.own->go_on(request->call);
    // A deferral of it is its own.
    request->call.holds = 0;
  }
  life.session->finish(isolated::ProcessEnd{});
  require_ended(*generation, requests);
  for (const std::unique_ptr<Request>& request : requests) request->call.errand.reset();
  generation->close();
}

}  // namespace tenon::fuzz
