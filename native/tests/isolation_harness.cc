#include "isolation_harness.h"

#if defined(TENON_RUNNER)

#include <doctest/doctest.h>
#include <fcntl.h>

#include <utility>

namespace tenon::tests {

IsolatedUnderTest::IsolatedUnderTest(const Change& change) : plugin(front->plugin("test")) {
  plugin.open(10000);
  isolated::IsolationSettings settings;
  settings.grace_ms = 100;
  settings.lifecycle_ms = 5000;
  settings.launch.runner = TENON_RUNNER;
  settings.launch.library = open(TENON_CONFINED_IMAGE, O_RDONLY | O_CLOEXEC);
  settings.launch.library_path = TENON_CONFINED_IMAGE;
  settings.launch.settings.protocol = wire::kProtocol;
  settings.launch.settings.id = "test";
  settings.launch.settings.generation = 1;
  settings.on_end = [this](const isolated::Ending& ending) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ends_.push_back(ending);
  };
  if (change) change(settings);
  source = std::make_shared<isolated::IsolatedPlugin>(std::move(settings));
  generation = std::make_shared<core::Generation>(front.front, plugin, source,
                                                  core::GenerationSettings{1, "", "/test", {5000, 1 << 20, 4}});
  for (const core::Step step : {core::Step::Create, core::Step::Initialize, core::Step::Routes}) {
    std::string message;
    if (front.perform(generation, step, 5000, nullptr, &message)) continue;
    MESSAGE(core::step_name(step), ": ", message, "; its process ", ends_.empty() ? "runs" : ends_.back().end.how);
    // One that was not created has nothing to be taken down but its thread.
    if (!front.take_down(generation)) {
      front.perform(generation, core::Step::Stop);
      generation->close();
    }
    generation = nullptr;
    return;
  }
  for (const core::Route& route : generation->routes()) {
    slot_ = front->slot(plugin, route.method, generation->path_of(route));
    front->bind(*generation, slot_, route.index);
  }
  front.perform(generation, core::Step::Ready);
  plugin.swap(generation->lease());
}

IsolatedUnderTest::~IsolatedUnderTest() {
  plugin.swap(nullptr);
  if (generation) front.take_down(generation);
}

Answer& IsolatedUnderTest::send(const std::string& what, const std::string& argument) {
  return front.send(slot_, "/test/" + what, {}, argument);
}

Answer IsolatedUnderTest::ask(const std::string& what, const std::string& argument) {
  return front.ask(slot_, "/test/" + what, {}, argument);
}

std::string IsolatedUnderTest::pid() { return ask("pid").body; }

isolated::Ending IsolatedUnderTest::next_end() {
  isolated::Ending ending;
  front.until([&] {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (taken_ == ends_.size()) return false;
    ending = ends_[taken_++];
    return true;
  });
  return ending;
}

isolated::ProcessFacts IsolatedUnderTest::facts() {
  const std::vector<isolated::ProcessFacts> all = source->facts();
  return all.empty() ? isolated::ProcessFacts() : all.front();
}

}  // namespace tenon::tests

#endif
