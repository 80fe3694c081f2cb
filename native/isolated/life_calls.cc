#include <string_view>

#include "byte_buffer.h"
#include "clock.h"
#include "plugin_functions.h"

namespace tenon::isolated {

using core::bytes;
using core::view;

tenon_status PluginFunctions::initialize(tenon_plugin_t* plugin) {
  return IsolatedPlugin::of(plugin).step(wire::kDownInitialize, {});
}

tenon_status PluginFunctions::ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  {
    const std::lock_guard<std::mutex> lock(own.mutex_);
    own.app_id_ = view(context->app_id);
    own.root_ = view(context->root_directory);
    own.generation_ = context->generation;
  }
  wire::Writer writer;
  writer.text(context->app_id).text(context->root_directory).put(context->generation);
  return own.step(wire::kDownReady, {writer.bytes()});
}

// Answers for the processes, too: one that is being started again is not well.
tenon_status PluginFunctions::health(tenon_plugin_t* plugin) {
  return IsolatedPlugin::of(plugin).step(wire::kDownHealth, {});
}

tenon_status PluginFunctions::quiesce(tenon_plugin_t* plugin) {
  return IsolatedPlugin::of(plugin).step(wire::kDownQuiesce, {});
}

tenon_status PluginFunctions::resume(tenon_plugin_t* plugin) {
  return IsolatedPlugin::of(plugin).step(wire::kDownResume, {});
}

void IsolatedPlugin::abandon(const std::string& reason) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    abandoned_ = true;
    stage_ = Stage::Ended;
    for (Place& place : places_) place.due = 0;
    for (const Watched& watched : watched_) sessions.push_back(watched.session);
    changed_.notify_all();
  }
  if (!sessions.empty()) report(settings_.launch.settings.id + ": its process is ended: " + reason);
  for (const std::shared_ptr<Session>& session : sessions) session->kill("was ended: " + reason);
}

bool PluginFunctions::is_abandoned(IsolatedPlugin& plugin) {
  const std::lock_guard<std::mutex> lock(plugin.mutex_);
  return plugin.abandoned_;
}

void PluginFunctions::shutdown(tenon_plugin_t* plugin) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  if (!is_abandoned(own)) own.step(wire::kDownShutdown, {});
}

void PluginFunctions::destroy(tenon_plugin_t* plugin) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  if (!is_abandoned(own)) own.step(wire::kDownDestroy, {});
  own.end();
}

const void* PluginFunctions::get_extension(tenon_plugin_t* plugin, const char* id) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  const auto offered = [&own](uint32_t bit) {
    if ((bit & wire::kLateShape) != 0) own.declarations();
    return (own.shape_ & bit) != 0;
  };
  const std::string_view name(id);
  if (name == TENON_HTTP_ID && offered(wire::kHasHttp)) return &own.http_;
  if (name == TENON_STATE_ID && offered(wire::kHasState)) return &own.state_;
  if (name == TENON_CONFIG_ID && offered(wire::kHasConfig)) return &own.config_;
  if (name == TENON_EVENTS_ID && offered(wire::kHasEvents)) return &own.events_;
  if (name == TENON_AUTH_ID && offered(wire::kHasAuth)) return &own.auth_;
  if (name == TENON_MIDDLEWARE_ID && offered(wire::kHasMiddleware)) return &own.middleware_;
  if (name == TENON_HOOKS_ID && offered(wire::kHasHooks)) return &own.hooks_;
  return nullptr;
}

tenon_status PluginFunctions::save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  std::string answer;
  const tenon_status status = own.step(wire::kDownSave, {}, &answer);
  wire::Reader reader(answer);
  reader.get<int32_t>();
  const std::string_view message = reader.text();
  const std::string_view state = reader.text();
  if (!reader.ended()) return status == TENON_OK ? TENON_ERROR : status;
  if (!message.empty()) writer->fail(writer, bytes(message));
  if (status != TENON_OK) return status;
  const tenon_status written = writer->write(writer, bytes(state));
  if (written == TENON_OK) own.keep_state(own.state_.version, state);
  return written;
}

tenon_status PluginFunctions::load(tenon_plugin_t* plugin, const tenon_state_reader_t* state) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  wire::Writer writer;
  writer.put(state->dry_run).put(state->version).text(state->bytes);
  std::string answer;
  const tenon_status status = own.step(wire::kDownLoad, {writer.bytes()}, &answer);
  wire::Reader reader(answer);
  reader.get<int32_t>();
  const std::string_view message = reader.text();
  if (reader.ended() && !message.empty()) state->fail(state, bytes(message));
  if (status == TENON_OK && !state->dry_run) own.keep_state(state->version, view(state->bytes));
  return status;
}

tenon_status PluginFunctions::changed(tenon_plugin_t* plugin, tenon_bytes_t application, tenon_bytes_t json) {
  wire::Writer writer;
  writer.text(application).text(json);
  return IsolatedPlugin::of(plugin).step(wire::kDownConfigure, {writer.bytes()});
}

}  // namespace tenon::isolated
