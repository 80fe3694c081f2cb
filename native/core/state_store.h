#ifndef TENON_CORE_STATE_STORE_H
#define TENON_CORE_STATE_STORE_H

#include <mutex>
#include <string>
#include <string_view>
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

  // Every key and value as one block: a version byte (1), then for each key its length (1 byte), the value's length
  // (4 bytes, little-endian), key and value. In no order.
  std::string export_values() const;
  // Replace all values by those of such a block. A sentence that says what is wrong with it, and then nothing has
  // changed; empty when it was taken.
  std::string import_values(std::string_view block);

 private:
  static constexpr char kFormat = 1;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::string> values_;
  size_t bytes_ = 0;
};

}  // namespace tenon::core

#endif
