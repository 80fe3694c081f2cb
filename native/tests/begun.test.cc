#include <doctest/doctest.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>

#include "harness.h"
#include "instance_source.h"
#include "pool.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

// Begins calls without a thread of the host, and leaves it to the test what becomes of them.
class Elsewhere final : public core::InstanceSource {
 public:
  explicit Elsewhere(PluginUnderTest& code) : library_(code.descriptor()) {}
  tenon_status create(const tenon_host_t& host, tenon_plugin_t*& plugin) override {
    return library_.create(host, plugin);
  }
  bool is_isolated() const override { return true; }
  Start begin(core::Call& call, bool may_wait, tenon_status& status) override {
    if (refuses) return Start::Refused;
    if (at_once && may_wait) return call.response.set_body("at once"), status = TENON_OK, Start::Over;
    const std::lock_guard<std::mutex> lock(mutex_);
    begun_.push_back(&call);
    most = std::max(most, begun_.size());
    return Start::Begun;
  }
  tenon_status go_on(core::Call& call) override {
    went_on++;
    call.response.set_body("on a thread");
    return TENON_OK;
  }
  uint32_t ahead() const override { return more; }
  void be_late() override { late++; }

  core::Call* take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (begun_.empty()) return nullptr;
    core::Call* const call = begun_.front();
    begun_.pop_front();
    return call;
  }
  size_t count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return begun_.size();
  }
  static void answer(core::Call& call) {
    call.response.set_body("elsewhere");
    core::end_begun(call, TENON_OK);
  }

  std::atomic<bool> refuses{false};
  std::atomic<bool> at_once{false};
  uint32_t more = 0;
  size_t most = 0;
  std::atomic<int> went_on{0};
  std::atomic<int> late{0};

 private:
  core::LibrarySource library_;
  std::mutex mutex_;
  std::deque<core::Call*> begun_;
};

struct World {
  World() : plugin(front->plugin("test")) {
    plugin.open(100);
    code.max_concurrency = 2;
    code.route(TENON_HTTP_GET, "/", TENON_EXECUTION_POOL, [this](const auto& http, auto*, auto* response) {
      handled++;
      return http.set_body(response, bytes("on the pool"));
    });
    code.route(
        TENON_HTTP_GET, "/soon", TENON_EXECUTION_POOL, [](const auto&, auto*, auto*) { return TENON_OK; }, 30);
    elsewhere = std::make_shared<Elsewhere>(code);
    generation = front.bring_up(plugin, code, 1, "/test", elsewhere);
    REQUIRE(static_cast<bool>(generation));
    plugin.swap(generation->lease());
    slot = front.slot(plugin, "GET", "/test");
  }
  ~World() {
    plugin.swap(nullptr);
    CHECK(front.take_down(generation));
    CHECK(front->pending() == 0);
  }
  std::vector<Answer*> send(int count) {
    std::vector<Answer*> answers;
    for (int index = 0; index < count; index++) answers.push_back(&front.send(slot, "/test"));
    return answers;
  }
  bool all(const std::vector<Answer*>& answers, const std::string& body) {
    return front.until([&] {
      for (const Answer* const answer : answers) {
        if (answer->outcome != core::Outcome::Response || answer->body != body) return false;
      }
      return true;
    });
  }

  FrontUnderTest front;
  core::Plugin& plugin;
  PluginUnderTest code;
  std::atomic<int> handled{0};
  std::shared_ptr<Elsewhere> elsewhere;
  std::shared_ptr<core::Generation> generation;
  uint32_t slot = 0;
};

}  // namespace

TEST_CASE("as many calls begin elsewhere as may run, and the next when one is over") {
  World world;
  const std::vector<Answer*> answers = world.send(6);
  CHECK(world.elsewhere->count() == 2);
  for (int left = 6; left > 0; left--) {
    core::Call* const call = world.elsewhere->take();
    REQUIRE(call != nullptr);
    Elsewhere::answer(*call);
    CHECK(world.elsewhere->count() == std::min<size_t>(2, static_cast<size_t>(left - 1)));
  }
  CHECK(world.all(answers, "elsewhere"));
  CHECK(world.elsewhere->most == 2);
  CHECK(world.handled == 0);
}

TEST_CASE("more begin elsewhere than may run where they may wait there") {
  World world;
  world.elsewhere->more = 3;
  const std::vector<Answer*> answers = world.send(7);
  CHECK(world.elsewhere->count() == 5);
  while (core::Call* const call = world.elsewhere->take()) Elsewhere::answer(*call);
  CHECK(world.all(answers, "elsewhere"));
}

TEST_CASE("a call that is over at once is answered at once") {
  World world;
  world.elsewhere->at_once = true;
  const Answer& answer = world.front.send(world.slot, "/test");
  CHECK(answer.outcome == core::Outcome::Response);
  CHECK(answer.body == "at once");
}

TEST_CASE("a call that cannot begin elsewhere does so on the pool") {
  World world;
  world.elsewhere->refuses = true;
  CHECK(world.all(world.send(8), "on the pool"));
  CHECK(world.handled == 8);
}

TEST_CASE("calls that waited for one that another thread ends come to the pool") {
  World world;
  const std::vector<Answer*> answers = world.send(3);
  std::thread other([&] { Elsewhere::answer(*world.elsewhere->take()); });
  other.join();
  CHECK(world.all({answers[2]}, "on the pool"));
  Elsewhere::answer(*world.elsewhere->take());
  CHECK(world.all({answers[0], answers[1]}, "elsewhere"));
}

TEST_CASE("a call goes on on a thread of the pool, before those that wait") {
  World world;
  const std::vector<Answer*> answers = world.send(4);
  core::go_on_begun(*world.elsewhere->take());
  CHECK(world.all({answers[0]}, "on a thread"));
  CHECK(world.elsewhere->went_on == 1);
  while (core::Call* const call = world.elsewhere->take()) Elsewhere::answer(*call);
  CHECK(world.front.until([&] { return answers[3]->outcome == core::Outcome::Response; }));
}

TEST_CASE("all calls that run elsewhere may go on on threads, also with others that wait there") {
  World world;
  world.elsewhere->more = 10;
  const std::vector<Answer*> answers = world.send(10);
  for (core::Call* call = world.elsewhere->take(); call != nullptr; call = world.elsewhere->take()) {
    core::go_on_begun(*call);
  }
  CHECK(world.all(answers, "on a thread"));
}

TEST_CASE("a call that had not begun after all does so on the pool") {
  World world;
  const std::vector<Answer*> answers = world.send(2);
  std::thread other([&] {
    while (core::Call* const call = world.elsewhere->take()) core::begin_anew(*call);
  });
  other.join();
  CHECK(world.all(answers, "on the pool"));
}

TEST_CASE("a call that misses its deadline elsewhere is answered, and makes room for another") {
  World world;
  const uint32_t soon = world.front.slot(world.plugin, "GET", "/test/soon");
  const Answer& first = world.front.send(soon, "/test/soon");
  const Answer& second = world.front.send(soon, "/test/soon");
  CHECK(world.front.until([&] { return first.status == 504 && second.status == 504; }));
  CHECK(world.front.until([&] { return world.elsewhere->late == 2; }));
  const std::vector<Answer*> next = world.send(2);
  CHECK(world.elsewhere->count() == 4);
  while (core::Call* const call = world.elsewhere->take()) Elsewhere::answer(*call);
  CHECK(world.all(next, "elsewhere"));
}

TEST_CASE("calls that end, go on and begin anew on several threads are each answered once") {
  World world;
  world.elsewhere->more = 8;
  std::atomic<bool> over{false};
  std::thread other([&] {
    for (unsigned turn = 0; !over; turn++) {
      core::Call* const call = world.elsewhere->take();
      if (call == nullptr) {
        std::this_thread::yield();
      } else if (turn % 3 == 0) {
        core::begin_anew(*call);
      } else {
        Elsewhere::answer(*call);
      }
    }
  });
  std::vector<Answer*> answers;
  for (int round = 0; round < 100; round++) {
    for (Answer* const answer : world.send(10)) answers.push_back(answer);
    if (core::Call* const call = world.elsewhere->take()) core::go_on_begun(*call);
    if (core::Call* const call = world.elsewhere->take()) Elsewhere::answer(*call);
    CHECK(world.front.until([&] { return world.front->pending() < 50; }));
  }
  CHECK(world.front.until([&] { return world.front->pending() == 0; }));
  over = true;
  other.join();
  for (const Answer* const answer : answers) CHECK(answer->outcome == core::Outcome::Response);
}
