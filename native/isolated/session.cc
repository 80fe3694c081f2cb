#include "session.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "byte_buffer.h"
#include "clock.h"
#include "services.h"

namespace tenon::isolated {

using wire::Outcome;

// A lane in use on this side.
struct Session::Seat {
  Seat(wire::LaneMemory& memory, int ended)
      : lane(memory, wire::Lane::Side::Host, own, other, ended, wire::kFromRunnerBytes) {}
  wire::Doorbell own;    // rung by the runner
  wire::Doorbell other;  // rung by the host
  wire::Lane lane;
  // What the runner is in for it; 0: nothing.
  std::atomic<uint16_t> code{0};
  std::atomic<uint64_t> request{0};
  std::atomic<uint64_t> since{0};
};

namespace {

// Before a process is looked at again: what floods the host waits.
constexpr size_t kOutputAtOnce = 64 * 1024;
// The most that a pipe holds; what a child of it goes on printing is not waited for.
constexpr size_t kLastOutput = 1024 * 1024;
// Packets of one that has ended.
constexpr int kPackets = 64;
// Of stderr, for the report of an end.
constexpr size_t kSaidLines = 20;
constexpr size_t kSaidBytes = 512;

// It comes from a process that may be anybody's by now.
std::string sentence_of(const std::string& bytes) {
  std::string sentence = bytes.substr(0, 1024);
  std::replace_if(
      sentence.begin(), sentence.end(), [](char one) { return static_cast<unsigned char>(one) < 0x20; }, ' ');
  return sentence.empty() ? "failed" : sentence;
}

}  // namespace

Session::Session(Key, const tenon_host_t& host, const Launch& launch)
    : host_(host),
      settings_(launch.settings),
      subscriptions_(launch.subscriptions),
      began_(core::now()),
      seats_(wire::kLanes) {}

std::shared_ptr<Session> Session::start(const Launch& launch, const tenon_host_t& host, std::string& problem) {
  const auto session = std::make_shared<Session>(Key(), host, launch);
  return session->launch(launch, problem) ? session : nullptr;
}

bool Session::launch(const Launch& launch, std::string& problem) {
  if (!ended_bell_.open()) return problem = told("no descriptor"), false;
  if (!spawn_runner(launch.runner, launch.library, settings_.id, launch.temporary, own_, problem)) return false;
  express_ = std::make_unique<ExpressLane>(
      *this, *static_cast<wire::SharedHead*>(own_.memory),
      *reinterpret_cast<wire::LaneMemory*>(static_cast<char*>(own_.memory) + wire::kExpressAt));
  wire::RunnerSettings settings = settings_;
  if (!launch.temporary.empty()) settings.writable.push_back(launch.temporary);
  wire::Writer writer;
  settings.write(writer);
  if (!wire::send_packet(own_.control, {wire::Packet::Start, 0}, writer.bytes()) || !open_lane(0)) {
    return problem = "it ended at once", false;
  }
  return true;
}

Session::~Session() {
  kill("it is not needed any more");
  if (own_.pid > 0 && !reaped_) reap(0);
  for (HostThread& agent : agents_) agent.join();
  for (int* const descriptor : {&own_.control, &own_.process, &own_.output[0], &own_.output[1]}) {
    close_if_open(*descriptor);
  }
  seats_.clear();
  if (own_.memory != nullptr) munmap(own_.memory, wire::kSharedBytes);
}

wire::LaneMemory& Session::lane_memory(uint32_t lane) {
  char* const begin = static_cast<char*>(own_.memory) + wire::kHeadBytes + lane * wire::kLaneBytes;
  return *reinterpret_cast<wire::LaneMemory*>(begin);
}

void Session::set_log_level(int32_t level) {
  auto& known = static_cast<wire::SharedHead*>(own_.memory)->log_level;
  // Not written without need: the runner reads it all the time.
  if (known.load(std::memory_order_relaxed) != level) known.store(level, std::memory_order_relaxed);
}

// Under the mutex, or before anybody else knows of it.
bool Session::open_lane(uint32_t lane) {
  auto seat = std::make_unique<Seat>(lane_memory(lane), ended_bell_.waiting());
  if (!seat->own.open() || !seat->other.open()) return false;
  if (!wire::send_packet(own_.control, {wire::Packet::Lane, lane}, {}, {seat->other.waiting(), seat->own.ringing()})) {
    return false;
  }
  seats_[lane] = std::move(seat);
  return true;
}

Outcome Session::call(uint16_t code, wire::Lane::Parts parts, std::string& answer, wire::Patience& patience,
                      bool of_life, uint64_t request) {
  uint32_t lane = 0;
  if (!of_life) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      if (ended()) return Outcome::NotBegun;
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
        if (opened_ == 1) return Outcome::NotBegun;  // it is ending, or there is no descriptor for even one
      }
      const int ms = patience.wait_ms();
      if (ms <= 0) return Outcome::NotBegun;
      lane_free_.wait_for(lock, std::chrono::milliseconds(ms));
    }
  }
  Seat& seat = *seats_[lane];
  seat.request.store(request, std::memory_order_relaxed);
  seat.since.store(core::now(), std::memory_order_relaxed);
  seat.code.store(code, std::memory_order_release);
  const Outcome outcome = seat.lane.call(code, parts, answer, *this, patience);
  // Of one that has not answered it is still told, once its process has ended.
  if (outcome == Outcome::Done) seat.code.store(0, std::memory_order_relaxed);
  if (!of_life && outcome == Outcome::GivenUp) kill("did not return from a call past its deadline");
  if (outcome == Outcome::Violated) kill("broke the protocol between it and the host");
  if (!of_life && outcome == Outcome::Done) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(lane);
    lane_free_.notify_one();
  }
  return outcome;
}

std::optional<ProcessFigures> Session::figures() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (own_.pid <= 0 || reaped_) return std::nullopt;
  return figures_of(own_.pid);
}

void Session::kill(const std::string& reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (own_.pid <= 0 || reaped_) return;
  if (reason_.empty()) reason_ = reason;
  signal_all(SIGKILL);
}

void Session::lose_bell() {
  const bool is_exiting = use_of(own_.pid).is_exiting;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (own_.pid <= 0 || reaped_ || is_exiting) return;
  cut_off_ = true;
  signal_all(SIGKILL);
}

void Session::stand_still(bool still) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (own_.pid <= 0 || reaped_ || still == stands_) return;
  stands_ = still;
  signal_all(still ? SIGSTOP : SIGCONT);
}

// Under the mutex, and while the process has not been reaped: its number is nobody else's.
void Session::signal_all(int number) const {
  ::kill(-own_.pid, number);
  ::kill(own_.pid, number);
}

std::string Session::how_ended() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return end_.how;
}

std::string Session::how_ends() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!end_.how.empty()) return end_.how;
  return reason_.empty() ? "ended" : reason_;
}

ProcessEnd Session::end() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return end_;
}

void Session::serve_up_lane(uint32_t lane) {
  Seat* seat;
  {
    // Not before its lane is open, or cannot be.
    const std::lock_guard<std::mutex> lock(mutex_);
    seat = seats_[lane].get();
  }
  wire::EndlessPatience patience;
  if (seat != nullptr && seat->lane.serve(*this, patience) == Outcome::Violated) {
    kill("broke the protocol between it and the host");
  }
  agents_left_.fetch_sub(1, std::memory_order_release);
}

std::optional<wire::Confinement> Session::confinement() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return confinement_;
}

// Only what it says first is from before its library was opened.
bool Session::take_confinement(std::string_view bytes) {
  wire::Confinement said;
  wire::Reader reader(bytes);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (confinement_ || !said.read(reader)) return false;
  confinement_ = said;
  return true;
}

bool Session::look_at_control() {
  wire::PacketHead head = {};
  std::string bytes;
  wire::Passengers passengers;
  const int got = wire::receive_packet(own_.control, head, bytes, passengers);
  close_if_open(passengers.waiting);
  close_if_open(passengers.ringing);
  if (got == 0) {
    // Its end comes as well, when that is what closed it.
    const bool is_exiting = use_of(own_.pid).is_exiting;
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    cut_off_ = !is_exiting;
    if (!reaped_) signal_all(SIGKILL);
    return false;
  }
  if (got > 0 && head.packet == wire::Packet::Failed) return kill(sentence_of(bytes)), false;
  if (got > 0 && head.packet == wire::Packet::Confined && take_confinement(bytes)) return true;
  if (got > 0 && head.packet == wire::Packet::WantLane && head.lane >= wire::kFirstUpLane && head.lane < wire::kLanes &&
      !seats_[head.lane]) {
    // Without a thread or a descriptor for it the thread that asked goes on waiting: the host is not ended for that.
    HostThread agent;
    std::unique_lock<std::mutex> lock(mutex_);
    if (!agent.start([this, lane = head.lane] { serve_up_lane(lane); })) return true;
    agents_left_.fetch_add(1, std::memory_order_relaxed);
    const bool opened = open_lane(head.lane);
    if (opened) agents_.push_back(std::move(agent));
    lock.unlock();
    if (!opened) agent.join();
    return true;
  }
  return kill("broke the protocol between it and the host"), false;
}

bool Session::look_at_process() { return reap(WNOHANG); }

bool Session::reap(int options) {
  siginfo_t ended = {};
  int failed;
  do {
    failed = waitid(P_PID, static_cast<id_t>(own_.pid), &ended, WEXITED | WNOWAIT | options);
  } while (failed != 0 && errno == EINTR);
  if (failed == 0 && ended.si_pid == 0) return false;
  // What it printed and said last.
  for (const int which : {0, 1}) {
    for (size_t taken = 0; taken < kLastOutput && !look_at_output(which); taken += kOutputAtOnce) {
    }
  }
  for (int left = kPackets; left > 0; left--) {
    pollfd last = {own_.control, POLLIN, 0};
    if (poll(&last, 1, 0) <= 0 || (last.revents & POLLIN) == 0 || !look_at_control()) break;
  }
  ProcessEnd end;
  end.pid = own_.pid;
  end.at = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  int status = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // What it began and left behind ends with it.
    signal_all(SIGKILL);
    while (waitpid(own_.pid, &status, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
  }
  if (WIFSIGNALED(status)) {
    end.signal = WTERMSIG(status);
  } else {
    end.status = WEXITSTATUS(status);
  }
  finish(std::move(end));
  return true;
}

void Session::finish(ProcessEnd end) {
  const uint64_t time = core::now();
  tell_left_out();
  end.uptime_ms = (time - began_) / 1'000'000;
  end.fault =
      read_fault(*reinterpret_cast<const wire::CrashNote*>(static_cast<char*>(own_.memory) + wire::kCrashNoteAt));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (cut_off_ && reason_.empty() && end.signal == SIGKILL) reason_ = "closed its connection with the host";
    // By a signal of its own it has ended before the host's came.
    end.by_host = !reason_.empty() && (end.signal == SIGKILL || end.signal == 0);
    if (end.by_host) {
      end.how = reason_;
    } else if (end.signal != 0) {
      // Its handler may have been held up, and ended by its alarm.
      if (end.fault && end.signal == SIGALRM) end.signal = end.fault->signal;
      end.how = "was ended by " + name_of_signal(end.signal);
    } else {
      end.how = "exited with " + std::to_string(end.status);
    }
    // What it says of itself counts only where the system says the same.
    if (end.by_host || (end.fault && end.fault->signal != end.signal)) end.fault.reset();
    for (uint32_t lane = 0; lane < wire::kFirstUpLane; lane++) {
      const Seat* const seat = seats_[lane].get();
      const uint16_t code = seat == nullptr ? 0 : seat->code.load(std::memory_order_acquire);
      // One that goes on is told of with its slot.
      if (code == 0 || code == wire::kDownContinue) continue;
      const uint64_t since = seat->since.load(std::memory_order_relaxed);
      end.doing.push_back(
          {lane, code, seat->request.load(std::memory_order_relaxed), time < since ? 0 : (time - since) / 1'000'000});
    }
    express_->add_doing(time, end.doing);
    end.said.assign(said_.begin(), said_.end());
    end_ = std::move(end);
    ended_.store(true, std::memory_order_release);
    ended_bell_.ring();
    lane_free_.notify_all();
  }
  holdings.wake_all();
  express_->end("its process ended while it was in this");
  frames.fail_deferred(*service<tenon_host_http_t>(TENON_HTTP_ID), "its process " + how_ended());
  subscriptions_->leave(*this);
}

bool Session::settle() {
  if (agents_left_.load(std::memory_order_acquire) > 0) return false;
  for (HostThread& agent : agents_) agent.join();
  agents_.clear();
  holdings.drop_all();
  return true;
}

void Session::write_log(int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields, size_t count) {
  const LinePace::Turn turn = pace_.take(core::now());
  if (!turn.may) return;
  tell_left_out(turn.left_out);
  service<tenon_host_log_t>(TENON_LOG_ID)->write(&host_, level, message, fields, count);
}

void Session::tell_left_out(uint64_t lines) {
  if (lines == 0) return;
  const std::string sentence = std::to_string(lines) + " lines were left out: its process wrote too many at once";
  service<tenon_host_log_t>(TENON_LOG_ID)->write(&host_, TENON_LOG_WARN, core::bytes(sentence), nullptr, 0);
}

void Session::write_line(size_t which) {
  std::string& line = line_[which];
  const tenon_log_field_t field = {core::bytes("stream"), core::bytes(which == 0 ? "stdout" : "stderr")};
  write_log(TENON_LOG_INFO, core::bytes(line), &field, 1);
  if (which == 1) {
    if (said_.size() == kSaidLines) said_.pop_front();
    said_.push_back(line.substr(0, kSaidBytes));
  }
  line.clear();
}

bool Session::look_at_output(int which) {
  constexpr size_t kLineBytes = 8 * 1024;
  const auto index = static_cast<size_t>(which);
  char bytes[4096];
  size_t taken = 0;
  ssize_t got = 0;
  while (taken < kOutputAtOnce && own_.output[index] >= 0 &&
         (got = read(own_.output[index], bytes, sizeof bytes)) > 0) {
    taken += static_cast<size_t>(got);
    std::string& line = line_[index];
    for (ssize_t at = 0; at < got; at++) {
      if (bytes[at] == '\n' || line.size() == kLineBytes) write_line(index);
      if (bytes[at] != '\n') line.push_back(bytes[at]);
    }
  }
  if (taken >= kOutputAtOnce) return false;
  // Its other end is gone: not polled any more. What it said without an end of line counts, too.
  if (got == 0) close_if_open(own_.output[index]);
  if (got == 0 && !line_[index].empty()) write_line(index);
  return true;
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
