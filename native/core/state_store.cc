#include "state_store.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <utility>

#include "byte_buffer.h"

namespace tenon::core {

namespace {
// Of an exported block: the lengths before each key and value.
constexpr size_t kEntryBytes = 5;
constexpr char kFirstFormat = 1;
constexpr char kFormat = 2;
constexpr size_t kNumberBytes = 8;
// A file of changes may outgrow what it says so far, and twice that.
constexpr uint64_t kSpareBytes = uint64_t{4} << 20;

struct Block {
  std::unordered_map<std::string, std::string> values;
  size_t bytes = 0;
  uint64_t number = 0;
};

std::string read_block(std::string_view text, Block& block) {
  if (text.empty()) return "it is empty";
  const char format = text.front();
  if (format != kFirstFormat && format != kFormat) {
    return "it is of version " + std::to_string(static_cast<unsigned char>(format)) + ", not 1 or 2";
  }
  size_t at = 1;
  if (format == kFormat) {
    if (text.size() < 1 + kNumberBytes) return "it is cut short at byte 1";
    for (; at < 1 + kNumberBytes; at++) {
      block.number |= static_cast<uint64_t>(static_cast<unsigned char>(text[at])) << (8 * (at - 1));
    }
  }
  while (at < text.size()) {
    const std::string where = " at byte " + std::to_string(at);
    if (text.size() - at < kEntryBytes) return "it is cut short" + where;
    const size_t key_size = static_cast<unsigned char>(text[at]);
    size_t value_size = 0;
    for (unsigned byte = 0; byte < 4; byte++) {
      value_size |= static_cast<size_t>(static_cast<unsigned char>(text[at + 1 + byte])) << (8 * byte);
    }
    at += kEntryBytes;
    if (key_size == 0) return "a key is empty" + where;
    if (text.size() - at < key_size || text.size() - at - key_size < value_size) return "it is cut short" + where;
    if (!block.values.emplace(text.substr(at, key_size), text.substr(at + key_size, value_size)).second) {
      return "a key is there twice" + where;
    }
    at += key_size + value_size;
    block.bytes += key_size + value_size;
    if (block.bytes > TENON_STATE_LIMIT) return "its keys and values are over 64 MiB";
  }
  return {};
}

// One record of a file of changes after the first; whether it can be understood.
bool apply(Block& block, ValueFile::Kind kind, std::string_view key, std::string_view value) {
  if (kind == ValueFile::Kind::Whole) {
    block = {};
    return read_block(value, block).empty();
  }
  const auto found = block.values.find(std::string(key));
  const bool known = found != block.values.end();
  const size_t before = known ? key.size() + found->second.size() : 0;
  if (kind == ValueFile::Kind::Remove) {
    if (!known) return false;
    block.values.erase(found);
    block.bytes -= before;
    return true;
  }
  const size_t bytes = block.bytes - before + key.size() + value.size();
  if (key.empty() || bytes > TENON_STATE_LIMIT) return false;
  block.values[std::string(key)].assign(value);
  block.bytes = bytes;
  return true;
}
}  // namespace

tenon_status StateStore::put(tenon_bytes_t key, tenon_bytes_t value) {
  if (key.data == nullptr || key.size == 0 || key.size > kKeyBytes) return TENON_ERROR_ARGUMENT;
  if (value.data == nullptr && value.size != 0) return TENON_ERROR_ARGUMENT;
  if (value.size > TENON_STATE_LIMIT) return TENON_ERROR_TOO_LARGE;
  const std::string name(view(key));
  std::string fresh(view(value));
  const std::lock_guard<std::mutex> change(change_);
  const auto found = values_.find(name);
  const size_t before = found == values_.end() ? 0 : key.size + found->second.size();
  if (bytes_ - before + key.size + value.size > TENON_STATE_LIMIT) return TENON_ERROR_TOO_LARGE;
  if (!keep(ValueFile::Kind::Put, name, view(value))) return TENON_ERROR_STORAGE;
  bytes_ = bytes_ - before + key.size + value.size;
  const std::lock_guard<std::mutex> lock(mutex_);
  values_[name].swap(fresh);
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
  const std::lock_guard<std::mutex> change(change_);
  const auto found = values_.find(std::string(view(key)));
  if (found == values_.end()) return TENON_ERROR_NOT_FOUND;
  if (!keep(ValueFile::Kind::Remove, found->first, {})) return TENON_ERROR_STORAGE;
  bytes_ -= found->first.size() + found->second.size();
  const std::lock_guard<std::mutex> lock(mutex_);
  values_.erase(found);
  return TENON_OK;
}

ValueFile::Found StateStore::keep_in(const std::string& path, bool recover) {
  using State = ValueFile::Found::State;
  const std::lock_guard<std::mutex> change(change_);
  Block read;
  const auto take = [&read](uint64_t number, ValueFile::Kind kind, std::string_view key, std::string_view value) {
    if (!apply(read, kind, key, value)) return false;
    read.number = number;
    return true;
  };
  const ValueFile::Found found = file_.use(path, recover ? ValueFile::Take(take) : ValueFile::Take());
  rewrite_at_ = 0;
  if (found.state == State::Unreadable) return found;
  if (found.state != State::Absent && read.number >= number_ && read.number > 0) {
    replace(read.values);
    bytes_ = read.bytes;
    number_ = read.number;
    rewrite_at_ = 2 * (bytes_ + kEntryBytes * values_.size()) + kSpareBytes;
  }
  if (!recover || number_ == 0) outnumber_all();
  // Changes before it may be known here alone, or in a file that is put aside.
  if (!recover && !values_.empty()) write_whole();
  return found;
}

void StateStore::keep_in_memory() {
  const std::lock_guard<std::mutex> change(change_);
  file_.close();
}

std::string StateStore::export_values() {
  const std::lock_guard<std::mutex> change(change_);
  if (!file_.in_use()) outnumber_all();
  return block();
}

std::string StateStore::block() const {
  std::string block;
  block.reserve(1 + kNumberBytes + bytes_ + values_.size() * kEntryBytes);
  block.push_back(kFormat);
  for (unsigned shift = 0; shift < 64; shift += 8) block.push_back(static_cast<char>(number_ >> shift & 0xff));
  for (const auto& [key, value] : values_) {
    block.push_back(static_cast<char>(key.size()));
    for (unsigned shift = 0; shift < 32; shift += 8) block.push_back(static_cast<char>(value.size() >> shift & 0xff));
    block.append(key).append(value);
  }
  return block;
}

std::string StateStore::import_values(std::string_view text) {
  Block read;
  const std::string flaw = read_block(text, read);
  if (!flaw.empty()) return flaw;
  const std::lock_guard<std::mutex> change(change_);
  file_.close();
  replace(read.values);
  bytes_ = read.bytes;
  number_ = read.number;
  return {};
}

void StateStore::replace(Values& values) {
  const std::lock_guard<std::mutex> lock(mutex_);
  values_.swap(values);
}

bool StateStore::write_whole() {
  if (!file_.write_whole(number_, block())) return false;
  rewrite_at_ = 2 * file_.size() + kSpareBytes;
  return true;
}

bool StateStore::keep(ValueFile::Kind kind, std::string_view key, std::string_view value) {
  if (!file_.in_use()) return true;
  // One that is older than the values, or too long.
  if (!file_.begun() || rewrite_at_ == 0) {
    if (!write_whole()) return false;
  } else if (file_.size() > rewrite_at_ && !write_whole()) {
    if (file_.size() + key.size() + value.size() > ValueFile::kMostBytes - kSpareBytes) return false;
    rewrite_at_ = file_.size() + kSpareBytes;
  }
  if (!file_.append(number_ + 1, kind, key, value)) return false;
  number_ += 1;
  return true;
}

void StateStore::outnumber_all() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(since).count();
  number_ = std::max(number_ + 1, static_cast<uint64_t>(std::max<int64_t>(0, now)));
}

}  // namespace tenon::core
