#ifndef TENON_CORE_HOST_FACE_H
#define TENON_CORE_HOST_FACE_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "config_face.h"
#include "decisions.h"
#include "http_client_face.h"
#include "permissions.h"
#include "plugin.h"
#include "services.h"
#include "tables_face.h"
#include "tenon/host.h"

namespace tenon::core {

// The host as one generation sees it. Stays for a while after the generation is gone, closed: a plugin's own thread
// that comes too late meets a host that answers nothing, not freed memory.
class HostFace {
 public:
  HostFace(Plugin& plugin, uint64_t number, TablesAccess access, ConfigValues config = {},
           std::optional<PermissionLines> permissions = std::nullopt);
  ~HostFace();
  HostFace(const HostFace&) = delete;
  HostFace& operator=(const HostFace&) = delete;

  const tenon_host_t& host() const { return host_; }
  Plugin& plugin() const { return plugin_; }
  uint64_t number() const { return number_; }
  bool open() const { return open_.load(std::memory_order_acquire); }
  void close();

  Permissions& permissions() { return *permissions_; }              // [any]
  const Permissions& permissions() const { return *permissions_; }  // [any]
  // It has another set of them. [front]
  void permit(std::optional<PermissionLines> permissions);

  Decisions& decisions() { return decisions_; }  // [any]

  // Null without a store.
  TablesFace* tables() const { return tables_.get(); }
  ConfigFace& config() { return config_; }
  HttpClientFace& http_client() const { return *http_client_; }

  Services& services() { return services_; }
  const Services& services() const { return services_; }

  // The last warning or error the plugin logged: what a life-cycle step that fails is reported with. [any]
  void remember(std::string message);
  std::string take_remembered();

  static HostFace& of(const tenon_host_t* host) { return *static_cast<HostFace*>(host->data); }

 private:
  Plugin& plugin_;
  const uint64_t number_;
  const std::shared_ptr<Permissions> permissions_;
  const std::shared_ptr<TablesFace> tables_;
  ConfigFace config_;
  const std::shared_ptr<HttpClientFace> http_client_;
  Services services_;
  tenon_host_t host_;
  std::atomic<bool> open_{true};
  Decisions decisions_;
  std::mutex mutex_;
  std::string remembered_;
};

// A record in the log of its generation, and the event of it. [any]
void write_log(Plugin& plugin, uint64_t generation, int32_t level, tenon_bytes_t message,
               const tenon_log_field_t* fields, size_t field_count);

}  // namespace tenon::core

#endif
