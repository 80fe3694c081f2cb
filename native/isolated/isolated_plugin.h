#ifndef TENON_ISOLATED_ISOLATED_PLUGIN_H
#define TENON_ISOLATED_ISOLATED_PLUGIN_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "call.h"
#include "host_thread.h"
#include "instance_source.h"
#include "process_meter.h"
#include "session.h"
#include "tenon/ext/auth.h"
#include "tenon/ext/config.h"
#include "tenon/ext/events.h"
#include "tenon/ext/hooks.h"
#include "tenon/ext/http.h"
#include "tenon/ext/middleware.h"
#include "tenon/ext/state.h"
#include "tenon/plugin.h"

namespace tenon::isolated {

// That a process has ended, and what comes then.
struct Ending {
  ProcessEnd end;
  bool expected = false;  // nobody is to blame: the plugin is being unloaded
  bool replaced = false;  // another takes its place, after pause_ms
  uint64_t pause_ms = 0;
};

struct IsolationSettings {
  Launch launch;
  uint32_t processes = 1;
  uint32_t lifecycle_ms = 10'000;             // for each step of life
  uint32_t grace_ms = 1'000;                  // after a deadline, before the process is killed
  uint32_t processor_percent = 0;             // of one processor, for each process; 0: no limit
  std::function<void(const Ending&)> on_end;  // a process has ended [keeper]
};

// What one process of a plugin is, for people.
struct ProcessFacts {
  pid_t pid = 0;  // 0: none runs now
  uint32_t restarts = 0;
  uint64_t resident_bytes = 0;
  uint64_t processor_ms = 0;
  uint32_t threads = 0;
  uint32_t descriptors = 0;
  std::string last_end;      // how the one before ended, or empty
  uint64_t last_end_at = 0;  // ms since 1970; 0: none has
  std::optional<wire::Confinement> confinement;
};

// What the plugin declares after initialize, as its processes said it.
struct Declarations {
  struct DeclaredRoute {
    tenon_route_t route;
    std::string pattern, roles, summary, description, openapi;
  };
  struct DeclaredProvider {
    tenon_auth_provider_t provider;
    std::string scheme, header, challenge;
  };
  struct DeclaredHook {
    tenon_hook_t hook;
    std::string name;
  };
  // Whether another process, which says `other`, may stand beside it.
  bool goes_with(const Declarations& other) const;

  uint32_t shape = 0;  // of it, wire::kLateShape
  int32_t order = 0;   // of its middleware
  // How many it says; of more than there may be none is here. One that it did not give, or gave too small, has size 0.
  uint32_t provider_count = 0, hook_count = 0, route_count = 0;
  std::vector<DeclaredRoute> routes;
  std::vector<DeclaredProvider> providers;
  std::vector<DeclaredHook> hooks;
};

/*
 * A plugin whose code runs in processes of its own, as the host sees it: an instance like that of any library, whose
 * functions ask a runner. One for a generation; outlives it.
 *
 * When a process ends that nobody asked to, what it was in fails, and another takes its place: created, initialized,
 * given the state that was saved last, made ready. Calls wait for it as long as they may; after several ends in a row
 * it is waited between two tries, and calls are refused meanwhile.
 */
class IsolatedPlugin final : public core::InstanceSource {
 public:
  // Owns the descriptor of the library from here on.
  explicit IsolatedPlugin(IsolationSettings settings);
  ~IsolatedPlugin() override;

  tenon_status create(const tenon_host_t& host, tenon_plugin_t*& plugin) override;
  bool is_isolated() const override { return true; }
  Start begin(core::Call& call, bool may_wait, tenon_status& status) override;
  tenon_status go_on(core::Call& call) override;
  // With several processes, what waits at one may be begun by another sooner.
  uint32_t ahead() const override { return settings_.processes > 1 ? 0 : wire::kExpressSlots / 2; }
  void give_up(core::Call& call) override;
  void be_late() override { keeper_bell_.ring(); }

  // Figures of a process are those of the last second. [any]
  std::vector<ProcessFacts> facts() const;

  static IsolatedPlugin& of(const tenon_plugin_t* plugin) { return *static_cast<IsolatedPlugin*>(plugin->data); }

  // Ask one of the processes. `call`: the request it is for, whose deadline and end are kept to; null: as long as it
  // takes. With anything but Done, `problem` says why. `session` is the one that was asked. [any]
  wire::Outcome ask(uint16_t code, wire::Lane::Parts parts, std::string& answer, core::Call* call, std::string& problem,
                    std::shared_ptr<Session>* session = nullptr);
  // One that can be asked, waiting for it as long as `call` may wait; null and why not. [any]
  std::shared_ptr<Session> pick(core::Call* call, std::string& problem);
  // The same without waiting. [any]
  std::shared_ptr<Session> pick_now();
  wire::Outcome ask_of(Session& session, uint16_t code, wire::Lane::Parts parts, std::string& answer, core::Call* call,
                       std::string& problem);
  // A step of life on every process, one after the other; the first that fails ends it. `answer` is that of the first
  // process. [control]
  tenon_status step(uint16_t code, wire::Lane::Parts parts, std::string* answer = nullptr);
  // Log `sentence` as an error: what a step that fails is reported with. [any]
  void report(const std::string& sentence) const;

  const Declarations* declarations();  // null: it could not be had, which has been reported [control]
  // The state that a new process begins with. [control]
  void keep_state(uint32_t version, std::string_view bytes);
  void end();  // every process, for good [control]
  // Kill every process for `reason` and begin none any more, so that nothing is left in them; what follows of its life
  // is not told to anybody. [any]
  void abandon(const std::string& reason);

  const tenon_plugin_t& plugin() const { return plugin_; }
  uint32_t shape() const { return shape_; }

 private:
  enum class Stage { None, Created, Initialized, Ready, Ended };
  struct Place {
    std::shared_ptr<Session> session;  // null: none that can be asked
    uint32_t restarts = 0;
    uint32_t failures = 0;  // ends in a row, with little time between them
    uint64_t began = 0;     // ns, monotonic: when the one that runs was ready
    uint64_t due = 0;       // when the next is tried; 0: none is
    std::string last_end;
    uint64_t last_end_at = 0;
  };
  struct Watched {
    std::shared_ptr<Session> session;
    ProcessorShare share;  // the keeper's
    uint64_t looked = 0;   // the keeper's
    std::optional<ProcessFigures> figures = {};
  };

  std::shared_ptr<Session> start_session(std::string& problem);
  // Until the keeper looks at it.
  void take_figures(const std::shared_ptr<Session>& session);
  tenon_status open_and_create(Session& session, std::string& problem);
  tenon_status read_declarations(Session& session, Declarations& declarations, std::string& problem);
  bool bring_up(Session& session, std::string& problem);
  void take_shape(uint32_t shape, uint32_t max_concurrency, uint32_t state_version);
  void take_late_shape(uint32_t shape, int32_t order);
  void keep();     // the keeper's thread
  void restart();  // the restarter's thread
  void look(uint64_t time);
  uint64_t end_late(uint64_t time);
  void look_at(Watched& watched, uint64_t time) const;
  Watched* watched_of(const std::shared_ptr<Session>& session);  // null: its process is gone; under the mutex
  void lose(const std::shared_ptr<Session>& session);
  bool gather(uint16_t code, wire::Patience& patience, std::vector<std::shared_ptr<Session>>& sessions);
  void refresh_log_level(Session& session) const;

  IsolationSettings settings_;
  const tenon_host_t* host_ = nullptr;

  tenon_plugin_t plugin_ = {};
  tenon_plugin_http_t http_ = {};
  tenon_plugin_state_t state_ = {};
  tenon_plugin_config_t config_ = {};
  tenon_plugin_events_t events_ = {};
  tenon_plugin_auth_t auth_ = {};
  tenon_plugin_middleware_t middleware_ = {};
  tenon_plugin_hooks_t hooks_ = {};
  uint32_t shape_ = 0;
  std::unique_ptr<Declarations> declarations_;
  bool was_asked_ = false;  // for them
  friend struct PluginFunctions;

  // Of the front.
  std::string question_;
  std::vector<uint8_t> over_lanes_;  // by route: so many calls are to be made over lanes

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Stage stage_ = Stage::None;
  std::vector<Place> places_;
  std::vector<Watched> watched_;
  uint32_t turn_ = 0;
  uint64_t untold_drops_ = 0;  // of events; the event thread's
  std::string root_, app_id_;
  uint64_t generation_ = 0;
  bool has_state_bytes_ = false;
  uint32_t state_version_ = 0;
  std::string state_bytes_;
  bool is_quiet_ = false;  // between quiesce and resume
  bool abandoned_ = false;
  bool closing_ = false;
  wire::Doorbell keeper_bell_;
  HostThread keeper_;
  HostThread restarter_;
  bool restarts_ = false;  // the restarter has not left
};

}  // namespace tenon::isolated

#endif
