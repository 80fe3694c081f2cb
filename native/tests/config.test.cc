#include "tenon/ext/config.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "harness.h"

using namespace tenon;
using tests::FrontUnderTest;
using tests::PluginUnderTest;

namespace {

struct Bench {
  Bench() {
    plugin.open(1);
    side.size = sizeof side;
    side.changed = [](tenon_plugin_t*, tenon_bytes_t application, tenon_bytes_t json) {
      return current->changed(application, json);
    };
    current = this;
  }

  tenon_status changed(tenon_bytes_t application, tenon_bytes_t json) {
    seen.push_back(std::string(core::view(application)) + "=" + std::string(core::view(json)));
    during = own();
    if (answer != TENON_OK) {
      const auto* const log = static_cast<const tenon_host_log_t*>(code.host->get_extension(code.host, TENON_LOG_ID));
      log->write(code.host, TENON_LOG_WARN, tests::bytes("the port is taken"), nullptr, 0);
    }
    return answer;
  }

  std::shared_ptr<core::Generation> start(bool offers) {
    if (offers) code.sides[TENON_CONFIG_ID] = &side;
    auto generation = std::make_shared<core::Generation>(
        front.front, plugin, std::make_shared<core::LibrarySource>(code.descriptor()),
        core::GenerationSettings{
            1, "", "/test", {1000, 1024, 1}, {}, {R"({"a":1})", {{"shop", "{}"}, {"blog", R"({"b":2})"}}}});
    for (const core::Step step : {core::Step::Create, core::Step::Initialize, core::Step::Routes, core::Step::Ready}) {
      CHECK(front.perform(generation, step));
    }
    return generation;
  }

  const tenon_host_config_t& config() {
    return *static_cast<const tenon_host_config_t*>(code.host->get_extension(code.host, TENON_CONFIG_ID));
  }
  std::string own() {
    std::string text = "nothing";
    config().own(
        code.host,
        [](void* context, tenon_bytes_t json) { static_cast<std::string*>(context)->assign(core::view(json)); }, &text);
    return text;
  }
  std::string consumers() {
    std::string text;
    config().consumers(
        code.host,
        [](void* context, tenon_bytes_t application, tenon_bytes_t settings) {
          auto& all = *static_cast<std::string*>(context);
          all.append(core::view(application)).append(core::view(settings)).append(" ");
        },
        &text);
    return text;
  }

  std::shared_ptr<core::Task> configure(const std::shared_ptr<core::Generation>& generation, std::string application,
                                        std::string json) {
    auto task = std::make_shared<core::Task>();
    task->step = core::Step::Configure;
    task->generation = generation;
    task->deadline = core::now() + core::milliseconds(5000);
    task->application = std::move(application);
    task->bytes = std::move(json);
    front->submit(task);
    CHECK(front.until([&] { return task->state.load() == core::Task::State::Settled; }));
    return task;
  }

  static inline Bench* current = nullptr;
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  PluginUnderTest code;
  tenon_plugin_config_t side = {};
  tenon_status answer = TENON_OK;
  std::vector<std::string> seen;
  std::string during;
};

}  // namespace

TEST_CASE("a change of config holds once the plugin has taken it, and not before") {
  Bench bench;
  const auto generation = bench.start(true);
  CHECK(bench.own() == R"({"a":1})");
  CHECK(bench.consumers() == R"(blog{"b":2} shop{} )");
  CHECK_FALSE(bench.configure(generation, "", R"({"a":2})")->failed);
  CHECK(bench.during == R"({"a":1})");
  CHECK(bench.own() == R"({"a":2})");
  CHECK_FALSE(bench.configure(generation, "wiki", R"({"c":3})")->must_reload);
  CHECK_FALSE(bench.configure(generation, "shop", "")->failed);
  CHECK(bench.consumers() == R"(blog{"b":2} wiki{"c":3} )");
  CHECK((bench.seen == std::vector<std::string>{R"(={"a":2})", R"(wiki={"c":3})", "shop="}));
  const tenon_host_config_t& config = bench.config();
  CHECK(bench.front.take_down(generation));
  bool visited = false;
  config.own(
      bench.code.host, [](void* context, tenon_bytes_t) { *static_cast<bool*>(context) = true; }, &visited);
  CHECK_FALSE(visited);
}

TEST_CASE("a change of config that is refused changes nothing, and is reported with what the plugin logged") {
  Bench bench;
  const auto generation = bench.start(true);
  bench.answer = TENON_ERROR;
  const auto task = bench.configure(generation, "", R"({"a":2})");
  CHECK(task->failed);
  CHECK(task->message == "the port is taken");
  CHECK(bench.own() == R"({"a":1})");
  bench.answer = TENON_ERROR_UNSUPPORTED;
  const auto reload = bench.configure(generation, "blog", "{}");
  CHECK_FALSE(reload->failed);
  CHECK(reload->must_reload);
  CHECK(bench.consumers() == R"(blog{"b":2} shop{} )");
  CHECK(bench.front.take_down(generation));
}

TEST_CASE("a plugin that takes no change of config is to be reloaded, once it has looked at it") {
  Bench bench;
  const auto generation = bench.start(false);
  CHECK_FALSE(bench.configure(generation, "", R"({"a":2})")->must_reload);
  CHECK(bench.own() == R"({"a":2})");
  CHECK(bench.configure(generation, "", R"({"a":3})")->must_reload);
  CHECK(bench.own() == R"({"a":2})");
  CHECK(bench.front.take_down(generation));
}
