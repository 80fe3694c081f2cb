#include "isolated_plugin.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "byte_buffer.h"
#include "clock.h"
#include "front.h"
#include "host_face.h"
#include "plugin_functions.h"
#include "tenon/ext/log.h"

namespace tenon::isolated {

using wire::Outcome;

namespace {

// In every shape that was taken: none is 0.
constexpr uint32_t kTaken = 1u << 31;

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

class StepPatience final : public wire::Patience {
 public:
  explicit StepPatience(uint32_t ms) : end_(core::now() + core::milliseconds(ms)) {}
  int wait_ms() override {
    const uint64_t time = core::now();
    return time >= end_ ? 0 : static_cast<int>((end_ - time) / 1'000'000 + 1);
  }

 private:
  const uint64_t end_;
};

// As long as the call may take, and the grace; looks again often enough, because a stream moves its deadline.
class CallPatience final : public wire::Patience {
 public:
  CallPatience(const core::Call* call, uint32_t grace_ms) : call_(call), grace_ms_(grace_ms) {}
  int wait_ms() override {
    if (call_ == nullptr || !call_->armed) return kLookMs;
    if (!call_->expired()) return kLookMs;
    if (over_ == 0) over_ = core::now() + core::milliseconds(grace_ms_);
    const uint64_t time = core::now();
    return time >= over_ ? 0 : static_cast<int>(std::min<uint64_t>((over_ - time) / 1'000'000 + 1, kLookMs));
  }

 private:
  static constexpr int kLookMs = 50;
  const core::Call* const call_;
  const uint32_t grace_ms_;
  uint64_t over_ = 0;
};

std::string seconds_in(uint64_t due) {
  const uint64_t time = core::now();
  return std::to_string(due <= time ? 1 : (due - time) / 1'000'000'000 + 1);
}

}  // namespace

IsolatedPlugin::IsolatedPlugin(IsolationSettings settings) : settings_(std::move(settings)) {
  places_.resize(std::max<uint32_t>(settings_.processes, 1));
}

IsolatedPlugin::~IsolatedPlugin() {
  end();
  if (settings_.launch.library >= 0) close(settings_.launch.library);
}

std::shared_ptr<Session> IsolatedPlugin::start_session(std::string& problem) {
  std::shared_ptr<Session> session = Session::start(settings_.launch, *host_, problem);
  if (!session) return nullptr;
  session->set_log_level(core::HostFace::of(host_).plugin().log_level());
  const std::lock_guard<std::mutex> lock(mutex_);
  watched_.push_back(session);
  keeper_bell_.ring();
  return session;
}

tenon_status IsolatedPlugin::open_and_create(Session& session, std::string& problem) {
  StepPatience patience(settings_.lifecycle_ms + settings_.grace_ms);
  std::string answer;
  const auto run = [&](uint16_t code, const char* step, std::string_view payload) {
    const Outcome outcome = session.call(code, {payload}, answer, patience, true);
    if (outcome == Outcome::Done) return true;
    if (outcome == Outcome::GivenUp) session.kill(std::string("did not return from ") + step);
    problem = settings_.launch.settings.id + ": its process ended in " + step;
    return false;
  };
  wire::Writer writer;
  writer.text(settings_.launch.settings.id);
  if (!run(wire::kDownOpen, "opening the library", writer.bytes())) return TENON_ERROR;
  wire::Reader opened(answer);
  auto status = opened.get<int32_t>();
  problem = opened.text();
  if (!opened.ended()) return session.kill("answered open with what is no answer"), TENON_ERROR;
  if (status != TENON_OK) return status;
  if (!run(wire::kDownCreate, "create", {})) return TENON_ERROR;
  wire::Reader reader(answer);
  status = reader.get<int32_t>();
  problem = reader.text();
  const auto shape = reader.get<uint32_t>();
  const auto concurrency = reader.get<uint32_t>();
  const auto version = reader.get<uint32_t>();
  const auto order = reader.get<int32_t>();
  if (!reader.ended()) return session.kill("answered create with what is no answer"), TENON_ERROR;
  if (status != TENON_OK) return status;
  if (shape_ == 0) {
    take_shape(shape, concurrency, version, order);
  } else if ((shape | kTaken) != shape_) {
    return problem = "it is not the same plugin in each of its processes", TENON_ERROR;
  }
  return TENON_OK;
}

tenon_status IsolatedPlugin::create(const tenon_host_t& host, tenon_plugin_t*& plugin) {
  host_ = &host;
  const core::HostFace& face = core::HostFace::of(&host);
  settings_.launch.settings.host_name = face.plugin().front().name();
  if (!keeper_bell_.open()) return report("there is no descriptor left"), TENON_ERROR_MEMORY;
  stage_ = Stage::Created;
  keeper_ = std::thread([this] { keep(); });
  restarter_ = std::thread([this] { restart(); });
  for (Place& place : places_) {
    std::string problem;
    const std::shared_ptr<Session> session = start_session(problem);
    const tenon_status status = session ? open_and_create(*session, problem) : TENON_ERROR;
    if (status != TENON_OK) {
      if (!problem.empty()) report(problem);
      end();
      return status;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    place.session = session;
  }
  plugin = &plugin_;
  return TENON_OK;
}

void IsolatedPlugin::take_shape(uint32_t shape, uint32_t max_concurrency, uint32_t state_version, int32_t order) {
  using F = PluginFunctions;
  const auto has = [shape](uint32_t bit) { return (shape & bit) != 0; };
  shape_ = shape | kTaken;
  plugin_ = {sizeof plugin_, this, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, F::destroy, F::get_extension};
  if (has(wire::kHasInitialize)) plugin_.initialize = F::initialize;
  // It brings what a new process is told.
  plugin_.ready = F::ready;
  plugin_.health = F::health;
  if (has(wire::kHasQuiesce)) plugin_.quiesce = F::quiesce;
  if (has(wire::kHasResume)) plugin_.resume = F::resume;
  plugin_.shutdown = F::shutdown;
  http_ = {sizeof http_, max_concurrency, has(wire::kHasRouteCount) ? F::route_count : nullptr,
           has(wire::kHasRoute) ? F::route : nullptr, has(wire::kHasHandle) ? F::handle : nullptr};
  state_ = {sizeof state_, state_version, has(wire::kHasSave) ? F::save : nullptr,
            has(wire::kHasLoad) ? F::load : nullptr};
  config_ = {sizeof config_, F::changed};
  events_ = {sizeof events_, F::on_event};
  auth_ = {sizeof auth_,
           has(wire::kHasProviderCount) ? F::provider_count : nullptr,
           has(wire::kHasProvider) ? F::provider : nullptr,
           has(wire::kHasAuthenticate) ? F::authenticate : nullptr,
           has(wire::kHasResolveRoles) ? F::resolve_roles : nullptr,
           has(wire::kHasAuthorize) ? F::authorize : nullptr};
  middleware_ = {sizeof middleware_, order, has(wire::kHasBefore) ? F::before : nullptr,
                 has(wire::kHasAfter) ? F::after : nullptr};
  hooks_ = {sizeof hooks_, has(wire::kHasHookCount) ? F::hook_count : nullptr, has(wire::kHasHook) ? F::hook : nullptr,
            has(wire::kHasHookCall) ? F::call : nullptr};
}

void IsolatedPlugin::report(const std::string& sentence) const {
  const auto* const log = static_cast<const tenon_host_log_t*>(host_->get_extension(host_, TENON_LOG_ID));
  log->write(host_, TENON_LOG_ERROR, core::bytes(sentence), nullptr, 0);
}

tenon_status IsolatedPlugin::step(uint16_t code, wire::Lane::Parts parts, std::string* answer) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Place& place : places_) {
      if (place.session) sessions.push_back(place.session);
    }
  }
  if (sessions.empty()) return report(settings_.launch.settings.id + ": no process of it runs"), TENON_ERROR_STATE;
  for (const std::shared_ptr<Session>& session : sessions) {
    StepPatience patience(settings_.lifecycle_ms + settings_.grace_ms);
    std::string own;
    const Outcome outcome = session->call(code, parts, own, patience, true);
    if (outcome != Outcome::Done) {
      if (outcome == Outcome::GivenUp) session->kill("did not return in time from a step of its life");
      return report(settings_.launch.settings.id + ": its process ended in a step of its life"), TENON_ERROR;
    }
    wire::Reader reader(own);
    const auto status = reader.get<int32_t>();
    if (!reader.whole()) return session->kill("answered with what is no answer"), TENON_ERROR;
    if (answer != nullptr && session == sessions.front()) *answer = std::move(own);
    if (status != TENON_OK) return status;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (code == wire::kDownInitialize) stage_ = Stage::Initialized;
  if (code == wire::kDownReady) {
    stage_ = Stage::Ready;
    for (Place& place : places_) place.began = core::now();
  }
  if (code == wire::kDownShutdown) stage_ = Stage::Ended;
  return TENON_OK;
}

std::shared_ptr<Session> IsolatedPlugin::pick(core::Call* call, std::string& problem) {
  CallPatience patience(call, 0);
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    for (size_t looked = 0; looked < places_.size(); looked++) {
      Place& place = places_[turn_++ % places_.size()];
      if (place.session && !place.session->ended()) return place.session;
    }
    if (stage_ == Stage::Ended || closing_) return problem = "no process of it runs", nullptr;
    uint64_t due = UINT64_MAX;
    const Place* next = nullptr;
    for (const Place& place : places_) {
      if (place.due != 0 && place.due < due) due = place.due, next = &place;
    }
    // Soon: wait for it. Else say so.
    if (next != nullptr && due > core::now() + kFirstPauseNs) {
      problem = "its process " + next->last_end + "; it is tried again in " + seconds_in(due) + " s";
      return nullptr;
    }
    const int ms = patience.wait_ms();
    if (ms <= 0) return problem = "its process is still being started again", nullptr;
    changed_.wait_for(lock, std::chrono::milliseconds(ms));
  }
}

Outcome IsolatedPlugin::ask_of(Session& session, uint16_t code, wire::Lane::Parts parts, std::string& answer,
                               core::Call* call, std::string& problem) {
  CallPatience patience(call, settings_.grace_ms);
  const Outcome outcome = session.call(code, parts, answer, patience);
  if (outcome == Outcome::Done) return outcome;
  if (outcome == Outcome::GivenUp) session.kill("did not return from a call past its deadline");
  problem = "its process ended while it was in this";
  return outcome;
}

Outcome IsolatedPlugin::ask(uint16_t code, wire::Lane::Parts parts, std::string& answer, core::Call* call,
                            std::string& problem, std::shared_ptr<Session>* session) {
  const std::shared_ptr<Session> picked = pick(call, problem);
  if (!picked) return Outcome::Ended;
  if (session != nullptr) *session = picked;
  return ask_of(*picked, code, parts, answer, call, problem);
}

void IsolatedPlugin::keep_state(uint32_t version, std::string_view bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  has_state_bytes_ = true;
  state_version_ = version;
  state_bytes_.assign(bytes);
}

// --- the keeper and the restarter

void IsolatedPlugin::keep() {
  std::vector<pollfd> wait;
  std::vector<std::pair<std::shared_ptr<Session>, int>> who;  // 0: control socket, 1: process, 2, 3: output
  for (;;) {
    wait.assign(1, {keeper_bell_.waiting(), POLLIN, 0});
    who.assign(1, {nullptr, 0});
    bool is_blind = false;  // no descriptor tells of an end: look now and then
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (closing_ && watched_.empty()) return;
      const auto add = [&](const std::shared_ptr<Session>& session, int descriptor, int what) {
        if (descriptor < 0) return;
        wait.push_back({descriptor, POLLIN, 0});
        who.emplace_back(session, what);
      };
      for (const std::shared_ptr<Session>& session : watched_) {
        add(session, session->control_socket(), 0);
        add(session, session->process_descriptor(), 1);
        add(session, session->output()[0], 2);
        add(session, session->output()[1], 3);
        if (session->process_descriptor() < 0) is_blind = true;
      }
    }
    poll(wait.data(), static_cast<nfds_t>(wait.size()), is_blind ? 5 : -1);
    if (wait[0].revents != 0) keeper_bell_.hush();
    std::vector<std::shared_ptr<Session>> gone;
    for (size_t index = 1; index < wait.size(); index++) {
      const auto& [session, what] = who[index];
      const bool readable = wait[index].revents != 0;
      if (session->ended()) continue;
      if (readable && what == 0) session->look_at_control();
      if (readable && what >= 2) session->look_at_output(what - 2);
      if ((readable && what == 1) || (what == 0 && session->process_descriptor() < 0)) {
        if (session->look_at_process()) gone.push_back(session);
      }
    }
    for (const std::shared_ptr<Session>& session : gone) lose(session);
  }
}

void IsolatedPlugin::lose(const std::shared_ptr<Session>& session) {
  bool unexpected = false;
  const std::string how = session->how_ended();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    watched_.erase(std::remove(watched_.begin(), watched_.end(), session), watched_.end());
    for (Place& place : places_) {
      if (place.session != session) continue;
      place.session = nullptr;
      place.last_end = how;
      if (stage_ != Stage::Ready || closing_) continue;
      unexpected = true;
      const uint64_t time = core::now();
      place.failures = time - place.began > kSteadyNs ? 1 : place.failures + 1;
      place.due = time + pause_after(place.failures);
    }
    changed_.notify_all();
  }
  if (unexpected) {
    report(settings_.launch.settings.id + ": its process " + std::to_string(session->pid()) + " " + how +
           "; another takes its place");
  }
}

bool IsolatedPlugin::bring_up(Session& session, std::string& problem) {
  if (open_and_create(session, problem) != TENON_OK) return false;
  StepPatience patience(settings_.lifecycle_ms);
  std::string answer;
  const auto run = [&](uint16_t code, const char* step, std::string_view payload) {
    if (session.call(code, {payload}, answer, patience, true) != Outcome::Done) {
      problem = std::string("its process ended in ") + step;
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
  if (declarations_ && declarations.routes.size() != declarations_->routes.size()) {
    return problem = "it declares other routes than before", false;
  }
  wire::Writer state;
  wire::Writer context;
  bool has_state = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    has_state = has_state_bytes_ && (shape_ & wire::kHasLoad) != 0;
    if (has_state) state.put(false).put(state_version_).text(state_bytes_);
    context.text(app_id_).text(root_).put(generation_);
  }
  // What it cannot take, it begins without.
  if (has_state && !run(wire::kDownLoad, "load", state.bytes())) report(settings_.launch.settings.id + ": " + problem);
  return !session.ended() && run(wire::kDownReady, "ready", context.bytes());
}

void IsolatedPlugin::restart() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!closing_) {
    const uint64_t time = core::now();
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
    const bool up = session && bring_up(*session, problem);
    if (!up && session) session->kill(problem);
    if (up) session->subscriptions().settle(*session);
    lock.lock();
    if (closing_) break;
    if (up) {
      due->due = 0;
      due->session = session;
      due->restarts++;
      due->began = core::now();
    } else {
      due->failures++;
      due->due = core::now() + pause_after(std::max(due->failures, kAtOnce + 1));
      due->last_end = problem;
    }
    changed_.notify_all();
    if (up) continue;
    lock.unlock();
    report(settings_.launch.settings.id + ": its process could not be started again: " + problem);
    lock.lock();
  }
}

void IsolatedPlugin::end() {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
    stage_ = Stage::Ended;
    sessions = watched_;
    for (Place& place : places_) place.session = nullptr;
    changed_.notify_all();
    keeper_bell_.ring();
  }
  for (const std::shared_ptr<Session>& session : sessions) session->kill("is not needed any more");
  if (restarter_.joinable()) restarter_.join();
  // One that it had begun meanwhile.
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    sessions = watched_;
  }
  for (const std::shared_ptr<Session>& session : sessions) session->kill("is not needed any more");
  if (keeper_.joinable()) keeper_.join();
}

std::vector<ProcessFacts> IsolatedPlugin::facts() const {
  std::vector<ProcessFacts> all;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Place& place : places_) {
    all.push_back({place.session ? place.session->pid() : 0, place.restarts, 0, 0, place.last_end});
  }
  return all;
}

}  // namespace tenon::isolated
