#include "state_store.h"

#include <cstring>

#include "byte_buffer.h"

namespace tenon::core {

tenon_status StateStore::put(tenon_bytes_t key, tenon_bytes_t value) {
  if (key.data == nullptr || key.size == 0 || key.size > kKeyBytes) return TENON_ERROR_ARGUMENT;
  if (value.data == nullptr && value.size != 0) return TENON_ERROR_ARGUMENT;
  if (value.size > TENON_STATE_LIMIT) return TENON_ERROR_TOO_LARGE;
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string name(view(key));
  const auto found = values_.find(name);
  const size_t before = found == values_.end() ? 0 : key.size + found->second.size();
  if (bytes_ - before + key.size + value.size > TENON_STATE_LIMIT) return TENON_ERROR_TOO_LARGE;
  bytes_ = bytes_ - before + key.size + value.size;
  values_[name].assign(view(value));
  return TENON_OK;
}

tenon_status StateStore::get(tenon_bytes_t key, void* buffer, size_t capacity, size_t* value_size) const {
  if (key.data == nullptr || value_size == nullptr || (buffer == nullptr && capacity != 0)) return TENON_ERROR_ARGUMENT;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = values_.find(std::string(view(key)));
  if (found == values_.end()) return TENON_ERROR_NOT_FOUND;
  *value_size = found->second.size();
  if (found->second.size() > capacity) return TENON_ERROR_TOO_LARGE;
  if (!found->second.empty()) std::memcpy(buffer, found->second.data(), found->second.size());
  return TENON_OK;
}

tenon_status StateStore::remove(tenon_bytes_t key) {
  if (key.data == nullptr) return TENON_ERROR_ARGUMENT;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = values_.find(std::string(view(key)));
  if (found == values_.end()) return TENON_ERROR_NOT_FOUND;
  bytes_ -= found->first.size() + found->second.size();
  values_.erase(found);
  return TENON_OK;
}

}  // namespace tenon::core
