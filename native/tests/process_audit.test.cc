#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <clocale>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "black_box.h"
#include "guard_notes.h"
#include "harness.h"
#include "process_audit.h"
#include "thread_record.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

std::string directory_now() {
  char path[512];
  return getcwd(path, sizeof path) == nullptr ? "" : path;
}

mode_t mask_now() {
  const mode_t mask = umask(077);
  umask(mask);
  return mask;
}

struct sigaction action_now(int signal) {
  struct sigaction action = {};
  sigaction(signal, nullptr, &action);
  return action;
}

void set_action(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigaction(signal, &action, nullptr);
}

// What was seen a moment ago is taken to be so still: let that be over.
void age() {
  const uint64_t until = core::now() + core::milliseconds(2);
  while (core::now() < until) {
  }
}

bool has_handler(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler == handler;
}

// What the guards have to say of a plugin that does `work` in its initialize.
std::vector<core::GuardNote> notes_of(std::function<void()> work) {
  age();
  core::take_guard_notes();
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  code.on_initialize = [&work]() -> tenon_status { return work(), TENON_OK; };
  const auto generation = front.bring_up(plugin, code, 1);
  REQUIRE(static_cast<bool>(generation));
  std::vector<core::GuardNote> notes = core::take_guard_notes();
  CHECK(front.take_down(generation));
  CHECK(core::take_guard_notes().empty());
  return notes;
}

}  // namespace

TEST_CASE("a step that leaves the process as it was is not told of") {
  CHECK(notes_of([] {
          const mode_t mask = umask(0);
          umask(mask);
        }).empty());
}

TEST_CASE("another working directory is put back after the step that left it") {
  const std::string before = directory_now();
  const auto notes = notes_of([] { CHECK(chdir("/") == 0); });
  CHECK(directory_now() == before);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].guard == std::string("directory"));
  CHECK(notes[0].detail == "after initialize the working directory of the process was /");
  CHECK(notes[0].restored);
  CHECK(notes[0].certain);
}

TEST_CASE("another umask is put back") {
  const mode_t before = mask_now();
  const auto notes = notes_of([] { umask(0123); });
  CHECK(mask_now() == before);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].guard == std::string("umask"));
  CHECK(notes[0].detail.find("was 0123 in place of") != std::string::npos);
  CHECK(notes[0].restored);
}

TEST_CASE("another locale is put back") {
  const std::string before = setlocale(LC_ALL, nullptr);
  const bool is_known = setlocale(LC_ALL, "C.UTF-8") != nullptr;
  setlocale(LC_ALL, before.c_str());
  if (!is_known) {
    MESSAGE("not tested: there is no locale C.UTF-8 here");
    MESSAGE("there is no C.UTF-8 here: nothing is tested");
    return;
  }
  const auto notes = notes_of([] { setlocale(LC_NUMERIC, "C.UTF-8"); });
  CHECK(setlocale(LC_ALL, nullptr) == before);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].guard == std::string("locale"));
  CHECK(notes[0].restored);
}

TEST_CASE("another environment is told by the names of what is new, and left as it is") {
  const auto notes = notes_of([] { setenv("TENON_TEST_AUDIT", "secret", 1); });
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].guard == std::string("environment"));
  CHECK(notes[0].detail == "after initialize the environment of the process had set or changed: TENON_TEST_AUDIT");
  CHECK_FALSE(notes[0].restored);
  CHECK(getenv("TENON_TEST_AUDIT") == std::string("secret"));
  const auto fewer = notes_of([] { unsetenv("TENON_TEST_AUDIT"); });
  REQUIRE(fewer.size() == 1);
  CHECK(fewer[0].detail == "after initialize the environment of the process had fewer variables");
}

TEST_CASE("a signal that is ignored, or whose handler is taken away, is as before again") {
  const struct sigaction hang_up = action_now(SIGHUP);
  const auto handler = [](int) {};
  set_action(SIGPIPE, handler);
  const auto notes = notes_of([] {
    set_action(SIGPIPE, SIG_DFL);
    set_action(SIGHUP, SIG_IGN);
  });
  CHECK(has_handler(SIGPIPE, handler));
  CHECK(has_handler(SIGHUP, hang_up.sa_handler));
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].detail == "after initialize SIGHUP was ignored");
  CHECK(notes[1].detail == "after initialize SIGPIPE was at its default");
  CHECK(notes[1].restored);
}

TEST_CASE("the handler of a signal that the event loop has no more use for may go at any time, one in use may not") {
  const struct sigaction before = action_now(SIGUSR2);
  static std::atomic<bool> is_used;
  const auto handler = [](int) {};
  core::ProcessAudit& audit = core::ProcessAudit::instance();
  const core::ProcessAudit::Loop loop = {[](void*, int) { return is_used.load(); }, nullptr};
  core::take_guard_notes();
  for (const bool used : {false, true}) {
    is_used = used;
    set_action(SIGUSR2, handler);
    age();
    auto section = audit.begin(core::kNoImage, loop);
    set_action(SIGUSR2, SIG_DFL);
    audit.end(section, "ready", core::ProcessAudit::Look::Now, loop);
    CHECK(has_handler(SIGUSR2, handler) == used);
    CHECK(core::take_guard_notes().size() == (used ? 1u : 0u));
  }
  sigaction(SIGUSR2, &before, nullptr);
}

TEST_CASE("what the host changes between two steps is its own business") {
  core::ProcessAudit& audit = core::ProcessAudit::instance();
  const mode_t before = mask_now();
  core::take_guard_notes();
  auto first = audit.begin(1, {});
  audit.end(first, "ready", core::ProcessAudit::Look::Now, {});
  age();
  umask(0027);
  auto second = audit.begin(2, {});
  audit.end(second, "ready", core::ProcessAudit::Look::Now, {});
  CHECK(core::take_guard_notes().empty());
  CHECK(mask_now() == 0027);
  umask(before);
}

TEST_CASE("of two steps at the same time it is not certain which one it was") {
  core::ProcessAudit& audit = core::ProcessAudit::instance();
  const mode_t before = mask_now();
  core::take_guard_notes();
  age();
  auto one = audit.begin(1, {});
  auto two = audit.begin(2, {});
  umask(0);
  audit.end(two, "initialize", core::ProcessAudit::Look::Now, {});
  audit.end(one, "initialize", core::ProcessAudit::Look::Now, {});
  const auto notes = core::take_guard_notes();
  CHECK(mask_now() == before);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].image == 2);
  CHECK_FALSE(notes[0].certain);
}

TEST_CASE("two steps with one look are told of as one, also when somebody else's comes first") {
  core::ProcessAudit& audit = core::ProcessAudit::instance();
  const mode_t before = mask_now();
  core::take_guard_notes();
  age();
  auto create = audit.begin(1, {});
  umask(0);
  audit.end(create, "create", core::ProcessAudit::Look::Later, {});
  CHECK(core::take_guard_notes().empty());
  auto initialize = audit.begin(1, {});
  audit.end(initialize, "initialize", core::ProcessAudit::Look::Now, {});
  CHECK(core::take_guard_notes().size() == 1);
  CHECK(mask_now() == before);
  auto late = audit.begin(1, {});
  umask(0);
  audit.end(late, "create", core::ProcessAudit::Look::Later, {});
  auto other = audit.begin(2, {});
  const auto notes = core::take_guard_notes();
  audit.end(other, "ready", core::ProcessAudit::Look::Now, {});
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].image == 1);
  CHECK_FALSE(notes[0].certain);
  CHECK(mask_now() == before);
}

TEST_CASE("a handler that the host never lets go of is put back between two steps, too") {
  core::ProcessAudit& audit = core::ProcessAudit::instance();
  const auto handler = [](int) {};
  for (const bool by_step : {false, true}) {
    set_action(SIGPIPE, handler);
    age();
    auto section = audit.begin(1, {});
    audit.end(section, "ready", core::ProcessAudit::Look::Now, {});
    core::take_guard_notes();
    set_action(SIGPIPE, SIG_DFL);
    age();
    if (by_step) {
      auto next = audit.begin(2, {});
      audit.end(next, "ready", core::ProcessAudit::Look::Now, {});
    } else {
      audit.look_at_kept({});
    }
    CHECK(has_handler(SIGPIPE, handler));
    const auto notes = core::take_guard_notes();
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].detail == "meanwhile SIGPIPE was at its default");
    CHECK(notes[0].image == core::kNoImage);
    CHECK(notes[0].restored);
    CHECK_FALSE(notes[0].certain);
  }
}

TEST_CASE("a handler in code that is neither the host's nor a plugin's stays") {
  const struct sigaction before = action_now(SIGPROF);
  core::ProcessAudit& audit = core::ProcessAudit::instance();
  const auto foreign = &::exit;
  for (const bool within : {false, true}) {
    sigaction(SIGPROF, &before, nullptr);
    age();
    auto first = audit.begin(1, {});
    audit.end(first, "ready", core::ProcessAudit::Look::Now, {});
    core::take_guard_notes();
    age();
    if (!within) set_action(SIGPROF, foreign);
    auto second = audit.begin(1, {});
    if (within) set_action(SIGPROF, foreign);
    audit.end(second, "ready", core::ProcessAudit::Look::Now, {});
    CHECK(has_handler(SIGPROF, foreign));
    const auto notes = core::take_guard_notes();
    REQUIRE(notes.size() == (within ? 1u : 0u));
    if (!within) continue;
    CHECK(notes[0].detail == "after ready SIGPROF had a handler that is not the host's");
    CHECK_FALSE(notes[0].restored);
    CHECK_FALSE(notes[0].certain);
  }
  sigaction(SIGPROF, &before, nullptr);
  age();
  auto last = audit.begin(1, {});
  audit.end(last, "ready", core::ProcessAudit::Look::Now, {});
}

TEST_CASE("what another plugin may have changed is not certainly of the step") {
  std::string problem;
  REQUIRE(core::open_box(-1, problem));
  core::ProcessAudit& audit = core::ProcessAudit::instance();
  const mode_t before = mask_now();
  for (const core::ImageIndex image : {1u, 2u}) {
    core::take_guard_notes();
    age();
    auto section = audit.begin(1, {});
    std::thread([image] {
      const core::ThreadRecordGuard guard(core::ThreadKind::Pool);
      const core::Inside inside(image, core::Work::Handle);
      umask(0);
    }).join();
    audit.end(section, "initialize", core::ProcessAudit::Look::Now, {});
    CHECK(mask_now() == before);
    const auto notes = core::take_guard_notes();
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].certain == (image == 1));
  }
}

TEST_CASE(
    "in a process that is somebody else's, directory and umask are put back where a plugin is seen to change them") {
  core::ProcessAudit& audit = core::ProcessAudit::instance();
  const mode_t before = mask_now();
  const std::string home = directory_now();
  audit.share(true);
  for (const bool seen : {true, false}) {
    core::take_guard_notes();
    age();
    auto section = audit.begin(1, {});
    umask(0);
    CHECK(chdir("/") == 0);
    if (seen) {
      core::note_changer(core::ProcessPart::Mask, 2);
      core::note_changer(core::ProcessPart::Directory, 2);
    }
    audit.end(section, "initialize", core::ProcessAudit::Look::Now, {});
    CHECK((mask_now() == before) == seen);
    CHECK((directory_now() == home) == seen);
    const auto notes = core::take_guard_notes();
    REQUIRE(notes.size() == 2);
    for (const core::GuardNote& note : notes) {
      CHECK(note.image == (seen ? 2 : 1));
      CHECK(note.restored == seen);
      CHECK(note.certain == seen);
    }
  }
  audit.share(false);
  umask(before);
  CHECK(chdir(home.c_str()) == 0);
}

TEST_CASE("the signal mask of the event loop's thread is put back after a number of inline calls") {
  FrontUnderTest front;
  core::Plugin& plugin = front->plugin("test");
  plugin.open(10);
  PluginUnderTest code;
  code.route(TENON_HTTP_GET, "/block", TENON_EXECUTION_INLINE, [](auto&, auto*, auto*) -> tenon_status {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    return TENON_OK;
  });
  const auto generation = front.bring_up(plugin, code, 1);
  plugin.swap(generation->lease());
  core::take_guard_notes();
  const uint32_t slot = front.slot(plugin, "GET", "/test/block");
  for (uint32_t count = 0; count < core::SignalMaskAudit::kCallsPerLook; count++) front.ask(slot, "/test/block");
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  CHECK(sigismember(&mask, SIGTERM) == 0);
  const auto notes = core::take_guard_notes();
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].guard == std::string("signals"));
  CHECK_FALSE(notes[0].certain);
  plugin.swap(nullptr);
  CHECK(front.take_down(generation));
}
