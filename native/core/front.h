#ifndef TENON_CORE_FRONT_H
#define TENON_CORE_FRONT_H

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attended.h"
#include "black_box.h"
#include "call.h"
#include "control.h"
#include "event_bus.h"
#include "host_face.h"
#include "log_ring.h"
#include "metrics.h"
#include "outgoing.h"
#include "plugin.h"
#include "process_audit.h"
#include "route_index.h"

namespace tenon::core {

class Generation;

// Numbers of `Outcome` in src/binding/core.ts.
enum class Outcome : int32_t {
  None = 0,
  Pending = 1,
  Response = 2,
  Head = 3,
  Chunk = 4,
  End = 5,
  Abort = 6,
  Refused = 7
};

// Something to tell the client of a call.
struct Delivery {
  Outcome outcome = Outcome::None;
  Call* call = nullptr;
  int32_t status = 0;
  Refusal refusal = Refusal::None;  // with Refused
  std::string chunk;                // with Head and Chunk
  std::string text;                 // with Abort and Refused: the message
  std::string headers;              // with Refused: `name\nvalue\n…`
};

/*
 * One user of the core and its thread: where calls come from and answers go back to. It knows nothing of Node; what
 * wakes its thread is a function it was given. Functions without a note run on its thread.
 */
class Front : public std::enable_shared_from_this<Front> {
 public:
  using Wake = void (*)(void* context);
  static constexpr uint32_t kMostCalls = 65536;
  static constexpr uint32_t kPatienceMs = 30'000;
  static constexpr uint32_t kAgainMs = 250;

  // `name` begins the ids of its requests; `log_level` is the lowest that is kept.
  Front(std::string name, int32_t log_level);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  // How its thread waits for descriptors; before `open`. Without it nothing can be attended.
  struct Attention {
    bool (*attend)(void* context, Attended& attended) = nullptr;
    void (*neglect)(void* context, Attended& attended) = nullptr;
    void* context = nullptr;
  };
  void set_attention(const Attention& attention) { attention_ = attention; }
  // Look after `attended` until it is over, or this closes; false when that cannot be.
  bool attend(std::shared_ptr<Attended> attended);
  // The thread is about to sleep.
  void before_sleep();

  // From here on `wake` is called, from any thread, when there is something to take. Ends with `close`.
  void open(Wake wake, void* context);
  // No wake follows, waiting plugins are told that nobody listens, and the tasks that were not settled are handed back
  // to tell whoever waits for them. Plugins and generations stay for whoever still has them.
  std::vector<std::shared_ptr<Task>> close();
  // The admin token of its host; before the first request. Empty: nobody is an operator.
  void set_operator_token(std::string token) { operator_token_ = std::move(token); }
  const std::string& operator_token() const { return operator_token_; }
  // What plugins are lent of requests ends at a page that nobody may touch; before the first request.
  void set_strict(bool strict) { strict_ = strict; }
  bool is_strict() const { return strict_; }  // [any]
  // A number that no other chain has.
  uint64_t number_chain() { return ++chains_; }
  bool closed() const { return closed_.load(std::memory_order_relaxed); }  // [any]

  const std::string& name() const { return name_; }
  // The lowest level of tenon.log that is kept, of plugins that have none of their own. [any]
  int32_t log_level() const { return log_level_.load(std::memory_order_relaxed); }
  void set_log_level(int32_t level) { log_level_.store(level, std::memory_order_relaxed); }
  // The call whose handler or chain runs on its thread now, or null.
  const Call* inline_call() const { return inline_call_; }
  void set_inline_call(const Call* call) { inline_call_ = call; }
  SignalMaskAudit& signal_mask() { return signal_mask_; }
  // What the keys that plugins sign with are made of; empty: they sign nothing. Before `open`.
  void set_token_key(std::string key) { token_key_ = std::move(key); }
  const std::string& token_key() const { return token_key_; }  // [any]
  LogRing& log() { return log_; }                              // [any]
  EventBus& events() { return events_; }                       // [any]
  Metrics& metrics() { return metrics_; }                      // [any]
  Outgoing& outgoing() { return outgoing_; }
  bool is_current_thread() const { return pthread_equal(pthread_self(), thread_) != 0; }  // [any]

  // Plugins and their slots. A closed plugin's memory is kept for its name.
  Plugin& plugin(const std::string& id);
  // Its pointer is closed: what it counted and what waited for it is gone.
  void forget(Plugin& plugin);
  struct Slot {
    Plugin* plugin;  // null: nothing has its number now
    uint32_t local;
    tenon_http_method method;
    std::string_view path;
    uint32_t patience_ms;  // deadline of the route in the last generation that was bound
    std::shared_ptr<const Route> gate = nullptr;
    uint32_t number = 0;
  };
  uint32_t slot(Plugin& plugin, tenon_http_method method, const std::string& path);
  // Calls of `slot`, which stands for this route's method and path, go to route `index` of `generation`, once it is
  // live.
  void bind(Generation& generation, uint32_t slot, uint32_t index);
  // A slot for requests of a table of `plugin`, which pass its chain and are given back; nothing where `path` is no
  // pattern. Asked again, it is the same one, with this deadline from the next request on.
  std::optional<uint32_t> gate(Plugin& plugin, tenon_http_method method, const std::string& path, uint32_t deadline_ms);
  // The slots of all tables of `plugin` are nobody's any more. Calls that have gone by them go on.
  void ungate(Plugin& plugin);
  // The live generation of `plugin` is another.
  void index_routes(Plugin& plugin);
  // The plugin that serves `method` on `path`, and its pattern; views that live as long as this. [any]
  bool find_route(tenon_http_method method, std::string_view path, std::string_view& plugin,
                  std::string_view& pattern) const {
    return routes_.find(method, path, plugin, pattern);
  }
  // Null for a number that is nobody's, also when it was somebody's before.
  const Slot* slot_at(uint32_t number) const {
    const uint32_t index = number & kSlotIndex;
    if (index >= slots_.size()) return nullptr;
    const Slot& slot = slots_[index];
    return slot.number == number && slot.plugin != nullptr ? &slot : nullptr;
  }

  // A fresh call for `slot`, or null when kMostCalls are on their way.
  Call* take(const Slot& slot);
  // Send it: true when it is finished (read it, then `recycle`), false when it is pending.
  bool send(Call& call);
  // The next thing to tell; false when there is none. A delivery that ends its call must be followed by `done`.
  bool next(Delivery& delivery);
  // Whether `next` has something.
  bool has_ready() const { return !ready_.empty() || arrived_.load(std::memory_order_acquire) != nullptr; }
  // A finished call as it is to be told.
  void describe(const Call& call, Delivery& delivery) const;
  // Identity of the header block of `call`: the same number for the same block. Never 0.
  uint32_t identify_headers(const Call& call);
  // A number for headers that come once.
  uint32_t identify_headers();
  // The delivery has been read: forget what it held, and the call if it was its last.
  void done(const Delivery& delivery);
  void recycle(Call& call);
  void cancel(uint32_t id);
  void acknowledge(uint32_t id, size_t bytes);
  // Streams of `generation` that are open.
  uint32_t streams(const Generation& generation) const;
  // Let each that is an event stream end for its client; how many. Each lease comes back when the plugin lets go.
  uint32_t end_streams(const Generation& generation);
  // Calls that have not come to their end.
  uint32_t pending() const { return pending_; }

  // Tasks: given to a control thread, watched, settled once.
  void submit(const std::shared_ptr<Task>& task);
  void settle(const std::shared_ptr<Task>& task);  // [any]
  // Tasks that have been settled since, drains that have come to zero among them.
  std::vector<std::shared_ptr<Task>> take_settled();

  // What uses the signals of its thread, where something does; before `open`.
  void set_loop(const ProcessAudit::Loop& loop) { loop_ = loop; }

  void wake();            // [any]
  void begin_turn();      // the thread has been woken: what comes from here on wakes it again
  void push(Call& call);  // [any]
  void notice_idle();     // [any] a watched lease has come to zero
  void watch();           // [any] a deadline has been armed
  // Something could not be begun for want of a thread: `again` is called once, in kAgainMs. It must return at once;
  // after `close` it is not called. [any]; `again`: [watchdog]
  void try_again(std::function<void()> again);
  void retire(std::unique_ptr<HostFace> face);

  // Calls and events of plugins, and what they count themselves.
  std::string metrics_text(Exposition exposition) const;

  // Whether any deadline is armed; claims those that have passed. [watchdog]
  bool check_deadlines(uint64_t time);

 private:
  static constexpr size_t kKeptFaces = 256;
  // The number of a slot: its index, and how often that was somebody else's.
  static constexpr uint32_t kSlotIndex = (1u << 22) - 1;
  uint32_t add(Slot slot);
  bool advance(Call& call, Delivery& delivery, bool& through);
  void count(Call& call);
  void tell(Call& call);
  template <typename Visit>
  void visit_streams(const Generation& generation, Visit visit) const;
  void collect();
  // Whether something is to be tried again; what is due is.
  bool check_again(uint64_t time);
  void begin_audit(Task& task);
  void end_audit(Task& task);

  const std::string name_;
  std::atomic<int32_t> log_level_;
  const Call* inline_call_ = nullptr;
  std::string token_key_;
  const pthread_t thread_;
  LogRing log_;
  EventBus events_;
  Metrics metrics_;
  Outgoing outgoing_;

  std::mutex wake_mutex_;
  Wake wake_ = nullptr;
  void* wake_context_ = nullptr;
  std::atomic<bool> woken_{false};
  std::atomic<bool> closed_{false};

  std::map<std::string, std::unique_ptr<Plugin>> plugins_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;  // indexes
  RoutePlaces places_;
  RouteIndex routes_;
  std::string operator_token_;
  bool strict_ = false;
  uint64_t chains_ = 0;

  std::unique_ptr<std::atomic<Call*>[]> calls_;
  std::atomic<uint32_t> call_count_{0};
  std::vector<Call*> free_;
  std::atomic<Call*> arrived_{nullptr};
  std::deque<Call*> ready_;
  uint32_t pending_ = 0;
  uint64_t numbers_ = 0;
  uint32_t header_blocks_ = 0;

  std::mutex tasks_mutex_;
  std::vector<std::shared_ptr<Task>> watched_;
  std::vector<std::shared_ptr<Task>> settled_;
  std::vector<std::shared_ptr<Task>> drains_;
  std::deque<std::unique_ptr<HostFace>> faces_;

  Attention attention_;
  std::vector<std::shared_ptr<Attended>> attended_;

  ProcessAudit::Loop loop_;
  SignalMaskAudit signal_mask_;

  std::mutex again_mutex_;
  std::vector<std::function<void()>> again_;
  uint64_t again_at_ = 0;
};

}  // namespace tenon::core

#endif
