#ifndef TENON_CORE_PLUGIN_H
#define TENON_CORE_PLUGIN_H

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "lease.h"
#include "state_store.h"

namespace tenon::core {

class Call;
class Front;

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

  // Take a lease on the live generation. [any]
  Entry enter(Lease*& lease);
  // Give it back. [any]
  void leave(Lease& lease);

  // Wait at the gate. False when there is no room; `entered` tells that the gate has opened meanwhile: try again.
  // [front]
  bool park(Call& call, bool& opened);
  // Take a call that waits at the gate out of it; false when it no longer waits. [any]
  bool unpark(Call& call);

  void hold();
  // Opens the gate and hands out who waited, in order. [front]
  std::deque<Call*> release();
  uint32_t waiting() const;

  void swap(Lease* lease);
  Lease* live() const { return live_.load(std::memory_order_acquire); }

  Lease* take_lease(Generation& generation);
  void return_lease(Lease* lease);

  // Number of (method, path) in the tables of this plugin's generations, and in the front's.
  std::map<std::pair<int, std::string>, uint32_t> slots;
  uint32_t slot_count = 0;
  bool is_open = false;
  // Calls of all its generations that have ended, and those that were its fault. [front]
  uint64_t calls = 0;
  uint64_t faults = 0;

 private:
  Front& front_;
  const std::string id_;
  uint32_t queue_limit_ = 0;
  StateStore state_;
  std::atomic<Lease*> live_{nullptr};
  std::atomic<bool> held_{false};
  mutable std::mutex gate_;
  std::deque<Call*> waiting_;
  std::vector<std::unique_ptr<Lease>> leases_;
  std::vector<Lease*> free_leases_;
};

}  // namespace tenon::core

#endif
