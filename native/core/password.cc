#include "password.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base64.h"

namespace tenon::core {

namespace {

// Memory (32 MiB each) and processors that logging in may take of the host, however many do it.
constexpr int kAtOnce = 2;
constexpr int kMostWaiting = 64;
constexpr std::chrono::seconds kPatience{10};

class Turns {
 public:
  static Turns& instance() {
    static Turns& turns = *std::unique_ptr<Turns>(new Turns()).release();
    return turns;
  }
  bool take() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (running_ >= kAtOnce && waiting_ >= kMostWaiting) return false;
    waiting_++;
    const bool free = freed_.wait_for(lock, kPatience, [this] { return running_ < kAtOnce; });
    waiting_--;
    if (free) running_++;
    return free;
  }
  void give_back() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      running_--;
    }
    freed_.notify_one();
  }

 private:
  Turns() = default;
  std::mutex mutex_;
  std::condition_variable freed_;
  int running_ = 0;
  int waiting_ = 0;
};

tenon_status derive(const Crypto& crypto, std::string_view password, const PasswordHash& hash, std::string& key) {
  if (!Turns::instance().take()) return TENON_ERROR_AGAIN;
  const tenon_status status =
      crypto.scrypt(password, hash.salt, uint64_t{1} << hash.log_n, hash.r, hash.p, key.data(), key.size());
  Turns::instance().give_back();
  return status;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// A decimal number of at most three digits, without a leading zero.
bool take_number(std::string_view& text, uint32_t& value) {
  size_t digits = 0;
  value = 0;
  for (; digits < text.size() && digits < 3 && text[digits] >= '0' && text[digits] <= '9'; digits++) {
    value = value * 10 + static_cast<uint32_t>(text[digits] - '0');
  }
  const bool right = digits > 0 && text[0] != '0';
  text.remove_prefix(digits);
  return right;
}

}  // namespace

std::optional<PasswordHash> PasswordHash::parse(std::string_view text) {
  PasswordHash hash;
  if (text.size() > kTextBytes || !take(text, "$scrypt$ln=") || !take_number(text, hash.log_n) || !take(text, ",r=") ||
      !take_number(text, hash.r) || !take(text, ",p=") || !take_number(text, hash.p) || !take(text, "$")) {
    return std::nullopt;
  }
  const size_t middle = text.find('$');
  if (middle == std::string_view::npos || !read_base64(text.substr(0, middle), Base64::Standard, hash.salt) ||
      !read_base64(text.substr(middle + 1), Base64::Standard, hash.key)) {
    return std::nullopt;
  }
  if (hash.salt.size() < 8 || hash.salt.size() > 48 || hash.key.size() < 16 || hash.key.size() > 64) {
    return std::nullopt;
  }
  if (hash.log_n < 10 || hash.log_n > 20) return std::nullopt;
  const uint64_t work = (uint64_t{1} << hash.log_n) * hash.r;
  if (128 * work > kMostMemory || work * hash.p > kMostWork) return std::nullopt;
  return hash;
}

std::string PasswordHash::text() const {
  std::string text =
      "$scrypt$ln=" + std::to_string(log_n) + ",r=" + std::to_string(r) + ",p=" + std::to_string(p) + "$";
  append_base64(salt, Base64::Standard, text);
  text.push_back('$');
  append_base64(key, Base64::Standard, text);
  return text;
}

tenon_status hash_password(const Crypto& crypto, std::string_view password, std::string& text) {
  if (password.empty() || password.size() > PasswordHash::kPasswordBytes) return TENON_ERROR_ARGUMENT;
  PasswordHash hash;
  hash.salt.resize(PasswordHash::kSaltBytes);
  hash.key.resize(PasswordHash::kKeyBytes);
  if (!crypto.random(hash.salt.data(), hash.salt.size())) return TENON_ERROR_UNSUPPORTED;
  const tenon_status status = derive(crypto, password, hash, hash.key);
  if (status == TENON_OK) text = hash.text();
  return status;
}

tenon_status verify_password(const Crypto& crypto, std::string_view password, std::string_view text) {
  const std::optional<PasswordHash> hash = PasswordHash::parse(text);
  if (!hash) return TENON_ERROR_ARGUMENT;
  // One that can be no password takes as long as any other.
  const bool possible = !password.empty() && password.size() <= PasswordHash::kPasswordBytes;
  std::string key(hash->key.size(), '\0');
  const tenon_status status = derive(crypto, password.substr(0, PasswordHash::kPasswordBytes), *hash, key);
  if (status != TENON_OK) return status;
  return crypto.equal(key, hash->key) && possible ? TENON_OK : TENON_ERROR_DENIED;
}

}  // namespace tenon::core
