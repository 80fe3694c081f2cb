#ifndef TENON_CORE_GENERATION_H
#define TENON_CORE_GENERATION_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "call_counters.h"
#include "control.h"
#include "host_face.h"
#include "image_registry.h"
#include "instance_source.h"
#include "offers.h"
#include "pool.h"
#include "route.h"
#include "tenon/entry.h"
#include "tenon/ext/http.h"
#include "tenon/ext/state.h"

namespace tenon::core {

class Front;
class Plugin;
struct Lease;

struct GenerationSettings {
  uint64_t number;
  std::string root;
  std::string prefix;  // path before every pattern, empty at the root
  RouteDefaults defaults;
  TablesAccess tables = {};
  ConfigValues config = {};
  std::optional<PermissionLines> permissions = std::nullopt;
  ImageIndex image = kNoImage;
};

// One life of a plugin: instance, routes, threads, leases. Made and closed on the front's thread; its life-cycle steps
// run on its control thread. Its library is opened before it is made and closed after it is closed, by whoever owns it.
class Generation {
 public:
  Generation(std::shared_ptr<Front> front, Plugin& plugin, std::shared_ptr<InstanceSource> source,
             GenerationSettings settings);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  Front& front() { return *front_; }
  Plugin& plugin() const { return plugin_; }
  uint64_t number() const { return settings_.number; }
  ImageIndex image() const { return settings_.image; }  // [any]
  tenon_plugin_t* instance() const { return instance_; }
  const tenon_plugin_http_t* http() const { return http_; }
  bool is_isolated() const { return source_->is_isolated(); }  // [any]
  InstanceSource& source() const { return *source_; }
  bool has_state() const { return has_state_.load(std::memory_order_acquire); }      // [any]
  bool can_quiesce() const { return can_quiesce_.load(std::memory_order_acquire); }  // [any]
  // Segments of a path that stand before a route's own.
  size_t prefix_segments() const { return prefix_segments_; }
  const std::vector<Route>& routes() const { return routes_; }
  // What it offers to others; known with the routes.
  const Offers& offers() const { return offers_; }
  // Of its providers; until it is closed. [any]
  Decisions& decisions() { return face_->decisions(); }
  // Prefix and pattern: the path that a slot stands for.
  std::string path_of(const Route& route) const;
  Pool& pool() { return pool_; }
  Control& control() { return control_; }
  Lease* lease() const { return lease_; }
  CallCounters& counters() { return counters_; }  // [front]
  VisitCounters& visits() { return visits_; }     // [any]
  // A record of its log that the host writes. Under a lease. [any]
  void log(int32_t level, std::string_view message, const tenon_log_field_t* fields, size_t field_count) const;

  // Calls of the plugin's slot go to route `index`. Before it is live. [front]
  void bind(uint32_t local_slot, uint32_t index);
  const Route* route_of(uint32_t local_slot) const {
    return local_slot < by_slot_.size() ? by_slot_[local_slot] : nullptr;
  }

  // Its calls are waited for; it is in use again. [front]
  void drain();
  void serve();
  // Whether no call is in it any more; then nothing that calls into it by itself begins until it serves. [front]
  bool end_drain();
  // It is being taken down, and will not be in use again. [front]
  void retire();
  // The host's own: `work` on a thread for tasks, at any time until `stop`. Whoever asks for it holds a lease until it
  // has run. From `ready` on; false when no thread could be started. [any]
  bool owe(void (*work)(void* context), void* context) { return face_->services().tasks.owe(work, context); }
  // What it may from the next call on. [front]
  void permit(std::optional<PermissionLines> permissions) {
    if (face_) face_->permit(std::move(permissions));
  }
  // So many services were refused to it. Under a lease. [any]
  uint64_t denials() const { return face_->permissions().denials(); }
  const Permissions& permissions() const { return face_->permissions(); }
  // What it has open with the services of the host. [front]
  Ledger ledger() const;

  // Carry `task` out. [control]
  void perform(Task& task);
  // Whether to read the routes, after `task`, which has succeeded, is what comes next; do so. [control]
  bool are_routes_next(const Task& task) const;
  void read_ahead() { read_routes(); }
  // Carry `task` out if that needs no thread: its step has no function, or the routes have been read. [front]
  bool perform_at_once(Task& task);
  // Whether the control thread is in the routes although nobody has asked for them yet. [any]
  bool is_reading_ahead() const { return reading_.load(std::memory_order_acquire) == Reading::Begun; }
  // End all threads, those of others that have run its code too; how many have not ended by `until`. [closer]
  uint32_t stop(uint64_t until);
  // Its own; once it stops, also those of others that have run its code. [front]
  uint32_t threads_alive() const;
  uint32_t threads_lost() const { return pool_.lost() + (control_.lost() ? 1 : 0); }

  bool closed() const { return closed_; }
  // Give the lease back to the plugin. Not live, not leased, no threads. [front]
  void close();

 private:
  enum class Reading { None, Begun, Done, Given };

  tenon_status create(std::string& message);
  // The tables, if it has some.
  template <typename Change>
  void change_tables(Change change);
  void open_services();
  void read_routes();
  tenon_status read_routes(std::string& message);
  tenon_status give_routes(std::string& message);
  tenon_status save(Task& task);
  tenon_status load(Task& task);
  tenon_status configure(Task& task);

  const std::shared_ptr<Front> front_;
  Plugin& plugin_;
  const std::shared_ptr<InstanceSource> source_;
  GenerationSettings settings_;
  const size_t prefix_segments_;
  const tenon_context_t context_;
  std::unique_ptr<HostFace> face_;
  tenon_plugin_t* instance_ = nullptr;
  const tenon_plugin_http_t* http_ = nullptr;
  const tenon_plugin_state_t* state_ = nullptr;
  std::atomic<bool> has_state_{false};
  std::atomic<bool> can_quiesce_{false};
  std::atomic<bool> can_initialize_{true};  // or there is no instance yet
  std::atomic<bool> can_ready_{true};
  std::atomic<Reading> reading_{Reading::None};
  tenon_status routes_status_ = TENON_OK;
  std::string routes_message_;
  std::vector<Route> routes_;
  Offers offers_;
  std::vector<const Route*> by_slot_;
  Lease* lease_;
  Pool pool_;
  Control control_;
  CallCounters counters_;
  VisitCounters visits_;
  std::atomic<bool> stopping_{false};
  bool closed_ = false;
};

}  // namespace tenon::core

#endif
