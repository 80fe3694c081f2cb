#ifndef TENON_CORE_STATE_STORE_H
#define TENON_CORE_STATE_STORE_H

#include <mutex>
#include <string>
#include <unordered_map>

#include "tenon/ext/state.h"

namespace tenon::core {

// Key-value state of one plugin, across its generations. [any]
class StateStore {
 public:
  static constexpr size_t kKeyBytes = 255;

  tenon_status put(tenon_bytes_t key, tenon_bytes_t value);
  tenon_status get(tenon_bytes_t key, void* buffer, size_t capacity, size_t* value_size) const;
  tenon_status remove(tenon_bytes_t key);

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::string> values_;
  size_t bytes_ = 0;
};

}  // namespace tenon::core

#endif
