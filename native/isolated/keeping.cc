#include <poll.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "clock.h"
#include "isolated_plugin.h"
#include "step_patience.h"

// The keeper, who sees to the processes of a plugin, and the restarter, who begins another in place of one that ended.

namespace tenon::isolated {

using wire::Outcome;

namespace {

// One that has served for so long begins to be counted anew.
constexpr uint64_t kSteadyNs = 10'000'000'000;
constexpr uint64_t kFirstPauseNs = 100'000'000;
constexpr uint64_t kLongestPauseNs = 30'000'000'000;
// The first two are begun again at once.
constexpr uint32_t kAtOnce = 2;

uint64_t pause_after(uint32_t failures) {
  if (failures <= kAtOnce) return 0;
  const uint32_t doublings = std::min<uint32_t>(failures - kAtOnce - 1, 16);
  return std::min(kFirstPauseNs << doublings, kLongestPauseNs);
}

// How often processes are looked at: one that is limited in what happens fast, and any other.
constexpr int kCloseLookMs = static_cast<int>(ProcessorShare::kPeriodNs / 1'000'000);
constexpr int kLookMs = 1000;
// More than any plugin has use for; it keeps one from taking all that the system has.
constexpr uint32_t kMostThreads = 4096;
// Of a process without what the plugin has: libraries, lanes, stacks. Who has taken all that its limit grants it is not
// over it.
constexpr uint64_t kOwnResidentBytes = 16 * 1024 * 1024;

std::string amount(uint64_t bytes) {
  constexpr uint64_t kMebibyte = 1024 * 1024;
  return bytes % kMebibyte == 0 ? std::to_string(bytes / kMebibyte) + " MiB" : std::to_string(bytes) + " bytes";
}

}  // namespace

void IsolatedPlugin::keep() {
  std::vector<pollfd> wait;
  std::vector<std::pair<std::shared_ptr<Session>, int>> who;  // 0: control socket, 1: process, 2, 3: output
  const bool is_close = settings_.processor_percent > 0 || settings_.launch.settings.processes > 0;
  uint64_t look_at = core::now();
  std::vector<std::shared_ptr<Session>> leaving;  // ended, and still held by who serves them
  uint64_t read_at = 0;                           // when output that came too fast is read on; 0: none did
  for (;;) {
    const uint64_t time = core::now();
    if (time >= look_at) {
      look(time);
      look_at = time + core::milliseconds(is_close ? kCloseLookMs : kLookMs);
    }
    const uint64_t late_at = end_late(time);
    const bool reads = read_at == 0 || time >= read_at;
    if (reads) read_at = 0;
    wait.assign(1, {keeper_bell_.waiting(), POLLIN, 0});
    who.assign(1, {nullptr, 0});
    bool is_blind = false;  // no descriptor tells of an end: look now and then
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (closing_ && !restarts_ && watched_.empty() && leaving.empty()) return;
      const auto add = [&](const std::shared_ptr<Session>& session, int descriptor, int what) {
        wait.push_back({descriptor, POLLIN, 0});
        who.emplace_back(session, what);
      };
      for (const Watched& watched : watched_) {
        const std::shared_ptr<Session>& session = watched.session;
        add(session, session->control_socket(), 0);
        add(session, session->process_descriptor(), 1);
        for (const int which : {0, 1}) {
          add(session, reads ? session->output()[static_cast<size_t>(which)] : -1, 2 + which);
        }
        if (session->process_descriptor() < 0) is_blind = true;
      }
    }
    const uint64_t next = std::min(late_at, read_at == 0 ? look_at : std::min(look_at, read_at));
    const int ms = is_blind           ? 5
                   : !leaving.empty() ? 10
                                      : static_cast<int>((next - std::min(next, time)) / 1'000'000 + 1);
    poll(wait.data(), static_cast<nfds_t>(wait.size()), ms);
    if (wait[0].revents != 0) keeper_bell_.hush();
    std::vector<std::shared_ptr<Session>> gone;
    for (size_t index = 1; index < wait.size(); index++) {
      const auto& [session, what] = who[index];
      const bool readable = wait[index].revents != 0;
      if (session->ended()) continue;
      if (readable && what == 0) session->look_at_control();
      if (readable && what >= 2 && !session->look_at_output(what - 2)) {
        read_at = core::now() + ProcessorShare::kPeriodNs;
      }
      if (what == 1 && (readable || session->process_descriptor() < 0) && session->look_at_process()) {
        gone.push_back(session);
      }
    }
    for (const std::shared_ptr<Session>& session : gone) {
      lose(session);
      leaving.push_back(session);
    }
    leaving.erase(std::remove_if(leaving.begin(), leaving.end(), [](const auto& session) { return session->settle(); }),
                  leaving.end());
  }
}

// Ends those with a call that is too late; when the next one will be.
uint64_t IsolatedPlugin::end_late(uint64_t time) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Watched& watched : watched_) sessions.push_back(watched.session);
  }
  uint64_t next = UINT64_MAX;
  for (const std::shared_ptr<Session>& session : sessions) {
    const uint64_t due = session->express().due(time, core::milliseconds(settings_.grace_ms));
    if (due <= time) session->kill("did not return from a call past its deadline");
    if (due > time) next = std::min(next, due);
  }
  return next;
}

// Calls, and who asks for facts, do not wait for what is read of the system.
void IsolatedPlugin::look(uint64_t time) {
  std::vector<Watched> seen;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    seen = watched_;
  }
  for (Watched& watched : seen) look_at(watched, time);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Watched& watched : seen) {
    if (Watched* const place = watched_of(watched.session)) *place = std::move(watched);
  }
}

// Limits that the kernel does not see to. What is watched is reaped by this thread, and has not been.
void IsolatedPlugin::look_at(Watched& watched, uint64_t time) const {
  const wire::RunnerSettings& limits = settings_.launch.settings;
  Session& session = *watched.session;
  const pid_t pid = session.pid();
  const bool is_due = time - watched.looked >= core::milliseconds(kLookMs);
  refresh_log_level(session);
  if (watched.share.is_limited()) session.stand_still(watched.share.is_over(time, processor_ns_of(pid)));
  uint32_t threads = use_of(pid).threads;
  if (limits.processes > 0 && threads <= kMostThreads) {
    const Children most = {limits.processes, kMostThreads};
    Children children = children_of(pid, most);
    // Of a child that has ended, children go to another parent, and stay in the group.
    if (is_due && children.processes <= most.processes) children = group_of(pid, most);
    if (children.processes > most.processes) {
      session.kill("had more than " + std::to_string(most.processes) + " processes of its own");
    }
    threads += children.threads;
  }
  if (threads > kMostThreads) session.kill("had more than " + std::to_string(kMostThreads) + " threads");
  if (!is_due) return;
  watched.looked = time;
  watched.figures = figures_of(pid);
  if (limits.memory_bytes > 0 && watched.figures->use.resident_bytes > limits.memory_bytes + kOwnResidentBytes) {
    session.kill("used more memory than its limit of " + amount(limits.memory_bytes));
  }
  session.tell_left_out();
}

IsolatedPlugin::Watched* IsolatedPlugin::watched_of(const std::shared_ptr<Session>& session) {
  const auto found =
      std::find_if(watched_.begin(), watched_.end(), [&](const Watched& one) { return one.session == session; });
  return found == watched_.end() ? nullptr : &*found;
}

void IsolatedPlugin::lose(const std::shared_ptr<Session>& session) {
  Ending ending;
  ending.end = session->end();
  bool has_place = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    watched_.erase(
        std::remove_if(watched_.begin(), watched_.end(), [&](const Watched& one) { return one.session == session; }),
        watched_.end());
    const bool is_leaving = closing_ || stage_ == Stage::Ended;
    ending.expected = is_leaving && (ending.end.by_host || ending.end.signal == 0);
    for (Place& place : places_) {
      if (place.session != session) continue;
      place.session = nullptr;
      place.last_end = ending.end.how;
      place.last_end_at = ending.end.at;
      if (stage_ != Stage::Ready || closing_) continue;
      has_place = true;
      const uint64_t time = core::now();
      place.failures = time - place.began > kSteadyNs ? 1 : place.failures + 1;
      ending.pause_ms = pause_after(place.failures) / 1'000'000;
      place.due = time + pause_after(place.failures);
    }
    ending.replaced = has_place;
    changed_.notify_all();
  }
  if (has_place) {
    report(settings_.launch.settings.id + ": its process " + std::to_string(session->pid()) + " " + ending.end.how +
           "; another takes its place");
  }
  if (settings_.on_end) settings_.on_end(ending);
}

bool IsolatedPlugin::bring_up(Session& session, std::string& problem) {
  if (open_and_create(session, problem) != TENON_OK) return false;
  StepPatience patience(settings_.lifecycle_ms);
  std::string answer;
  const auto run = [&](uint16_t code, const char* step, std::string_view payload) {
    if (session.call(code, {payload}, answer, patience, true) != Outcome::Done) {
      problem = "its process " + session.how_ends() + ", in " + step;
      return false;
    }
    wire::Reader reader(answer);
    const auto status = reader.get<int32_t>();
    if (reader.whole() && status == TENON_OK) return true;
    problem = std::string(step) + " returned status " + std::to_string(status);
    return false;
  };
  if ((shape_ & wire::kHasInitialize) != 0 && !run(wire::kDownInitialize, "initialize", {})) return false;
  Declarations declarations;
  if (read_declarations(session, declarations, problem) != TENON_OK) return false;
  if (declarations_ && !declarations_->goes_with(declarations)) return problem = "it offers something else", false;
  wire::Writer state;
  wire::Writer context;
  bool has_state = false;
  bool is_quiet = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    has_state = has_state_bytes_ && (shape_ & wire::kHasLoad) != 0;
    if (has_state) state.put(false).put(state_version_).text(state_bytes_);
    is_quiet = is_quiet_;
    context.text(app_id_).text(root_).put(generation_);
  }
  // What it cannot take, it begins without.
  if (has_state && !run(wire::kDownLoad, "load", state.bytes())) report(settings_.launch.settings.id + ": " + problem);
  if (!run(wire::kDownReady, "ready", context.bytes())) return false;
  // The others stand still, for a reload.
  if (is_quiet && (shape_ & wire::kHasQuiesce) != 0 && !run(wire::kDownQuiesce, "quiesce", {})) return false;
  return !session.ended();
}

void IsolatedPlugin::restart() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!closing_) {
    const uint64_t time = core::now();
    if (stage_ == Stage::Ended) break;
    Place* due = nullptr;
    uint64_t soonest = time + 3'600'000'000'000;
    for (Place& place : places_) {
      if (place.due == 0) continue;
      if (place.due <= time) due = &place;
      soonest = std::min(soonest, place.due);
    }
    if (due == nullptr) {
      changed_.wait_for(lock, std::chrono::nanoseconds(soonest - time));
      continue;
    }
    lock.unlock();
    std::string problem;
    std::shared_ptr<Session> session = start_session(problem);
    bool up = session && bring_up(*session, problem);
    if (!up && session) session->kill(problem);
    if (up) session->subscriptions().settle(*session);
    if (up) take_figures(session);
    lock.lock();
    if (closing_ || stage_ == Stage::Ended) {
      if (session) session->kill("is not needed any more");
      break;
    }
    // It has ended again before it had a place.
    if (up && watched_of(session) == nullptr) {
      up = false;
      problem = session->how_ended();
    }
    if (up) {
      due->due = 0;
      due->session = session;
      due->restarts++;
      due->began = core::now();
    } else {
      due->failures++;
      due->due = core::now() + pause_after(std::max(due->failures, kAtOnce + 1));
      due->last_end = "could not be started again: " + problem;
    }
    changed_.notify_all();
    if (up) continue;
    lock.unlock();
    report(settings_.launch.settings.id + ": its process could not be started again: " + problem);
    lock.lock();
  }
  // What it began last is the keeper's to see to its end.
  restarts_ = false;
  keeper_bell_.ring();
}

}  // namespace tenon::isolated
