#ifndef TENON_CORE_CONFIG_FACE_H
#define TENON_CORE_CONFIG_FACE_H

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "tenon/ext/config.h"
#include "tenon/host.h"

namespace tenon::core {

// What the operator has set for one plugin: JSON objects, checked by whoever brings them.
struct ConfigValues {
  std::string own = "{}";
  std::map<std::string, std::string> consumers;  // settings by application
};

// tenon.config/1 for one generation. [any]
class ConfigFace {
 public:
  explicit ConfigFace(ConfigValues values) : values_(std::make_shared<const ConfigValues>(std::move(values))) {}
  static const tenon_host_config_t& functions();

  // What holds now; stays for whoever has it.
  std::shared_ptr<const ConfigValues> values() const;
  // The plugin looks at it. [any]
  std::shared_ptr<const ConfigValues> read();
  // Whether it ever has: who has not is not concerned by a change.
  bool was_read() const { return was_read_.load(std::memory_order_acquire); }
  // The plugin has taken a change: see tenon_plugin_config_t.changed.
  void take(const std::string& application, std::string json);

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> was_read_{false};
  std::shared_ptr<const ConfigValues> values_;
};

}  // namespace tenon::core

#endif
