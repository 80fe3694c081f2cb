#include "decisions.h"

#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

#include <string>
#include <utility>

namespace tenon::core {

Decisions::Decisions() : has_key_(getentropy(key_.data(), sizeof(key_)) == 0) {}

Hash128 Decisions::name_of(uint32_t provider, uint64_t chain, std::string_view credential) const {
  std::string text(reinterpret_cast<const char*>(&provider), sizeof(provider));
  text.append(reinterpret_cast<const char*>(&chain), sizeof(chain));
  text.append(credential);
  return siphash(key_, text);
}

std::shared_ptr<const Identity> Decisions::find(const Hash128& name, uint64_t time, uint64_t& epoch) {
  const std::lock_guard<std::mutex> lock(mutex_);
  epoch = epoch_;
  const auto found = known_.find(name);
  if (found == known_.end()) return nullptr;
  if (found->second.end > time) return found->second.identity;
  known_.erase(found);
  return nullptr;
}

void Decisions::keep(const Hash128& name, std::shared_ptr<const Identity> identity, uint64_t time, uint64_t end,
                     uint64_t epoch) {
  if (!has_key_) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (epoch != epoch_) return;
  if (known_.size() >= kMost) {
    for (auto known = known_.begin(); known != known_.end();) {
      known = known->second.end <= time ? known_.erase(known) : std::next(known);
    }
  }
  // The order is that of keyed hashes: nobody can choose who goes.
  if (known_.size() >= kMost) known_.erase(known_.begin());
  known_[name] = {std::move(identity), end};
}

void Decisions::forget() {
  const std::lock_guard<std::mutex> lock(mutex_);
  epoch_++;
  known_.clear();
}

}  // namespace tenon::core
