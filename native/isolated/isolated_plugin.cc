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
#include "step_patience.h"
#include "tenon/ext/log.h"

namespace tenon::isolated {

using wire::Outcome;

namespace {

// In every shape that was taken: none is 0.
constexpr uint32_t kTaken = 1u << 31;

// A process that is tried again within that is waited for.
constexpr uint64_t kSoonNs = 100'000'000;
constexpr const char* kNotNeeded = "is not needed any more";

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
  watched_.push_back({session, ProcessorShare(settings_.processor_percent)});
  if (closing_ || abandoned_) session->kill(kNotNeeded);
  keeper_bell_.ring();
  return session;
}

void IsolatedPlugin::take_figures(const std::shared_ptr<Session>& session) {
  const std::optional<ProcessFigures> figures = session->figures();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (Watched* const watched = watched_of(session)) watched->figures = figures;
}

tenon_status IsolatedPlugin::open_and_create(Session& session, std::string& problem) {
  StepPatience patience(settings_.lifecycle_ms + settings_.grace_ms);
  std::string answer;
  const auto run = [&](uint16_t code, const char* step, std::string_view payload) {
    const Outcome outcome = session.call(code, {payload}, answer, patience, true);
    if (outcome == Outcome::Done) return true;
    if (outcome == Outcome::GivenUp) session.kill(std::string("did not return from ") + step);
    problem = settings_.launch.settings.id + ": its process " + session.how_ends() + ", in " + step;
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
  if (!reader.ended() || (shape & wire::kLateShape) != 0) {
    return session.kill("answered create with what is no answer"), TENON_ERROR;
  }
  if (status != TENON_OK) return status;
  if (shape_ == 0) {
    take_shape(shape, concurrency, version);
  } else if ((shape | kTaken) != (shape_ & ~wire::kLateShape)) {
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
  restarts_ = true;
  if (!restarter_.start([this] { restart(); })) restarts_ = false;
  if (!restarts_ || !keeper_.start([this] { keep(); })) {
    report(settings_.launch.settings.id + ": the system has no thread left for it");
    return end(), TENON_ERROR_MEMORY;
  }
  for (Place& place : places_) {
    std::string problem;
    const std::shared_ptr<Session> session = start_session(problem);
    const tenon_status status = session ? open_and_create(*session, problem) : TENON_ERROR;
    if (status != TENON_OK) {
      if (!problem.empty()) report(problem);
      end();
      return status;
    }
    take_figures(session);
    const std::lock_guard<std::mutex> lock(mutex_);
    place.session = session;
  }
  plugin = &plugin_;
  return TENON_OK;
}

void IsolatedPlugin::take_shape(uint32_t shape, uint32_t max_concurrency, uint32_t state_version) {
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
}

void IsolatedPlugin::take_late_shape(uint32_t shape, int32_t order) {
  using F = PluginFunctions;
  const auto has = [shape](uint32_t bit) { return (shape & bit) != 0; };
  shape_ |= shape;
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

// Those that a step is for: all of them, and one that is being started again is waited for as long as the step may
// take.
bool IsolatedPlugin::gather(uint16_t code, wire::Patience& patience, std::vector<std::shared_ptr<Session>>& sessions) {
  const bool is_last = code == wire::kDownShutdown || code == wire::kDownDestroy;
  std::unique_lock<std::mutex> lock(mutex_);
  // What ends from here on is not begun again.
  if (is_last) stage_ = Stage::Ended;
  for (;;) {
    sessions.clear();
    const Place* missing = nullptr;
    for (const Place& place : places_) {
      if (place.session && !place.session->ended()) {
        sessions.push_back(place.session);
      } else {
        missing = &place;
      }
    }
    if (missing == nullptr || is_last) return true;
    const auto give_up = [&](const std::string& why) {
      const std::string sentence = settings_.launch.settings.id + ": its process " + missing->last_end + why;
      lock.unlock();
      report(sentence);
      return false;
    };
    if (stage_ != Stage::Ready || closing_) return give_up({});
    // It is not well as long as that takes.
    if (code == wire::kDownHealth && missing->due > core::now() + kSoonNs) {
      return give_up("; it is tried again in " + seconds_in(missing->due) + " s");
    }
    const int ms = patience.wait_ms();
    if (ms <= 0) return give_up(", and no other has taken its place in time");
    changed_.wait_for(lock, std::chrono::milliseconds(std::min(ms, 1000)));
  }
}

tenon_status IsolatedPlugin::step(uint16_t code, wire::Lane::Parts parts, std::string* answer) {
  std::vector<std::shared_ptr<Session>> sessions;
  StepPatience waiting(settings_.lifecycle_ms);
  if (!gather(code, waiting, sessions)) return TENON_ERROR_STATE;
  for (const std::shared_ptr<Session>& session : sessions) {
    StepPatience patience(settings_.lifecycle_ms + settings_.grace_ms);
    std::string own;
    refresh_log_level(*session);
    const Outcome outcome = session->call(code, parts, own, patience, true);
    if (outcome != Outcome::Done) {
      if (outcome == Outcome::GivenUp) session->kill("did not return in time from a step of its life");
      return report(settings_.launch.settings.id + ": its process " + session->how_ends() + ", in " +
                    name_of_step(code)),
             TENON_ERROR;
    }
    wire::Reader reader(own);
    const auto status = reader.get<int32_t>();
    if (!reader.whole()) return session->kill("answered with what is no answer"), TENON_ERROR;
    if (answer != nullptr && session == sessions.front()) *answer = std::move(own);
    if (status != TENON_OK) return status;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (code == wire::kDownInitialize) stage_ = Stage::Initialized;
  if (code == wire::kDownQuiesce || code == wire::kDownResume) is_quiet_ = code == wire::kDownQuiesce;
  if (code == wire::kDownReady) {
    stage_ = Stage::Ready;
    const uint64_t time = core::now();
    for (Place& place : places_) {
      place.began = time;
      // It was lost before anybody would have begun another.
      if (!place.session) place.due = time;
    }
    changed_.notify_all();
  }
  return TENON_OK;
}

void IsolatedPlugin::refresh_log_level(Session& session) const {
  session.set_log_level(core::HostFace::of(host_).plugin().log_level());
}

std::shared_ptr<Session> IsolatedPlugin::pick_now() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (size_t looked = 0; looked < places_.size(); looked++) {
    const Place& place = places_[turn_++ % places_.size()];
    if (place.session && !place.session->ended()) return place.session;
  }
  return nullptr;
}

std::shared_ptr<Session> IsolatedPlugin::pick(core::Call* call, std::string& problem) {
  CallPatience patience(call, 0);
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    for (size_t looked = 0; looked < places_.size(); looked++) {
      Place& place = places_[turn_++ % places_.size()];
      if (place.session && !place.session->ended()) return place.session;
    }
    // Before it is ready none takes the place of one that ended.
    if (stage_ != Stage::Ready || closing_) return problem = "no process of it runs", nullptr;
    uint64_t due = UINT64_MAX;
    const Place* next = nullptr;
    for (const Place& place : places_) {
      if (place.due != 0 && place.due < due) due = place.due, next = &place;
    }
    // Soon: wait for it. Else say so.
    if (next != nullptr && due > core::now() + kSoonNs) {
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
  refresh_log_level(session);
  const Outcome outcome =
      session.call(code, parts, answer, patience, false, call == nullptr ? 0 : call->request.number);
  if (outcome == Outcome::Done) return outcome;
  problem = outcome == Outcome::NotBegun ? "its process could not take it" : "its process ended while it was in this";
  return outcome;
}

Outcome IsolatedPlugin::ask(uint16_t code, wire::Lane::Parts parts, std::string& answer, core::Call* call,
                            std::string& problem, std::shared_ptr<Session>* session) {
  const std::shared_ptr<Session> picked = pick(call, problem);
  if (!picked) return Outcome::NotBegun;
  if (session != nullptr) *session = picked;
  return ask_of(*picked, code, parts, answer, call, problem);
}

void IsolatedPlugin::keep_state(uint32_t version, std::string_view bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  has_state_bytes_ = true;
  state_version_ = version;
  state_bytes_.assign(bytes);
}

void IsolatedPlugin::end() {
  const auto kill_all = [this] {
    std::vector<std::shared_ptr<Session>> sessions;
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
    stage_ = Stage::Ended;
    for (const Watched& watched : watched_) watched.session->kill(kNotNeeded);
    for (Place& place : places_) sessions.push_back(std::move(place.session));
    changed_.notify_all();
    if (keeper_.joinable()) keeper_bell_.ring();
  };
  kill_all();
  if (restarter_.joinable()) restarter_.join();
  if (keeper_.joinable()) keeper_.join();
}

std::vector<ProcessFacts> IsolatedPlugin::facts() const {
  std::vector<ProcessFacts> all;
  std::vector<std::shared_ptr<Session>> sessions;
  std::vector<std::optional<ProcessFigures>> figures;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Place& place : places_) {
      ProcessFacts facts;
      facts.restarts = place.restarts;
      facts.last_end = place.last_end;
      facts.last_end_at = place.last_end_at;
      all.push_back(std::move(facts));
      sessions.push_back(place.session);
      const auto watched = std::find_if(watched_.begin(), watched_.end(),
                                        [&](const Watched& one) { return one.session == place.session; });
      figures.push_back(watched == watched_.end() ? std::nullopt : watched->figures);
    }
  }
  for (size_t index = 0; index < all.size(); index++) {
    const std::shared_ptr<Session>& session = sessions[index];
    if (!session || session->ended()) continue;
    ProcessFacts& facts = all[index];
    const ProcessFigures seen = figures[index].value_or(ProcessFigures());
    facts.pid = session->pid();
    facts.resident_bytes = seen.use.resident_bytes;
    facts.threads = seen.use.threads;
    facts.processor_ms = seen.processor_ns / 1'000'000;
    facts.descriptors = seen.descriptors;
    facts.confinement = session->confinement();
  }
  return all;
}

}  // namespace tenon::isolated
