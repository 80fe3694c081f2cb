#ifndef TENON_RUNNER_PLUGIN_SERVER_H
#define TENON_RUNNER_PLUGIN_SERVER_H

#include <atomic>
#include <string>
#include <string_view>

#include "host.h"
#include "remote_request.h"
#include "tenon/entry.h"
#include "tenon/ext/auth.h"
#include "tenon/ext/config.h"
#include "tenon/ext/events.h"
#include "tenon/ext/hooks.h"
#include "tenon/ext/http.h"
#include "tenon/ext/middleware.h"
#include "tenon/ext/state.h"
#include "tenon/plugin.h"

namespace tenon::runner {

// The plugin of this process: its library, its instance, and what it offers.
struct Plugin {
  const tenon_plugin_descriptor_t* descriptor = nullptr;
  tenon_plugin_t* instance = nullptr;
  const tenon_plugin_http_t* http = nullptr;
  const tenon_plugin_state_t* state = nullptr;
  const tenon_plugin_config_t* config = nullptr;
  const tenon_plugin_events_t* events = nullptr;
  const tenon_plugin_auth_t* auth = nullptr;
  const tenon_plugin_middleware_t* middleware = nullptr;
  const tenon_plugin_hooks_t* hooks = nullptr;
};

class ExpressLane;

// Carries out what the host asks of the plugin. [the threads of the lanes]
class PluginServer final : public wire::Lane::Server {
 public:
  explicit PluginServer(Host& host) : host_(host) {}
  bool serve(wire::Lane& lane, uint16_t code, std::string_view payload, std::string& answer) override;
  // Run the handler of route `index`. [the threads of the express lane]
  tenon_status handle(uint32_t index, RemoteRequest& request) {
    return plugin_.http->handle(plugin_.instance, index, &request, &request);
  }
  // Before it is served.
  void set_express(ExpressLane& express) { express_.store(&express, std::memory_order_release); }

 private:
  bool go_on(wire::Lane& lane, wire::Reader& reader, wire::Writer& writer);
  void open(wire::Reader& reader, wire::Writer& writer);
  void create(wire::Writer& writer);
  uint32_t look_up();  // what is offered once it is initialized, wire::kLateShape
  void declare(wire::Writer& writer);
  tenon_status save(wire::Writer& writer);

  Host& host_;
  std::atomic<ExpressLane*> express_{nullptr};
  Plugin plugin_;
  std::string app_id_, root_;
  tenon_context_t context_ = {};
};

// Steps of requests, one file each; the answer is written whole. False: it is no question.
bool handle(Plugin& plugin, wire::Lane& lane, wire::Reader& reader, wire::Writer& writer);
// What the handler of `request`, which is let go of, has left.
void send_result(RemoteRequest& request, tenon_status status, wire::Lane& lane, wire::Writer& writer);
bool serve_extension(Plugin& plugin, wire::Lane& lane, uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_event(Plugin& plugin, wire::Reader& reader, wire::Writer& writer);
bool serve_task(uint16_t code, wire::Reader& reader, wire::Writer& writer);
bool serve_fetched(wire::Reader& reader, wire::Writer& writer);

}  // namespace tenon::runner

#endif
