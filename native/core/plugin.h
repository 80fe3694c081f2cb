#ifndef TENON_CORE_PLUGIN_H
#define TENON_CORE_PLUGIN_H

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "chain.h"
#include "lease.h"
#include "state_store.h"

namespace tenon::core {

class Call;
class Front;

// What a plugin did as an extension of others: steps of their requests, and hooks that they ran. [any]
struct StepCounters {
  std::atomic<uint64_t> runs{0};
  std::atomic<uint64_t> faults{0};
  std::atomic<uint64_t> nanoseconds{0};

  void add(uint64_t spent) {
    runs.fetch_add(1, std::memory_order_relaxed);
    nanoseconds.fetch_add(spent, std::memory_order_relaxed);
  }
  void clear() {
    runs = 0;
    faults = 0;
    nanoseconds = 0;
  }
};

/*
 * One plugin: the live pointer, the gate before it, and what outlives its generations. Never freed before its front, so
 * that a late caller or watchdog may still look at it.
 */
class Plugin {
 public:
  enum class Entry { Entered, Held, Stopped };

  Plugin(Front& front, std::string id) : front_(front), id_(std::move(id)) {}
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  // Begin, or begin again after close. [front]
  void open(uint32_t queue_limit);

  const std::string& id() const { return id_; }
  uint32_t queue_limit() const { return queue_limit_; }
  Front& front() { return front_; }
  StateStore& state() { return state_; }
  // The lowest level of tenon.log that is kept of it; `own` 0: that of the front. It outlives its generations. [any]
  int32_t log_level() const;
  void set_log_level(int32_t own) { log_level_.store(own, std::memory_order_relaxed); }

  // Take a lease on the live generation. [any]
  Entry enter(Lease*& lease);
  // The same, but while the gate is closed wait until `give_up` says so. [any] but the front
  template <typename GiveUp>
  Entry enter(Lease*& lease, GiveUp give_up) {
    for (;;) {
      const Entry entry = enter(lease);
      if (entry != Entry::Held || give_up()) return entry;
      wait_for_release();
    }
  }
  // Give it back. [any]
  void leave(Lease& lease);

  // Wait at the gate. False when there is no room; `entered` tells that the gate has opened meanwhile: try again.
  // [front]
  bool park(Call& call, bool& opened);
  // Take a call that waits at the gate out of it; false when it no longer waits. [any]
  bool unpark(Call& call);

  void hold();
  bool is_held() const { return held_.load(std::memory_order_relaxed); }  // [any]
  // Opens the gate and hands out who waited, in order. [front]
  std::deque<Call*> release();
  uint32_t waiting() const;

  void swap(Lease* lease);
  Lease* live() const { return live_.load(std::memory_order_acquire); }

  // The extensions that its requests pass, from the next one on; null for none. [front]
  void set_chain(std::shared_ptr<const Chain> chain);
  bool has_chain() const { return has_chain_.load(std::memory_order_acquire); }  // [any]
  std::shared_ptr<const Chain> chain() const;                                    // [any]

  // The challenges, empty ones too, of the providers of the generation that was live last; null: none has ever been.
  // [any]
  std::shared_ptr<const std::vector<std::string>> providers() const;

  Lease* take_lease(Generation& generation);
  void return_lease(Lease* lease);

  // Number of (method, path) in the tables of this plugin's generations, and in the front's.
  std::map<std::pair<int, std::string>, uint32_t> slots;
  // The same of requests that only pass its chain.
  std::map<std::pair<int, std::string>, uint32_t> gates;
  uint32_t slot_count = 0;
  bool is_open = false;
  // Calls of all its generations that have ended, and those that were its fault. [front]
  uint64_t calls = 0;
  uint64_t faults = 0;
  // Those of them that missed their deadline in it, without those in its extensions. [front]
  uint64_t deadline_misses = 0;
  StepCounters steps;
  // What it was refused for want of a permission, by `Permit`. [any]
  std::array<std::atomic<uint64_t>, 8> denied{};

 private:
  // A little, because the one who waits has a deadline that does not know of this gate.
  void wait_for_release();

  Front& front_;
  const std::string id_;
  uint32_t queue_limit_ = 0;
  StateStore state_;
  std::atomic<int32_t> log_level_{0};
  std::atomic<Lease*> live_{nullptr};
  std::atomic<bool> held_{false};
  std::atomic<bool> has_chain_{false};
  mutable std::mutex gate_;
  std::condition_variable released_;
  std::deque<Call*> waiting_;
  mutable std::mutex chain_mutex_;
  std::shared_ptr<const Chain> chain_;
  std::shared_ptr<const std::vector<std::string>> providers_;
  std::vector<std::unique_ptr<Lease>> leases_;
  std::vector<Lease*> free_leases_;
};

}  // namespace tenon::core

#endif
