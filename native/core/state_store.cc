#include "state_store.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "byte_buffer.h"

namespace tenon::core {

namespace {
// Of an exported block: the lengths before each key and value.
constexpr size_t kEntryBytes = 5;
}  // namespace

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

std::string StateStore::export_values() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string block;
  block.reserve(1 + bytes_ + values_.size() * kEntryBytes);
  block.push_back(kFormat);
  for (const auto& [key, value] : values_) {
    block.push_back(static_cast<char>(key.size()));
    for (unsigned shift = 0; shift < 32; shift += 8) block.push_back(static_cast<char>(value.size() >> shift & 0xff));
    block.append(key).append(value);
  }
  return block;
}

std::string StateStore::import_values(std::string_view block) {
  if (block.empty()) return "it is empty";
  if (block.front() != kFormat) {
    return "it is of version " + std::to_string(static_cast<unsigned char>(block.front())) + ", not 1";
  }
  std::unordered_map<std::string, std::string> values;
  size_t total = 0;
  for (size_t at = 1; at < block.size();) {
    const std::string where = " at byte " + std::to_string(at);
    if (block.size() - at < kEntryBytes) return "it is cut short" + where;
    const size_t key_size = static_cast<unsigned char>(block[at]);
    size_t value_size = 0;
    for (unsigned byte = 0; byte < 4; byte++) {
      value_size |= static_cast<size_t>(static_cast<unsigned char>(block[at + 1 + byte])) << (8 * byte);
    }
    at += kEntryBytes;
    if (key_size == 0) return "a key is empty" + where;
    if (block.size() - at < key_size || block.size() - at - key_size < value_size) return "it is cut short" + where;
    if (!values.emplace(block.substr(at, key_size), block.substr(at + key_size, value_size)).second) {
      return "a key is there twice" + where;
    }
    at += key_size + value_size;
    total += key_size + value_size;
    if (total > TENON_STATE_LIMIT) return "its keys and values are over 64 MiB";
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  values_ = std::move(values);
  bytes_ = total;
  return {};
}

}  // namespace tenon::core
