#ifndef TENON_CORE_CHAIN_H
#define TENON_CORE_CHAIN_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "identity.h"

namespace tenon::core {

class Plugin;
struct Lease;

struct ChainLink {
  Plugin* plugin;
  bool required;  // or what it would do is left out while it does not run
  bool own =
      false;  // the plugin itself: its providers and its authorize stand before its own routes, nothing else does
};

// The extensions of one application, as it lists them. Immutable; a change is another chain.
struct Chain {
  uint64_t number;  // no other chain has it
  bool identity;    // who asks must be known, where a route says nothing
  std::vector<ChainLink> links;
};

// Whether an extension of it that runs is in a process of its own: it is waited for, not on the event loop. [front]
bool is_isolated(const Chain& chain);

// What a call has on its way through a chain.
struct ChainPass {
  explicit ChainPass(std::shared_ptr<const Chain> way);
  ~ChainPass() { leave(); }
  ChainPass(const ChainPass&) = delete;
  ChainPass& operator=(const ChainPass&) = delete;

  // Give the leases of an inline call back. [front]
  void leave();

  const std::shared_ptr<const Chain> chain;  // null: only the route asks for something
  std::vector<Lease*> leases;                // of an inline call: for the whole of its way; null where none runs
  std::vector<uint64_t> kept;                // by link: the number that a middleware keeps
  std::vector<uint64_t> visited;             // by link: number of the generation that has counted it
  std::shared_ptr<const Identity> identity;
  std::atomic<const ChainLink*> inside{nullptr};  // whose code runs now
  // The same, until the deadline passes: whose code ran then.
  std::atomic<const ChainLink*> held{nullptr};
  uint64_t began = 0;             // ns, monotonic
  bool foreign_fault = false;     // what failed, or gave the answer, is an extension
  const char* overrun = nullptr;  // part of the request that the copy lent to the step that runs was written beyond
  bool left_out = false;          // a step of one that runs was, because no process of it does
  std::string headers;            // of the refusal: `name\nvalue\n…`
};

}  // namespace tenon::core

#endif
