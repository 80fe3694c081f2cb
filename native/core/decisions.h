#ifndef TENON_CORE_DECISIONS_H
#define TENON_CORE_DECISIONS_H

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "identity.h"
#include "siphash.h"

namespace tenon::core {

// Who the bytes of a credential were found to belong to, by the providers of one generation. Credentials are not kept,
// only their hashes under a key of its own. All functions: [any]
class Decisions {
 public:
  static constexpr size_t kMost = 4096;

  Decisions();
  Decisions(const Decisions&) = delete;
  Decisions& operator=(const Decisions&) = delete;

  // Name of the decision on `credential`, of provider number `provider`, for requests of the chain number `chain`.
  Hash128 name_of(uint32_t provider, uint64_t chain, std::string_view credential) const;
  // Null when there is none that still holds at `time`. `epoch` is for `keep`.
  std::shared_ptr<const Identity> find(const Hash128& name, uint64_t time, uint64_t& epoch);
  // Until `end` (monotonic, ns), unless `forget` was called since the epoch.
  void keep(const Hash128& name, std::shared_ptr<const Identity> identity, uint64_t time, uint64_t end, uint64_t epoch);
  void forget();

 private:
  struct Decision {
    std::shared_ptr<const Identity> identity;
    uint64_t end;
  };
  // Its input is a keyed hash already.
  struct Place {
    size_t operator()(const Hash128& name) const { return static_cast<size_t>(name[0]); }
  };

  Hash128 key_ = {};
  bool has_key_ = false;
  std::mutex mutex_;
  uint64_t epoch_ = 0;
  std::unordered_map<Hash128, Decision, Place> known_;
};

}  // namespace tenon::core

#endif
