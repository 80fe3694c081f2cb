#ifndef TENON_TESTS_HARNESS_H
#define TENON_TESTS_HARNESS_H

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "byte_buffer.h"
#include "clock.h"
#include "front.h"
#include "generation.h"
#include "pipeline.h"
#include "tenon/ext/events.h"
#include "tenon/ext/log.h"

namespace tenon::tests {

// A plugin in the test's own code: what each route does is a function of the test.
class PluginUnderTest {
 public:
  using Handler = std::function<tenon_status(const tenon_host_http_t&, tenon_request_t*, tenon_response_t*)>;

  PluginUnderTest();
  PluginUnderTest(const PluginUnderTest&) = delete;
  PluginUnderTest& operator=(const PluginUnderTest&) = delete;

  void route(tenon_http_method method, std::string pattern, uint32_t execution, Handler handler,
             uint32_t deadline_ms = 0, uint32_t auth = TENON_AUTH_NONE, std::string roles = {});
  // It has no functions for the steps that need none.
  void leave_steps_out();
  // One plugin is `current` while `create` runs: a descriptor has no place for more.
  const tenon_plugin_descriptor_t& descriptor();

  // Its side of other capabilities, by id.
  std::map<std::string, const void*> offers;
  static PluginUnderTest& of(tenon_plugin_t* plugin) { return *static_cast<PluginUnderTest*>(plugin->data); }

  uint32_t max_concurrency = 0;
  std::function<tenon_status()> on_initialize;
  std::function<tenon_status()> on_health;
  std::function<void()> on_routes;
  std::function<void()> on_shutdown;
  std::map<std::string, const void*> sides;  // of other capabilities, by id
  std::function<void()> on_ready;
  // It offers tenon.events/1 when this is set.
  std::function<void(const tenon_event_t* events, size_t count, uint64_t dropped)> on_event;
  const tenon_context_t* context = nullptr;
  const tenon_host_t* host = nullptr;
  const tenon_host_http_t* http = nullptr;
  std::string state;
  void* owner = nullptr;  // for whoever wraps it
  std::atomic<int> destroyed{0};

 private:
  struct Declared {
    std::string pattern;
    std::string roles;
    tenon_route_t route;
    Handler handler;
  };
  static PluginUnderTest* current_;
  static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out);

  std::vector<std::unique_ptr<Declared>> routes_;
  tenon_plugin_descriptor_t descriptor_ = {};
  tenon_plugin_t plugin_ = {};
  tenon_plugin_http_t http_side_ = {};
  tenon_plugin_state_t state_side_ = {};
  tenon_plugin_events_t events_side_ = {};
};

struct Answer {
  core::Outcome outcome = core::Outcome::None;
  int32_t status = 0;
  core::Refusal refusal = core::Refusal::None;
  std::string body;
  std::string headers;
  uint64_t generation = 0;
};

// A front whose thread is the test's.
class FrontUnderTest {
 public:
  FrontUnderTest();
  ~FrontUnderTest();

  core::Front& operator*() { return *front; }
  core::Front* operator->() { return front.get(); }

  // Send, and collect the whole answer when it comes. The answer stays where it is until the test ends.
  Answer& send(uint32_t slot, std::string url, std::string headers = {}, std::string body = {});
  // Send and wait.
  Answer ask(uint32_t slot, std::string url, std::string headers = {}, std::string body = {});
  // Run the front until `done`, at most 20 s; false when it was not.
  bool until(const std::function<bool()>& done);
  // A life-cycle step to its end; true when it went well.
  bool perform(const std::shared_ptr<core::Generation>& generation, core::Step step, uint32_t deadline_ms = 5000,
               std::string* bytes = nullptr, std::string* message = nullptr);
  // created, initialized, routes read and bound, ready.
  std::shared_ptr<core::Generation> bring_up(core::Plugin& plugin, PluginUnderTest& code, uint64_t number,
                                             std::string prefix = "/test",
                                             std::shared_ptr<core::InstanceSource> source = nullptr);
  // drained, shut down, destroyed, stopped, closed.
  bool take_down(const std::shared_ptr<core::Generation>& generation);
  uint32_t slot(core::Plugin& plugin, const char* method, const std::string& path);

  std::shared_ptr<core::Front> front;
  // Called for every chunk; acknowledges it unless the test does so itself.
  std::function<void(core::Call&, size_t)> on_chunk;
  bool asks_only = false;  // what is sent from here on

 private:
  void turn();
  static void wake(void* self);

  std::mutex mutex_;
  std::condition_variable woken_;
  bool due_ = false;
  std::map<uint32_t, Answer*> waiting_;
  std::vector<std::unique_ptr<Answer>> answers_;
  std::vector<std::shared_ptr<core::Task>> settled_;
};

inline tenon_bytes_t bytes(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace tenon::tests

#endif
