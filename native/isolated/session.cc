#include "session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

#include "byte_buffer.h"
#include "services.h"
#include "tenon/ext/log.h"

extern char** environ;

namespace tenon::isolated {

using wire::Outcome;

// A lane in use on this side.
struct Session::Seat {
  Seat(wire::LaneMemory& memory, int ended)
      : lane(memory, wire::Lane::Side::Host, own, other, ended, wire::kFromRunnerBytes) {}
  wire::Doorbell own;    // rung by the runner
  wire::Doorbell other;  // rung by the host
  wire::Lane lane;
};

namespace {

int shared_memory(size_t size) {
#if defined(__linux__)
  const int memory = static_cast<int>(syscall(SYS_memfd_create, "tenon-lanes", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory < 0) return -1;
  // A runner that made it smaller would have the host end by SIGBUS.
  if (ftruncate(memory, static_cast<off_t>(size)) == 0 &&
      fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
    return memory;
  }
#else
  // macOS lets the size of one be set once only.
  static std::atomic<uint32_t> count{0};
  const std::string name = "/tenon-" + std::to_string(getpid()) + "-" + std::to_string(++count);
  const int memory = shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (memory < 0) return -1;
  shm_unlink(name.c_str());
  fcntl(memory, F_SETFD, FD_CLOEXEC);
  if (ftruncate(memory, static_cast<off_t>(size)) == 0) return memory;
#endif
  close(memory);
  return -1;
}

void close_if_open(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

std::string told(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    const char* const name = sigabbrev_np(number);
    return "was ended by " + (name == nullptr ? "signal " + std::to_string(number) : "SIG" + std::string(name));
  }
  return "exited with " + std::to_string(WEXITSTATUS(status));
}

// What a plugin may know of the host's environment: not its secrets.
bool is_passed_on(std::string_view entry) {
  const std::string_view name = entry.substr(0, entry.find('='));
  return name == "PATH" || name == "HOME" || name == "LANG" || name == "TZ" || name == "TMPDIR" ||
         name == "LD_LIBRARY_PATH" || name == "DYLD_LIBRARY_PATH" || name.substr(0, 3) == "LC_" ||
         name.substr(0, 5) == "ASAN_" || name.substr(0, 5) == "TSAN_" || name.substr(0, 6) == "UBSAN_";
}

}  // namespace

Session::Session(const tenon_host_t& host, const Launch& launch)
    : host_(host), settings_(launch.settings), subscriptions_(launch.subscriptions), seats_(wire::kLanes) {}

std::shared_ptr<Session> Session::start(const Launch& launch, const tenon_host_t& host, std::string& problem) {
  const std::shared_ptr<Session> session(new (std::nothrow) Session(host, launch));
  if (!session) return problem = "there is no memory", nullptr;
  return session->launch(launch, problem) ? session : nullptr;
}

bool Session::launch(const Launch& launch, std::string& problem) {
  if (!ended_bell_.open()) return problem = told("no descriptor"), false;
  int memory = shared_memory(wire::kSharedBytes);
  if (memory < 0) return problem = told("no shared memory"), false;
  memory_ = mmap(nullptr, wire::kSharedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  int sockets[2] = {-1, -1};
  int out[2] = {-1, -1};
  int error[2] = {-1, -1};
  const bool open = memory_ != MAP_FAILED && wire::open_control_sockets(sockets) && pipe(out) == 0 && pipe(error) == 0;
  if (memory_ == MAP_FAILED) memory_ = nullptr;
  int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  // Above all places that they are put at, so that none is overwritten before it is.
  std::array<int, 6> given = {null, out[1], error[1], sockets[1], memory, launch.library};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  int failed = open && null >= 0 ? 0 : errno;
  for (size_t place = 0; place < given.size(); place++) {
    given[place] = fcntl(given[place], F_DUPFD_CLOEXEC, 16);
    if (given[place] < 0 && failed == 0) failed = errno;
    posix_spawn_file_actions_adddup2(&actions, given[place], static_cast<int>(place));
  }
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; entry++) {
    if (is_passed_on(*entry)) environment.push_back(*entry);
  }
  environment.push_back(nullptr);
  std::string name = "tenon-runner";
  std::string word = "serve";
  std::string id = settings_.id;
  std::array<char*, 4> words = {name.data(), word.data(), id.data(), nullptr};
  if (failed == 0) {
    failed = posix_spawn(&pid_, launch.runner.c_str(), &actions, &attributes, words.data(), environment.data());
    if (failed != 0) pid_ = -1;
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  for (int& descriptor : given) close_if_open(descriptor);
  for (int* const descriptor : {&null, &out[1], &error[1], &sockets[1], &memory}) close_if_open(*descriptor);
  control_ = sockets[0];
  output_ = {out[0], error[0]};
  for (const int end : output_) {
    if (end < 0) continue;
    fcntl(end, F_SETFD, FD_CLOEXEC);
    fcntl(end, F_SETFL, O_NONBLOCK);
  }
  if (failed != 0) return errno = failed, problem = told(launch.runner.c_str()), false;
#if defined(__linux__) && defined(SYS_pidfd_open)
  process_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
#endif
  wire::Writer writer;
  settings_.write(writer);
  if (!wire::send_packet(control_, {wire::Packet::Start, 0}, writer.bytes()) || !open_lane(0)) {
    return problem = "it ended at once", false;
  }
  return true;
}

Session::~Session() {
  kill("it is not needed any more");
  if (pid_ > 0 && !reaped_) {
    int status;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    finish("was ended");
  }
  for (int* const descriptor : {&control_, &process_, &output_[0], &output_[1]}) close_if_open(*descriptor);
  seats_.clear();
  if (memory_ != nullptr) munmap(memory_, wire::kSharedBytes);
}

wire::LaneMemory& Session::lane_memory(uint32_t lane) {
  char* const begin = static_cast<char*>(memory_) + wire::kHeadBytes + lane * wire::kLaneBytes;
  return *reinterpret_cast<wire::LaneMemory*>(begin);
}

void Session::set_log_level(int32_t level) {
  static_cast<wire::SharedHead*>(memory_)->log_level.store(level, std::memory_order_relaxed);
}

// Under the mutex, or before anybody else knows of it.
bool Session::open_lane(uint32_t lane) {
  auto seat = std::make_unique<Seat>(lane_memory(lane), ended_bell_.waiting());
  if (!seat->own.open() || !seat->other.open()) return false;
  if (!wire::send_packet(control_, {wire::Packet::Lane, lane}, {}, {seat->other.waiting(), seat->own.ringing()})) {
    return false;
  }
  seats_[lane] = std::move(seat);
  return true;
}

Outcome Session::call(uint16_t code, wire::Lane::Parts parts, std::string& answer, wire::Patience& patience,
                      bool of_life) {
  uint32_t lane = 0;
  if (!of_life) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      if (ended()) return Outcome::Ended;
      if (!free_.empty()) {
        lane = free_.back();
        free_.pop_back();
        break;
      }
      if (opened_ < wire::kFirstUpLane) {
        lane = opened_;
        if (open_lane(lane)) {
          opened_++;
          break;
        }
        if (opened_ == 1) return Outcome::Ended;  // it is ending, or there is no descriptor for even one
      }
      const int ms = patience.wait_ms();
      if (ms <= 0) return Outcome::GivenUp;
      lane_free_.wait_for(lock, std::chrono::milliseconds(ms));
    }
  }
  Outcome outcome = seats_[lane]->lane.call(code, parts, answer, *this, patience);
  if (outcome == Outcome::Violated) kill("broke the protocol between it and the host");
  if (!of_life && outcome == Outcome::Done) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(lane);
    lane_free_.notify_one();
  }
  return outcome;
}

void Session::kill(const std::string& reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (pid_ <= 0 || reaped_) return;
  if (reason_.empty()) reason_ = reason;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
}

std::string Session::how_ended() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return how_;
}

void Session::serve_up_lane(uint32_t lane) {
  wire::EndlessPatience patience;
  if (seats_[lane]->lane.serve(*this, patience) == Outcome::Violated) {
    kill("broke the protocol between it and the host");
  }
}

void Session::look_at_control() {
  wire::PacketHead head = {};
  std::string bytes;
  wire::Passengers passengers;
  const int got = wire::receive_packet(control_, head, bytes, passengers);
  close_if_open(passengers.waiting);
  close_if_open(passengers.ringing);
  if (got == 0) return kill("closed its connection with the host");
  if (got > 0 && head.packet == wire::Packet::Failed) return kill(bytes.substr(0, 1024));
  if (got > 0 && head.packet == wire::Packet::WantLane && head.lane >= wire::kFirstUpLane && head.lane < wire::kLanes &&
      !seats_[head.lane]) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (open_lane(head.lane)) agents_.emplace_back([this, lane = head.lane] { serve_up_lane(lane); });
    return;
  }
  kill("broke the protocol between it and the host");
}

bool Session::look_at_process() {
  int status = 0;
  pid_t reaped;
  do {
    reaped = waitpid(pid_, &status, WNOHANG);
  } while (reaped < 0 && errno == EINTR);
  if (reaped == 0) return false;
  // What it printed and said last.
  look_at_output(0);
  look_at_output(1);
  if (pollfd last = {control_, POLLIN, 0}; poll(&last, 1, 0) > 0 && (last.revents & POLLIN) != 0) look_at_control();
  finish(how_it_ended(status));
  return true;
}

void Session::finish(const std::string& how) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (reaped_) return;
    reaped_ = true;
    how_ = reason_.empty() ? how : reason_;
    // What it began and left behind ends with it.
    ::kill(-pid_, SIGKILL);
    ended_.store(true, std::memory_order_release);
    ended_bell_.ring();
    lane_free_.notify_all();
  }
  holdings.wake_all();
  for (std::thread& agent : agents_) agent.join();
  agents_.clear();
  frames.fail_deferred(*service<tenon_host_http_t>(TENON_HTTP_ID), "its process " + how_ended());
  subscriptions_->leave(*this);
  holdings.drop_all();
}

void Session::look_at_output(int which) {
  constexpr size_t kLineBytes = 8 * 1024;
  const auto index = static_cast<size_t>(which);
  char bytes[4096];
  ssize_t got;
  while ((got = read(output_[index], bytes, sizeof bytes)) > 0) {
    std::string& line = line_[index];
    for (ssize_t at = 0; at < got; at++) {
      if (bytes[at] != '\n' && line.size() < kLineBytes) {
        line.push_back(bytes[at]);
        continue;
      }
      const tenon_log_field_t field = {core::bytes("stream"), core::bytes(which == 0 ? "stdout" : "stderr")};
      service<tenon_host_log_t>(TENON_LOG_ID)
          ->write(&host_, which == 0 ? TENON_LOG_INFO : TENON_LOG_WARN, core::bytes(line), &field, 1);
      line.clear();
      if (bytes[at] != '\n') line.push_back(bytes[at]);
    }
  }
  // Its other end is gone: not polled any more.
  if (got == 0) close_if_open(output_[index]);
}

bool Session::serve(wire::Lane&, uint16_t code, std::string_view payload, std::string& answer) {
  wire::Reader reader(payload);
  wire::Writer writer(std::move(answer));
  bool kept = false;
  if (code < wire::kUpStatePut) {
    kept = serve_log(*this, code, reader, writer);
  } else if (code < wire::kUpConfigOwn) {
    kept = serve_state(*this, code, reader, writer);
  } else if (code < wire::kUpHttpCancelled) {
    kept = serve_config(*this, code, reader, writer);
  } else if (code < wire::kUpTasks) {
    kept = serve_http(*this, code, reader, writer);
  } else if (code < wire::kUpEvents) {
    kept = serve_tasks(*this, code, reader, writer);
  } else if (code < wire::kUpMetrics) {
    kept = serve_events(*this, code, reader, writer);
  } else if (code < wire::kUpHttpClient) {
    kept = serve_metrics(*this, code, reader, writer);
  } else if (code < wire::kUpAuth) {
    kept = serve_http_client(*this, code, reader, writer);
  } else if (code < wire::kUpMiddleware) {
    kept = serve_auth(*this, code, reader, writer);
  } else if (code < wire::kUpHooks) {
    kept = serve_middleware(*this, code, reader, writer);
  } else if (code < wire::kUpTables) {
    kept = serve_hooks(*this, code, reader, writer);
  } else {
    kept = serve_tables(*this, code, reader, writer);
  }
  answer = writer.take();
  return kept;
}

}  // namespace tenon::isolated
