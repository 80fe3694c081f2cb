#include "hooks_face.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "chain_step.h"
#include "clock.h"
#include "front.h"
#include "host_face.h"
#include "plugin.h"

namespace tenon::core {

namespace {

constexpr uint32_t kDepth = 8;
constexpr uint64_t kPatienceMs = 30'000;

thread_local uint32_t depth = 0;

struct Deeper {
  Deeper() { depth++; }
  ~Deeper() { depth--; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
};

// The call of this thread, if there is one, is in a hook of `extension` or waits for it: whose deadline passes in here
// is answered for as one that is in here, however soon it came back.
class HeldBy {
 public:
  explicit HeldBy(Plugin& extension) : call_(Call::current()), began_(now()) {
    if (call_ == nullptr || call_->expired()) return;
    number_ = call_->held_number.exchange(0, std::memory_order_relaxed);
    before_ = call_->hook_of.exchange(&extension, std::memory_order_acq_rel);
  }
  ~HeldBy() {
    if (call_ == nullptr || call_->expired()) return;
    // What an extension asks of others is in its own time already.
    if (before_ == nullptr && call_->inside() == nullptr)
      call_->elsewhere.fetch_add(spent(), std::memory_order_relaxed);
    call_->hook_of.store(before_, std::memory_order_release);
    call_->held_number.store(number_, std::memory_order_relaxed);
  }
  // The generation whose code runs.
  void set_number(uint64_t number) {
    if (call_ != nullptr && !call_->expired()) call_->held_number.store(number, std::memory_order_relaxed);
  }
  const Call* call() const { return call_; }
  uint64_t spent() const { return now() - began_; }
  HeldBy(const HeldBy&) = delete;
  HeldBy& operator=(const HeldBy&) = delete;

 private:
  Call* const call_;
  const uint64_t began_;
  Plugin* before_ = nullptr;
  uint64_t number_ = 0;
};

// A lease on the live generation of an extension. A thread waits while it is being replaced, the front's does not.
class Entered {
 public:
  Entered(const ChainLink& link, Front& front, uint64_t end) : plugin_(*link.plugin) {
    Plugin::Entry entry = plugin_.enter(lease_);
    if (entry == Plugin::Entry::Held) {
      const HeldBy held(plugin_);
      const Call* const call = Call::current();
      entry = plugin_.enter(lease_,
                            [&] { return now() >= end || front.closed() || (call != nullptr && call->abandoned()); });
    }
    if (entry != Plugin::Entry::Entered) lease_ = nullptr;
    missing_ = lease_ == nullptr && (link.required || entry == Plugin::Entry::Held);
  }
  ~Entered() {
    if (lease_ != nullptr) plugin_.leave(*lease_);
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

  Generation* generation() const { return lease_ == nullptr ? nullptr : lease_->generation; }
  // It is not there and cannot be left out.
  bool missing() const { return missing_; }

 private:
  Plugin& plugin_;
  Lease* lease_ = nullptr;
  bool missing_ = false;
};

// A run of a hook of `extension`.
class InHook {
 public:
  explicit InHook(Plugin& extension) : extension_(extension), held_(extension) {}
  ~InHook() { extension_.steps.add(held_.spent()); }
  // Under a lease on `generation`, which is asked now.
  void enter(Generation& generation) {
    generation.visits().calls.fetch_add(1, std::memory_order_relaxed);
    held_.set_number(generation.number());
  }
  void fail(Generation& generation, const std::string& hook, const std::string& why) {
    const Call* const call = held_.call();
    // Of one whose deadline has passed the front counts.
    if (call == nullptr || !call->expired()) {
      extension_.steps.faults.fetch_add(1, std::memory_order_relaxed);
      generation.visits().faults.fetch_add(1, std::memory_order_relaxed);
    }
    log_failure(call, generation, hook, hook + " failed: " + why);
  }
  InHook(const InHook&) = delete;
  InHook& operator=(const InHook&) = delete;

 private:
  Plugin& extension_;
  HeldBy held_;
};

// What one hook gives.
struct Giving {
  std::string bytes;
  std::string message;
  bool too_large = false;
};

tenon_status write(const tenon_hook_output_t* output, tenon_bytes_t given) {
  Giving& giving = *static_cast<Giving*>(output->data);
  if (given.data == nullptr && given.size != 0) return TENON_ERROR_ARGUMENT;
  if (given.size > TENON_HOOK_BYTES - giving.bytes.size()) {
    giving.too_large = true;
    return TENON_ERROR_TOO_LARGE;
  }
  giving.bytes.append(view(given));
  return TENON_OK;
}

void fail(const tenon_hook_output_t* output, tenon_bytes_t message) {
  if (message.data == nullptr) return;
  static_cast<Giving*>(output->data)->message.assign(view(message).substr(0, Response::kMessageBytes));
}

struct Place {
  int32_t order;
  size_t link;
  uint32_t nth;  // of those of this name and version that its extension has
};

struct Wanted {
  std::string_view name;
  uint32_t version;
  uint64_t end;  // ns, monotonic: until then extensions that are being replaced are waited for
};

// Index of hook number `nth` of that name and version, or the number of hooks.
uint32_t find_hook(const Generation& generation, const Wanted& wanted, uint32_t nth) {
  const std::vector<Hook>& hooks = generation.offers().hook_list;
  uint32_t index = 0;
  for (; index < hooks.size(); index++) {
    if (hooks[index].name != wanted.name || hooks[index].version != wanted.version) continue;
    if (nth-- == 0) break;
  }
  return index;
}

// False when an extension is missing.
bool find_places(const Chain& chain, Front& front, const Wanted& wanted, std::vector<Place>& places) {
  for (size_t link = 0; link < chain.links.size(); link++) {
    if (chain.links[link].own) continue;
    const Entered entered(chain.links[link], front, wanted.end);
    if (entered.missing()) return false;
    if (entered.generation() == nullptr) continue;
    const std::vector<Hook>& hooks = entered.generation()->offers().hook_list;
    for (uint32_t nth = 0;; nth++) {
      const uint32_t index = find_hook(*entered.generation(), wanted, nth);
      if (index == hooks.size()) break;
      places.push_back({hooks[index].order, link, nth});
    }
  }
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& left, const Place& right) { return left.order < right.order; });
  return true;
}

void tell(const tenon_hook_output_t* output, const std::string& message) {
  if (TENON_HAS(output, fail)) output->fail(output, bytes(message));
}

tenon_status run_hook(const ChainLink& link, Front& front, const Wanted& wanted, uint32_t nth, std::string& content,
                      const tenon_hook_output_t* output) {
  InHook in_hook(*link.plugin);
  const Entered entered(link, front, wanted.end);
  if (entered.missing()) return TENON_ERROR_AGAIN;
  if (entered.generation() == nullptr) return TENON_OK;
  Generation& generation = *entered.generation();
  // A newer build may have fewer.
  const uint32_t index = find_hook(generation, wanted, nth);
  if (index == generation.offers().hook_list.size()) return TENON_OK;
  in_hook.enter(generation);
  Giving giving;
  const tenon_hook_output_t face = {sizeof(tenon_hook_output_t), &giving, write, fail};
  const Call* const call = Call::current();
  const Inside inside(generation.image(), Work::Hook, call == nullptr ? 0 : call->request.number,
                      call == nullptr ? kNoSlot : call->slot);
  const tenon_status status = run_foreign(
      generation, [&] { return generation.offers().hooks->call(generation.instance(), index, bytes(content), &face); });
  if (status == TENON_ERROR_NOT_FOUND) return TENON_OK;
  if (status == TENON_OK && !giving.too_large) return content = std::move(giving.bytes), TENON_OK;
  const std::string name = "hook " + std::string(wanted.name);
  const std::string sentence = name + " of extension " + link.plugin->id() + ": ";
  // With a reason it has refused; anything else is for the log alone.
  if (status == TENON_ERROR && !giving.message.empty() && !giving.too_large) {
    tell(output, sentence + giving.message);
    return TENON_ERROR;
  }
  std::string why = "it gave more than 16 MiB";
  if (!giving.too_large) why = giving.message.empty() ? "status " + std::to_string(status) : giving.message;
  tell(output, sentence + (giving.too_large ? why : "it failed"));
  in_hook.fail(generation, name, why);
  return TENON_ERROR;
}

tenon_status run(const tenon_host_t* host, tenon_bytes_t name, uint32_t version, tenon_bytes_t input,
                 const tenon_hook_output_t* output) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return TENON_ERROR_STATE;
  if (!TENON_HAS(output, write) || (input.data == nullptr && input.size != 0)) return TENON_ERROR_ARGUMENT;
  if (input.size > TENON_HOOK_BYTES || depth == kDepth) return TENON_ERROR_TOO_LARGE;
  if (name.data == nullptr && name.size != 0) return TENON_ERROR_ARGUMENT;
  if (!face.permissions().allow(Permit::HooksCall, view(name))) return TENON_ERROR_DENIED;
  const std::shared_ptr<const Chain> chain = face.plugin().chain();
  if (!chain) return output->write(output, input);
  const Deeper deeper;
  Front& front = face.plugin().front();
  // What a hook leaves in thread-local variables must go before its image does: of other threads nobody could ask that.
  if (ThreadVisits::current() == nullptr && !front.is_current_thread()) return TENON_ERROR_STATE;
  const uint64_t end = front.is_current_thread() ? 0 : now() + milliseconds(kPatienceMs);
  const Wanted wanted = {view(name), version, end};
  std::vector<Place> places;
  if (!find_places(*chain, front, wanted, places)) return TENON_ERROR_AGAIN;
  if (places.empty()) return output->write(output, input);
  std::string content(view(input));
  for (const Place& place : places) {
    const tenon_status status = run_hook(chain->links[place.link], front, wanted, place.nth, content, output);
    if (status != TENON_OK) return status;
  }
  return output->write(output, bytes(content));
}

constexpr tenon_host_hooks_t kHooks = {sizeof(tenon_host_hooks_t), run};

}  // namespace

const tenon_host_hooks_t& hooks_functions() { return kHooks; }

}  // namespace tenon::core
