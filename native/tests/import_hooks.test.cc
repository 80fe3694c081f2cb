#include "import_hooks.h"

#include <doctest/doctest.h>

#if defined(__linux__)

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "black_box.h"
#include "descriptor_guard.h"
#include "guard_notes.h"
#include "image_registry.h"
#include "plugin_gauges.h"
#include "thread_guard.h"
#include "thread_priority.h"
#include "thread_record.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define TENON_TEST_LEAKS 1
#endif
#endif

using namespace tenon::core;

namespace {

#if defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// A libstdc++ within an image takes memory for its exceptions when it is opened, and keeps it when it is closed.
void* open_image(const char* path) {
#if defined(TENON_TEST_LEAKS)
  const __lsan::ScopedDisabler memory_of_libstdcxx;
#endif
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

// An image, open and hooked as those of plugins are.
class HookedImage {
 public:
  explicit HookedImage(const char* path, const char* symbol = "get_memory") {
    std::string problem;
    REQUIRE(open_box(-1, problem));
    take_guard_notes();
    index = image_registry::loading("hooked", 1, "00");
    handle_ = open_image(path);
    REQUIRE_MESSAGE(handle_ != nullptr, dlerror());
    image_registry::opened(index, dlsym(handle_, symbol));
    import_hooks::install(index, dlsym(handle_, symbol));
  }
  ~HookedImage() { close(); }
  HookedImage(const HookedImage&) = delete;
  HookedImage& operator=(const HookedImage&) = delete;

  void close() {
    if (handle_ == nullptr) return;
    image_registry::enter(index, ImageState::Closed);
    import_hooks::closed(index);
    dlclose(handle_);
    handle_ = nullptr;
  }

  template <typename Result, typename... Arguments>
  Result call(const char* name, Arguments... arguments) {
    using Function = Result (*)(Arguments...);
    const auto function = reinterpret_cast<Function>(dlsym(handle_, name));
    REQUIRE(reinterpret_cast<void*>(function) != nullptr);
    return function(arguments...);
  }

  PluginGauge gauge() const { return gauges::of(index); }

  ImageIndex index = kNoImage;

 private:
  void* handle_ = nullptr;
};

std::string only_note(const char* guard) {
  const std::vector<GuardNote> notes = take_guard_notes();
  REQUIRE(notes.size() == 1);
  CHECK(std::string(notes[0].guard) == guard);
  return notes[0].detail;
}

bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) != -1; }

const std::vector<const char*> kImages = {TENON_HOOKED_IMAGE, TENON_HOOKED_IMAGE "-noplt", TENON_HOOKED_IMAGE "-lazy"};

void go_on_in_cpp(const char* path) {
  CAPTURE(path);
  HookedImage image(path, "create");
  // `create` jumps to what it calls: only where the thread is in says who it was.
  const ThreadRecordGuard record(ThreadKind::Other);
  const Inside inside(image.index, Work::Handle);
  void* const block = image.call<void*>("create", size_t{1 << 20});
  CHECK(image.gauge().memory >= 1 << 20);
  image.call<void>("destroy", block);
  CHECK(image.gauge().memory < 1 << 17);
  if (kSanitized) {
    MESSAGE("sanitizers end the process where there is no memory: what operator new throws is not tested");
  } else {
    CHECK(image.call<bool>("catch_bad_alloc"));
  }
  image.call<void>("start_std_thread");
  image.call<void>("start_std_thread");
  for (int looks = 0; looks < 10000 && image.gauge().threads != 2; looks++) usleep(1000);
  CHECK(image.gauge().threads == 2);
  image.call<void>("end_std_threads");
  CHECK(image.gauge().threads == 0);
  CHECK(image.call<bool>("catch_what_a_thread_throws"));
  CHECK(image.gauge().threads == 0);
}

}  // namespace

TEST_CASE("imports are hooked however the image was linked") {
  for (const char* const path : kImages) {
    CAPTURE(path);
    HookedImage image(path);
    const int descriptor = image.call<int>("get_file", "/dev/null");
    CHECK(descriptor >= 0);
    CHECK(image.gauge().descriptors == 1);
    CHECK(image.call<int>("give_file_by_address", descriptor) == 0);
    CHECK(image.gauge().descriptors == 0);
    CHECK_FALSE(is_open(descriptor));
    CHECK(take_guard_notes().empty());
  }
}

TEST_CASE("descriptors that an image opens are counted until they are closed, and keep their modes") {
  HookedImage image(TENON_HOOKED_IMAGE);
  int pair[2];
  CHECK(image.call<int>("get_pipe", &pair[0]) == 0);
  CHECK(image.gauge().descriptors == 2);
  CHECK(image.call<int>("replace_file", pair[0], pair[1]) == pair[1]);
  CHECK(image.gauge().descriptors == 2);
  CHECK(image.call<int>("give_file", pair[0]) == 0);
  CHECK(image.call<int>("give_file", pair[1]) == 0);
  const std::string path = std::string(P_tmpdir) + "/tenon-hooked-" + std::to_string(getpid());
  const mode_t before = umask(0);
  const int descriptor = image.call<int>("make_file", path.c_str(), 0640);
  umask(before);
  struct stat facts = {};
  CHECK(fstat(descriptor, &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0640);
  CHECK(unlink(path.c_str()) == 0);
  CHECK(image.gauge().descriptors == 1);
  CHECK(image.call<int>("give_file", descriptor) == 0);
  CHECK(image.gauge().descriptors == 0);
  errno = 0;
  CHECK(image.call<int>("get_file", "/no/such/file") == -1);
  CHECK(errno == ENOENT);
  CHECK(take_guard_notes().empty());
}

TEST_CASE("an image closes no descriptor of the host") {
  HookedImage image(TENON_HOOKED_IMAGE);
  const int host = open("/dev/null", O_RDONLY | O_CLOEXEC);
  protect_descriptor(host);
  errno = 0;
  CHECK(image.call<int>("give_file", host) == -1);
  CHECK(errno == EBADF);
  CHECK(is_open(host));
  CHECK(only_note("descriptor") ==
        "close of descriptor " + std::to_string(host) + ", which is the host's, was refused");
  const int own = image.call<int>("get_file", "/dev/null");
  CHECK(image.call<int>("replace_file", own, host) == -1);
  CHECK(take_guard_notes().size() == 1);
  CHECK(image.call<int>("give_all_from", 3U) == -1);
  CHECK(is_open(host));
  CHECK(is_open(own));
  CHECK(take_guard_notes().size() == 1);
  CHECK(image.call<int>("give_file", own) == 0);
  close(host);
  // Whoever has the number from here on.
  errno = 0;
  CHECK(image.call<int>("give_file", host) == -1);
  CHECK(errno == EBADF);
  int pair[2];
  REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
  const int stale = open("/dev/null", O_RDONLY | O_CLOEXEC);
  protect_descriptor(stale);
  REQUIRE(dup3(pair[0], stale, O_CLOEXEC) == stale);
  CHECK(image.call<int>("give_file", stale) == 0);
  CHECK_FALSE(is_open(stale));
  for (const int end : pair) close(end);
  CHECK(take_guard_notes().empty());
}

TEST_CASE("a descriptor that the host has released is nobody's") {
  HookedImage image(TENON_HOOKED_IMAGE);
  const int host = open("/dev/null", O_RDONLY | O_CLOEXEC);
  protect_descriptor(host);
  release_descriptor(host);
  CHECK(image.call<int>("give_file", host) == 0);
  CHECK(take_guard_notes().empty());
}

TEST_CASE("a descriptor that is closed twice is not one of the host the second time, and told where nobody knows") {
  HookedImage image(TENON_HOOKED_IMAGE);
  const int own = image.call<int>("get_file", "/dev/null");
  CHECK(image.call<int>("give_file", own) == 0);
  CHECK(image.call<int>("give_file", own) == -1);
  CHECK(take_guard_notes().empty());
  const int host = open("/dev/null", O_RDONLY | O_CLOEXEC);
  REQUIRE(host == own);
  protect_descriptor(host);
  CHECK(image.call<int>("give_file", own) == -1);
  CHECK(is_open(host));
  CHECK(only_note("descriptor").find("which is the host's") != std::string::npos);
  close(host);
  // One that a library has opened for it, perhaps.
  const int again = image.call<int>("get_file", "/dev/null");
  REQUIRE(again == own);
  CHECK(image.call<int>("give_file", again) == 0);
  REQUIRE(open("/dev/null", O_RDONLY | O_CLOEXEC) == own);
  CHECK(image.call<int>("give_file", own) == 0);
  const std::vector<GuardNote> notes = take_guard_notes();
  REQUIRE(notes.size() == 1);
  CHECK_FALSE(notes[0].certain);
  CHECK_FALSE(notes[0].restored);
}

TEST_CASE("what the system refuses to replace or to close stays its image's") {
  HookedImage image(TENON_HOOKED_IMAGE);
  const int own = image.call<int>("get_file", "/dev/null");
  errno = 0;
  CHECK(image.call<int>("replace_file", 999, own) == -1);
  CHECK(errno == EBADF);
  CHECK(image.call<int>("replace_file_with", 999, own, O_CLOEXEC) == -1);
  CHECK(image.gauge().descriptors == 1);
  CHECK(image.call<int>("give_range", static_cast<unsigned>(own), static_cast<unsigned>(own), 1U << 30) == -1);
  CHECK(image.gauge().descriptors == 1);
  CHECK(image.call<int>("give_range", static_cast<unsigned>(own), static_cast<unsigned>(own), 0U) == 0);
  CHECK(image.gauge().descriptors == 0);
  CHECK_FALSE(is_open(own));
  CHECK(take_guard_notes().empty());
}

TEST_CASE("threads that an image starts from a call of a lower priority begin at the usual one") {
  const auto nice_now = [] { return getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))); };
  const int usual = nice_now();
  if (usual == 19) {
    MESSAGE("not tested: this process is at the lowest priority already");
    return;
  }
  HookedImage image(TENON_HOOKED_IMAGE);
  HookedImage cpp(TENON_HOOKED_CPP_IMAGE, "create");
  int lowered = usual;
  int own = 19;
  int of_cpp = 19;
  std::thread([&] {
    ThreadEffort effort;
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    effort.begin();
    ThreadEffort::give_up(effort.turn());
    lowered = nice_now();
    own = image.call<int>("priority_of_thread");
    of_cpp = cpp.call<int>("priority_of_std_thread");
  }).join();
  CHECK(lowered == 19);
  CHECK(own == usual);
  CHECK(of_cpp == usual);
  CHECK(image.gauge().threads == 0);
  CHECK(cpp.gauge().threads == 0);
}

TEST_CASE("what an image leaves open is told when it is closed") {
  HookedImage image(TENON_HOOKED_IMAGE);
  const int left = image.call<int>("get_file", "/dev/null");
  image.close();
  CHECK(only_note("descriptor") ==
        "1 descriptor that it had opened stayed open when it was closed: " + std::to_string(left));
  close(left);
  for (const PluginGauge& gauge : plugin_gauges()) CHECK(gauge.image != image.index);
}

TEST_CASE("memory of an image is estimated, and forgotten with it") {
  constexpr size_t kBlocks = 10000;
  constexpr size_t kBytes = 1000;
  HookedImage image(TENON_HOOKED_IMAGE);
  std::vector<void*> blocks;
  blocks.reserve(kBlocks);
  for (size_t count = 0; count < kBlocks; count++) blocks.push_back(image.call<void*>("get_memory", kBytes));
  CHECK(image.gauge().memory > kBlocks * kBytes * 3 / 4);
  CHECK(image.gauge().memory < kBlocks * kBytes * 5 / 4);
  for (void* const block : blocks) image.call<void>("give_memory", block);
  CHECK(image.gauge().memory == 0);

  void* block = image.call<void*>("get_memory_by_address", size_t{1 << 20});
  CHECK(image.gauge().memory >= 1 << 20);
  block = image.call<void*>("resize_memory", block, size_t{1 << 22});
  CHECK(image.gauge().memory >= 1 << 22);
  CHECK(image.gauge().memory < (1 << 22) + (1 << 20));
  CHECK(image.call<void*>("resize_memory", block, SIZE_MAX / 4) == nullptr);
  CHECK(image.gauge().memory >= 1 << 22);
  image.close();
  CHECK(image.gauge().memory == 0);
  free(block);
}

TEST_CASE("threads of an image are counted until they have ended, and have a stack for a fault") {
  HookedImage image(TENON_HOOKED_IMAGE);
  pthread_t thread;
  REQUIRE(image.call<int>("start_thread", &thread, 0) == 0);
  for (int looks = 0; looks < 10000 && image.gauge().threads == 0; looks++) usleep(1000);
  CHECK(image.gauge().threads == 1);
  CHECK(image.call<int>("end_thread", thread) == 0);
  CHECK(image.gauge().threads == 0);
  REQUIRE(image.call<int>("start_thread", &thread, 1) == 0);
  void* result = nullptr;
  CHECK(image.call<int>("join_thread", thread, &result) == 0);
  CHECK(result == &thread);
  CHECK(image.gauge().threads == 0);
  CHECK(take_guard_notes().empty());
}

TEST_CASE("a thread of the host that an image would end comes back with an error") {
  if (kSanitized) {
    MESSAGE("not tested: sanitizers do not let a thread that ends itself be unwound");
    return;
  }
  HookedImage image(TENON_HOOKED_IMAGE);
  const ThreadRecordGuard record(ThreadKind::Other);
  const Inside inside(image.index, Work::Handle);
  const int status = image.call<int>("end_this_thread");
#if defined(__x86_64__)
  CHECK(status == 1);
  CHECK(only_note("exit").find("pthread_exit") == 0);
#else
  static_cast<void>(status);
  MESSAGE("not tested: on this processor the thread waits");
#endif
}

TEST_CASE("a child that an image forks ends at once; programs are started as ever") {
  HookedImage image(TENON_HOOKED_IMAGE);
  const int status = image.call<int>("fork_and_wait");
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 121);
  CHECK(only_note("fork").find("posix_spawn") != std::string::npos);
  CHECK(image.call<int>("spawn_and_wait") == 0);
  CHECK(WEXITSTATUS(image.call<int>("run_and_wait")) == 3);
  protect_descriptor(2);
  CHECK(WEXITSTATUS(image.call<int>("vfork_and_wait")) == 7);
  CHECK(is_open(2));
  const pid_t child = fork();
  if (child == 0) _exit(5);
  int own = 0;
  CHECK(waitpid(child, &own, 0) == child);
  CHECK(WEXITSTATUS(own) == 5);
  CHECK(image.call<int>("send_nothing") == 0);
  CHECK(take_guard_notes().empty());
}

TEST_CASE("a program that an image starts has no signal blocked, whatever its thread has, but what the image blocks") {
  HookedImage image(TENON_HOOKED_IMAGE);
  std::thread([&image] {
    const ThreadGuard guard(ThreadKind::Other);
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    REQUIRE(sigismember(&before, SIGTERM) == 1);
    const auto ends = {"spawn_ending", "spawn_ending_apart", "run_ending",
                       "read_ending",  "vfork_ending",       "vfork_ending_in"};
    for (const char* const name : ends) {
      CAPTURE(std::string(name));
      const int status = image.call<int>(name);
      CHECK(WIFSIGNALED(status));
      CHECK(WTERMSIG(status) == SIGTERM);
    }
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (const int signal : {SIGTERM, SIGCHLD, SIGHUP}) CHECK(sigismember(&after, signal) == 1);
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &own, nullptr);
    for (const char* const name : ends) {
      CAPTURE(std::string(name));
      CHECK(WEXITSTATUS(image.call<int>(name)) == 9);
    }
  }).join();
  CHECK(take_guard_notes().empty());
}

TEST_CASE("an image puts no other program in the place of the host") {
  HookedImage image(TENON_HOOKED_IMAGE);
  errno = 0;
  CHECK(image.call<int>("become_another_program") == -1);
  CHECK(errno == EPERM);
  CHECK(only_note("exit").find("exec was refused") == 0);
  CHECK(image.call<int>("become_another_program_in") == -1);
  CHECK(only_note("exit").find("exec was refused") == 0);
  CHECK(image.call<int>("become_a_daemon") == -1);
  CHECK(only_note("exit").find("daemon was refused") == 0);
}

TEST_CASE("C++ goes on as ever: memory, exceptions and threads") {
  for (const char* const path : {TENON_HOOKED_CPP_IMAGE, TENON_HOOKED_CPP_IMAGE "-static"}) go_on_in_cpp(path);
}

#endif
