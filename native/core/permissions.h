#ifndef TENON_CORE_PERMISSIONS_H
#define TENON_CORE_PERMISSIONS_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::core {

class Plugin;

// What a plugin can be granted; in the order of `permission_name`.
enum class Permit : uint8_t {
  TablesRead,
  TablesWrite,
  HttpClient,
  EventsPublish,
  EventsSubscribe,
  HooksCall,
  AuthCredentials,
  WriteConfig
};
constexpr size_t kPermits = 8;

// "tables:read" and so on.
std::string_view permission_name(Permit permit);

// Lines as src/base/permission.ts has them, which has checked them; others allow nothing.
struct PermissionLines {
  std::vector<std::string> granted;
  std::vector<std::string> asked;
  bool by_manifest = false;  // else it is its config.yaml that asks, and grants
};

/*
 * What one generation may do beyond its own. Asked before every service that has an effect outside of the plugin: who
 * is bound by nothing pays one branch, anybody else takes no lock. Stays as long as somebody has it.
 */
class Permissions {
 public:
  Permissions(Plugin& plugin, uint64_t generation);
  ~Permissions();
  Permissions(const Permissions&) = delete;
  Permissions& operator=(const Permissions&) = delete;

  // What it may from the next call on; nothing: it is bound by none of this. [front]
  void set(std::optional<PermissionLines> lines);
  // How often that has changed, from 1 on. [any]
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }

  // Whether `which` may be done; of a host, with its port. A refusal is logged, counted and remembered. [any]
  bool allow(Permit permit, std::string_view which) {
    if (table_.load(std::memory_order_acquire) == nullptr) return true;
    if (covers(permit, which)) return true;
    deny(permit, which);
    return false;
  }
  // The same without consequences; true where nothing binds it. [any]
  bool covers(Permit permit, std::string_view which) const;
  bool bound() const { return table_.load(std::memory_order_acquire) != nullptr; }  // [any]
  // It was refused. [any]
  void deny(Permit permit, std::string_view which);

  // So many refusals there were. [any]
  uint64_t denials() const { return denials_.load(std::memory_order_relaxed); }
  struct Denial {
    std::string line;      // what is missing
    std::string sentence;  // the same for people, with what to do
  };
  // The last refusal on this thread, when that was after the first `since`; that of any thread for `anywhere`. [any]
  std::optional<Denial> denied(uint64_t since, bool anywhere) const;

 private:
  static constexpr size_t kRemembered = 64;
  using Whiches = std::array<std::vector<std::string>, kPermits>;
  struct Table {
    Whiches granted;
    Whiches asked;
    bool by_manifest = false;
  };

  template <typename Ask>
  bool ask(Ask question) const;
  Denial denial_of(Permit permit, std::string_view which) const;
  void write_log(const Denial& denial) const;

  Plugin& plugin_;
  const uint64_t generation_;
  const uint64_t serial_;  // no other's, not even of one that had the same address
  std::atomic<const Table*> table_{nullptr};
  std::atomic<uint64_t> epoch_{1};
  // Count first, then look at the table; `set` changes the table first, then looks at the count.
  mutable std::atomic<int64_t> inside_{0};
  std::atomic<uint64_t> denials_{0};
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<const Table>> tables_;  // the last is the one that holds
  std::set<std::string, std::less<>> logged_;
  bool silenced_ = false;
  uint64_t last_number_ = 0;
  Denial last_;
};

// Host and port of a URL that begins with http:// or https://, as `HttpClient` is asked for; empty for a port that is
// none.
std::string host_and_port(std::string_view url);

}  // namespace tenon::core

#endif
