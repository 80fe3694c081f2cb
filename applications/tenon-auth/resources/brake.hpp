// Slows down who guesses passwords: after some wrong ones in a row a name has to wait, twice as long each time. Names
// that nobody has are counted too, so that waiting tells nothing.
#ifndef TENON_AUTH_BRAKE_HPP
#define TENON_AUTH_BRAKE_HPP

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "settings.hpp"

namespace auth {

// Milliseconds since the epoch.
inline int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

class Brake {
 public:
  // Seconds, rounded up, until a password for `name` is looked at again; 0: now.
  uint32_t wait_s(const std::string& name, const Settings& settings) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return wait_of(name, settings);
  }

  // A password for `name` was right or wrong. Not 0: the name had to wait meanwhile, and the answer must not be told.
  uint32_t judge(const std::string& name, bool right, const Settings& settings) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const uint32_t wait = wait_of(name, settings)) return wait;
    if (right) {
      names_.erase(name);
    } else {
      count(name, settings);
    }
    return 0;
  }

  // For the next generation, which goes on counting.
  std::string save() {
    const std::lock_guard<std::mutex> lock(mutex_);
    tenon::Json json;
    json.array();
    for (const auto& [name, tries] : names_)
      json.object()
          .field("name", name)
          .field("wrong", tries.wrong)
          .field("until", tries.until)
          .field("last", tries.last)
          .end();
    return json.take();
  }
  // False: it is nothing that save() wrote.
  static bool accepts(std::string_view state) {
    const auto view = tenon::JsonView::parse(state);
    return view && view->is_array();
  }
  bool load(std::string_view state) {
    const auto view = tenon::JsonView::parse(state);
    if (!view || !view->is_array()) return false;
    const std::lock_guard<std::mutex> lock(mutex_);
    view->each([this](tenon::JsonView each) {
      const auto name = each["name"].text();
      if (!name || names_.size() >= most_names) return;
      names_[*name] = {each["wrong"].integer().value_or(0), each["until"].integer().value_or(0),
                       each["last"].integer().value_or(0)};
    });
    return true;
  }

 private:
  struct Tries {
    int64_t wrong = 0;
    int64_t until = 0;
    int64_t last = 0;
  };
  static constexpr size_t most_names = 16'384;
  static constexpr int64_t forget_ms = 86'400'000;

  uint32_t wait_of(const std::string& name, const Settings& settings) {
    const auto found = names_.find(name);
    if (found == names_.end()) return 0;
    int64_t& until = found->second.until;
    const int64_t now = now_ms();
    // Neither a clock that was set back nor an earlier setting keeps anybody out for longer than what is set.
    until = std::min(until, now + settings.most_ms);
    return until <= now ? 0 : static_cast<uint32_t>((until - now + 999) / 1000);
  }

  void count(const std::string& name, const Settings& settings) {
    const int64_t now = now_ms();
    if (names_.size() >= most_names && names_.count(name) == 0) forget_one(now);
    Tries& tries = names_[name];
    if (now - tries.last > forget_ms) tries = {};
    tries.last = now;
    if (++tries.wrong < settings.attempts) return;
    const int64_t doublings = std::min<int64_t>(tries.wrong - settings.attempts, 30);
    tries.until = now + std::min(settings.first_ms << doublings, settings.most_ms);
  }

  // Whose last try is the longest ago; who has to wait is kept before who has not.
  void forget_one(int64_t now) {
    const auto older = [now](const auto& one, const auto& other) {
      const bool waits = one.second.until > now;
      return waits == (other.second.until > now) ? one.second.last < other.second.last : !waits;
    };
    names_.erase(std::min_element(names_.begin(), names_.end(), older));
  }

  std::mutex mutex_;
  std::unordered_map<std::string, Tries> names_;
};

}  // namespace auth

#endif
