#include "isolation_harness.h"

#if defined(TENON_RUNNER)

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "isolated/line_pace.h"
#include "isolated/process_meter.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

bool is_there(pid_t pid) { return access(("/proc/" + std::to_string(pid)).c_str(), F_OK) == 0; }

bool stands_still(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  file >> number >> name >> state;
  return state == "T";
}

constexpr uint64_t kMebibyte = 1024 * 1024;

// The version that the kernel has; 0: none.
uint32_t landlock_of_kernel() { return static_cast<uint32_t>(std::max(0L, syscall(444, nullptr, 0, 1))); }
// Whether it can keep descriptors from a socket.
bool can_refuse_descriptors() {
  int pair[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) return false;
  const int refused = 0;
  const bool can = setsockopt(pair[0], SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &refused, sizeof refused) == 0;
  for (const int end : pair) close(end);
  return can;
}

#if defined(__has_feature)
constexpr bool kThreadSanitized = __has_feature(thread_sanitizer);
constexpr bool kSanitized = __has_feature(address_sanitizer) || kThreadSanitized;
#else
constexpr bool kThreadSanitized = false;
constexpr bool kSanitized = false;
#endif

}  // namespace

TEST_CASE("a runner reaches no other process, no privilege and no namespace") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  REQUIRE(under.facts().confinement.has_value());
  REQUIRE(under.facts().confinement->seccomp);
  const std::string host = std::to_string(getpid());
  for (const std::string what :
       {"kill", "kill-group", "signal-thread", "ptrace", "prlimit", "priority", "join-group", "fork", "execute",
        "unshare", "clone-sibling", "io-uring", "own-signals", "setuid", "system-v"}) {
    CAPTURE(what);
    CHECK(under.ask(what, host).body == "EPERM");
  }
  CHECK(under.ask("kill-own").body == "done");
  CHECK(under.ask("thread").body == "done");
}

TEST_CASE("a runner reads what it likes and writes where it may") {
  char folder[] = "/var/tmp/tenon-confined-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string own = std::string(folder) + "/own";
  const std::string foreign = std::string(folder) + "/foreign";
  const std::string temporary = std::string(folder) + "/temporary";
  REQUIRE(mkdir(own.c_str(), 0700) == 0);
  REQUIRE(mkdir(temporary.c_str(), 0700) == 0);
  const int file = open(foreign.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  close(file);
  {
    IsolatedUnderTest under([&](auto& settings) {
      settings.launch.settings.writable = {own};
      settings.launch.temporary = temporary;
    });
    REQUIRE(static_cast<bool>(under.generation));
    REQUIRE(under.facts().confinement.has_value());
    CHECK(under.facts().confinement->landlock == landlock_of_kernel());
    if (under.facts().confinement->landlock > 0) {
      CHECK(under.ask("write", foreign).body == "EACCES");
      CHECK(under.ask("create", foreign + "2").body == "EACCES");
      CHECK(under.ask("remove", foreign).body == "EACCES");
      CHECK(under.ask("create", "/tmp" + std::string(strrchr(folder, '/'))).body == "EACCES");
      CHECK(under.ask("create", "/dev/shm" + std::string(strrchr(folder, '/'))).body == "EACCES");
      CHECK(under.ask("link", foreign).body != "done");
      CHECK(under.ask("chmod", foreign).body == "EPERM");
      CHECK(under.ask("write", "/proc/" + std::to_string(getpid()) + "/mem").body == "EACCES");
      CHECK(under.ask("read", "/proc/" + std::to_string(getpid()) + "/environ").body == "EACCES");
    }
    CHECK(under.ask("read", foreign).body == "done");
    CHECK(under.ask("create", own + "/file").body == "done");
    CHECK(under.ask("remove", own + "/file").body == "done");
    CHECK(under.ask("write", "/dev/null").body == "done");
    CHECK(under.ask("temporary").body == temporary);
    CHECK(under.ask("create", temporary + "/file").body == "done");
    CHECK(under.ask("remove", temporary + "/file").body == "done");
  }
  unlink(foreign.c_str());
  rmdir(own.c_str());
  rmdir(temporary.c_str());
  rmdir(folder);
}

TEST_CASE("a runner that needs all of what confines begins no plugin where it is not there") {
  IsolatedUnderTest under([](auto& settings) {
    settings.launch.settings.sandbox = false;
    settings.launch.settings.needs_all = true;
  });
  CHECK_FALSE(static_cast<bool>(under.generation));
  CHECK(under.next_end().end.how == "is not confined by seccomp and landlock");
}

TEST_CASE("a runner reads nothing of what is hidden, and all that is beside it") {
  char folder[] = "/var/tmp/tenon-confined-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string hidden = std::string(folder) + "/data";
  const std::string own = hidden + "/own";
  const std::string longer = hidden + "-too";
  const std::string secret = hidden + "/admin-token";
  for (const std::string& path : {hidden, own}) REQUIRE(mkdir(path.c_str(), 0700) == 0);
  for (const std::string& path : {secret, longer}) {
    close(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  }
  // Another way to it, which the runner is given and the plugin takes.
  const std::string link = std::string(folder) + "/link";
  REQUIRE(symlink(hidden.c_str(), link.c_str()) == 0);
  for (const std::string& name : {hidden, link}) {
    CAPTURE(name);
    IsolatedUnderTest under([&](auto& settings) {
      settings.launch.settings.hidden = {name};
      settings.launch.settings.writable = {folder, own};
    });
    REQUIRE(static_cast<bool>(under.generation));
    REQUIRE(under.facts().confinement.has_value());
    CHECK(under.facts().confinement->landlock == landlock_of_kernel());
    if (under.facts().confinement->landlock > 0) {
      for (const std::string& path : {secret, link + "/admin-token", hidden, "/proc/self/root" + secret}) {
        CAPTURE(path);
        CHECK(under.ask("read", path).body == "EACCES");
      }
      CHECK(under.ask("write", secret).body == "EACCES");
      CHECK(under.ask("create", hidden + "/new").body == "EACCES");
      CHECK(under.ask("remove", secret).body == "EACCES");
    }
    CHECK(under.ask("read", longer).body == "done");
    CHECK(under.ask("write", longer).body == "done");
    CHECK(under.ask("read", "/etc/passwd").body == "done");
    CHECK(under.ask("create", own + "/file").body == "done");
    CHECK(under.ask("read", own + "/file").body == "done");
    CHECK(under.ask("remove", own + "/file").body == "done");
  }
  for (const std::string& path : {link, longer, secret}) unlink(path.c_str());
  for (const std::string& path : {own, hidden, std::string(folder)}) rmdir(path.c_str());
}

TEST_CASE("memory, descriptors and processes of a runner are limited") {
  if (kSanitized) {
    MESSAGE("not tested: what sanitizers keep beside a runner's memory is above the limit from the start");
    return;
  }
  IsolatedUnderTest under([](auto& settings) {
    settings.launch.settings.memory_bytes = 64 * kMebibyte;
    settings.launch.settings.descriptors = 50;
  });
  REQUIRE(static_cast<bool>(under.generation));
  CHECK(under.ask("allocate", std::to_string(32 * kMebibyte)).body == "done");
  CHECK(under.ask("allocate", std::to_string(256 * kMebibyte)).body == "ENOMEM");
  const int most = std::atoi(under.ask("descriptors").body.c_str());
  CHECK(most >= 50);
  CHECK(most < 1000);
}

TEST_CASE("a runner whose resident memory grows over its limit is ended and named") {
  if (kSanitized) {
    MESSAGE("not tested: what sanitizers keep beside a runner's memory is above the limit from the start");
    return;
  }
  IsolatedUnderTest under([](auto& settings) { settings.launch.settings.memory_bytes = 64 * kMebibyte; });
  REQUIRE(static_cast<bool>(under.generation));
  under.ask("share", std::to_string(128 * kMebibyte));
  const isolated::Ending ending = under.next_end();
  CHECK(ending.end.how == "used more memory than its limit of 64 MiB");
  CHECK(ending.end.by_host);
  CHECK_FALSE(under.pid().empty());
}

TEST_CASE("a runner that may begin processes may not have more than that") {
  IsolatedUnderTest under([](auto& settings) { settings.launch.settings.processes = 3; });
  REQUIRE(static_cast<bool>(under.generation));
  CHECK(under.ask("fork-many", "2").body == "done");
  CHECK(under.ask("kill", std::to_string(getpid())).body == "EPERM");
  under.ask("fork-many", "4");
  CHECK(under.next_end().end.how == "had more than 3 processes of its own");
}

TEST_CASE("processes count that are begun by a child which has ended") {
  IsolatedUnderTest under([](auto& settings) { settings.launch.settings.processes = 3; });
  REQUIRE(static_cast<bool>(under.generation));
  under.ask("fork-orphans", "4");
  CHECK(under.next_end().end.how == "had more than 3 processes of its own");
}

TEST_CASE("processes count whose first thread has ended, and threads of processes") {
  if (kThreadSanitized) {
    MESSAGE("not tested: the thread sanitizer ends a child that begins threads");
    return;
  }
  IsolatedUnderTest under([](auto& settings) { settings.launch.settings.processes = 3; });
  REQUIRE(static_cast<bool>(under.generation));
  under.ask("fork-threads", "8");
  const pid_t pid = under.facts().pid;
  CHECK(under.front.until([&] { return isolated::children_of(pid, {3, 100}).threads == 8; }));
  CHECK(isolated::children_of(pid, {3, 100}).processes == 1);
  CHECK(isolated::group_of(pid, {3, 100}).threads == 8);
  CHECK(isolated::group_of(pid, {3, 100}).processes == 1);
  CHECK(isolated::children_of(pid, {3, 5}).threads > 5);
  under.ask("fork-headless", "3");
  CHECK(under.next_end().end.how == "had more than 3 processes of its own");
}

TEST_CASE("processes that have ended do not count, whoever is to wait for them") {
  for (const char* what : {"fork-ended", "fork-ended-orphans"}) {
    CAPTURE(std::string(what));
    IsolatedUnderTest under([](auto& settings) {
      settings.launch.settings.processes = 3;
      settings.launch.settings.descriptors = 50;
    });
    REQUIRE(static_cast<bool>(under.generation));
    const std::string pid = under.pid();
    CHECK(under.ask(what, "300").body == "done");
    CHECK(under.ask("descriptors").body != "0");
    // Files are looked at after processes.
    CHECK(under.front.until([&] { return under.facts().descriptors >= 50; }));
    CHECK(under.pid() == pid);
    CHECK(under.facts().restarts == 0);
  }
}

TEST_CASE("figures of a process are there from the first on") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  CHECK(under.facts().threads > 0);
  CHECK(under.facts().resident_bytes > 0);
  CHECK(under.facts().descriptors > 0);
}

TEST_CASE("lines that were left out are told though none follows") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  constexpr uint64_t kLines = 5000;
  uint64_t lines = 0;
  uint64_t left_out = 0;
  const auto collect = [&] {
    for (const auto& record : under.front->log().take()) {
      if (record->message.find("lines were left out") != std::string::npos) {
        left_out += std::strtoull(record->message.c_str(), nullptr, 10);
      } else if (record->message.find("again and again") != std::string::npos) {
        lines++;
      }
    }
  };
  for (int count = 0; count < 3; count++) {
    CHECK(under.ask("flood-output", std::to_string(kLines)).body == "done");
    collect();
  }
  CHECK(under.front.until([&] {
    collect();
    return lines + left_out == 3 * kLines;
  }));
  CHECK(left_out > 0);
}

TEST_CASE("what a process prints right before its end is read to the last line") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  under.ask("shout", "last words");
  const isolated::Ending ending = under.next_end();
  REQUIRE_FALSE(ending.end.said.empty());
  CHECK(ending.end.said.back() == "last words");
}

TEST_CASE("a process cannot send descriptors to its host") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  CHECK(under.ask("pass").body == (can_refuse_descriptors() ? "EPERM" : "done"));
}

TEST_CASE("of lines that come too fast some are left out, and how many is told") {
  isolated::LinePace pace;
  constexpr uint64_t kEach = isolated::LinePace::kEachNs;
  const uint64_t time = 100 * isolated::LinePace::kAtOnce * kEach;
  for (uint64_t count = 0; count < isolated::LinePace::kAtOnce; count++) REQUIRE(pace.take(time).may);
  for (int count = 0; count < 3; count++) CHECK_FALSE(pace.take(time).may);
  const isolated::LinePace::Turn turn = pace.take(time + kEach);
  CHECK(turn.may);
  CHECK(turn.left_out == 3);
  CHECK_FALSE(pace.take(time + kEach).may);
  CHECK(pace.take_left_out() == 1);
  CHECK(pace.take(time + 2 * kEach).left_out == 0);
}

TEST_CASE("a runner over its share of a processor stands still") {
  IsolatedUnderTest under([](auto& settings) { settings.processor_percent = 10; });
  REQUIRE(static_cast<bool>(under.generation));
  CHECK(under.ask("spin").body == "done");
  const pid_t pid = under.facts().pid;
  for (int count = 0; count < 3; count++) {
    CHECK(under.front.until([&] { return stands_still(pid); }));
    CHECK(under.front.until([&] { return !stands_still(pid); }));
  }
  CHECK_FALSE(under.pid().empty());
}

TEST_CASE("the end of a runner is told with signal, place, request and last words") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  const std::string pid = under.pid();
  under.ask("say", "first\nlast words");
  const Answer answer = under.ask("fault");
  CHECK(answer.status == 502);
  const isolated::Ending ending = under.next_end();
  CHECK(std::to_string(ending.end.pid) == pid);
  CHECK(ending.end.how == "was ended by SIGSEGV");
  CHECK_FALSE(ending.expected);
  CHECK(ending.replaced);
  REQUIRE(ending.end.fault.has_value());
  CHECK(ending.end.fault->signal == SIGSEGV);
  CHECK(ending.end.fault->address == 8);
  REQUIRE_FALSE(ending.end.fault->frames.empty());
  CHECK(ending.end.fault->frames[0].in_library);
  CHECK(ending.end.fault->frames.size() > 3);
  REQUIRE(ending.end.doing.size() == 1);
  CHECK(ending.end.doing[0].code == wire::kDownHandle);
  CHECK(ending.end.doing[0].lane == ending.end.fault->lane);
  CHECK(ending.end.doing[0].request > 0);
  if (kSanitized) {
    MESSAGE("not tested: a sanitizer has words of its own after those of the plugin");
  } else {
    REQUIRE(ending.end.said.size() == 2);
    CHECK(ending.end.said[1] == "last words");
  }
  CHECK(under.pid() != pid);
  CHECK(under.facts().restarts == 1);
  CHECK(under.facts().last_end == "was ended by SIGSEGV");
}

TEST_CASE("ends of a runner are named by what they are") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  const auto how = [&](const char* what, const char* argument) {
    under.pid();
    under.ask(what, argument);
    return under.next_end().end.how;
  };
  CHECK(how("abort", "") == "was ended by SIGABRT");
  CHECK(how("exit", "3") == "exited with 3");
  CHECK(how("kill-itself", "") == "was ended by SIGKILL");
}

TEST_CASE("a runner that kills itself, floods its socket or closes everything is replaced") {
  for (const char* what : {"kill-itself", "flood-socket", "close-all"}) {
    CAPTURE(std::string(what));
    IsolatedUnderTest under;
    REQUIRE(static_cast<bool>(under.generation));
    under.send(what);
    CHECK_FALSE(under.next_end().end.how.empty());
    CHECK_FALSE(under.pid().empty());
  }
}

TEST_CASE("a runner that prints without end serves on, and what it has begun ends with it") {
  IsolatedUnderTest under([](auto& settings) { settings.launch.settings.processes = 2; });
  REQUIRE(static_cast<bool>(under.generation));
  CHECK(under.ask("flood-output", "5000").body == "done");
  CHECK(under.ask("fork").body == "done");
  const pid_t pid = std::atoi(under.pid().c_str());
  under.ask("kill-itself");
  under.next_end();
  CHECK_FALSE(is_there(pid));
}

TEST_CASE("a new process begins with the state that was saved last, and as quiet as the others") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  CHECK(under.ask("keep", "saved").body == "saved");
  CHECK(under.front.perform(under.generation, core::Step::Quiesce));
  CHECK(under.front.perform(under.generation, core::Step::Save));
  under.ask("keep", "unsaved");
  under.ask("kill-itself");
  under.next_end();
  CHECK(under.ask("kept").body == "saved");
  CHECK(under.ask("quiet").body == "quiet");
  CHECK(under.front.perform(under.generation, core::Step::Resume));
  CHECK(under.ask("quiet").body == "awake");
}

TEST_CASE("a step of life waits for a process that is being started again") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  for (int count = 0; count < 2; count++) {
    under.ask("kill-itself");
    under.next_end();
    CHECK(under.front.perform(under.generation, core::Step::Quiesce));
    CHECK(under.front.perform(under.generation, core::Step::Resume));
  }
}

TEST_CASE("a runner past its deadline is ended after its grace") {
  IsolatedUnderTest under;
  REQUIRE(static_cast<bool>(under.generation));
  under.send("sleep");
  CHECK(under.next_end().end.how == "did not return from a call past its deadline");
}

TEST_CASE("no process and no descriptor is left of a runner") {
  const auto descriptors = [] {
    size_t count = 0;
    DIR* const folder = opendir("/proc/self/fd");
    while (readdir(folder) != nullptr) count++;
    closedir(folder);
    return count;
  };
  { IsolatedUnderTest warm; }
  // Threads of the core may still close what tests before this one left to them: what each life leaves adds up to more.
  constexpr size_t kLives = 12;
  const size_t before = descriptors();
  for (size_t life = 0; life < kLives; life++) {
    pid_t pid = 0;
    {
      IsolatedUnderTest under;
      REQUIRE(static_cast<bool>(under.generation));
      pid = std::atoi(under.pid().c_str());
      under.ask("fault");
      CHECK_FALSE(under.pid().empty());
    }
    CHECK_FALSE(is_there(pid));
  }
  CHECK(descriptors() < before + kLives / 2);
}

#endif
