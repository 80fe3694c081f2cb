#ifndef TENON_ISOLATED_PLUGIN_FUNCTIONS_H
#define TENON_ISOLATED_PLUGIN_FUNCTIONS_H

#include "isolated_plugin.h"

namespace tenon::isolated {

// The functions of an isolated plugin that the host calls: each asks a runner and checks what comes back. One file for
// each group.
struct PluginFunctions {
  // life_calls.cc
  static tenon_status initialize(tenon_plugin_t* plugin);
  static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context);
  static tenon_status health(tenon_plugin_t* plugin);
  static tenon_status quiesce(tenon_plugin_t* plugin);
  static tenon_status resume(tenon_plugin_t* plugin);
  static bool is_abandoned(IsolatedPlugin& plugin);
  static void shutdown(tenon_plugin_t* plugin);
  static void destroy(tenon_plugin_t* plugin);
  static const void* get_extension(tenon_plugin_t* plugin, const char* id);
  static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer);
  static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader);
  static tenon_status changed(tenon_plugin_t* plugin, tenon_bytes_t application, tenon_bytes_t json);
  // http_calls.cc
  static uint32_t route_count(tenon_plugin_t* plugin);
  static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index);
  static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                             tenon_response_t* response);
  static tenon_status end_handle(Session& session, uint64_t token, wire::Outcome outcome, std::string& answer,
                                 core::Call& call, const std::string& problem);
  // event_calls.cc
  // Waits for a process as long as the plugin serves; null: there is none.
  static std::shared_ptr<Session> pick_for_events(IsolatedPlugin& plugin);
  static void on_event(tenon_plugin_t* plugin, const tenon_event_t* events, size_t count, uint64_t dropped);
  // extension_calls.cc
  static uint32_t provider_count(tenon_plugin_t* plugin);
  static const tenon_auth_provider_t* provider(tenon_plugin_t* plugin, uint32_t index);
  static tenon_status authenticate(tenon_plugin_t* plugin, uint32_t provider, tenon_request_t* request,
                                   tenon_bytes_t credential, const tenon_auth_answer_t* answer);
  static tenon_status resolve_roles(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                                    const tenon_auth_answer_t* answer);
  static tenon_status authorize(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                                const tenon_auth_answer_t* answer);
  static tenon_status before(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response,
                             bool* answered);
  static void after(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response);
  static uint32_t hook_count(tenon_plugin_t* plugin);
  static const tenon_hook_t* hook(tenon_plugin_t* plugin, uint32_t index);
  static tenon_status call(tenon_plugin_t* plugin, uint32_t index, tenon_bytes_t input,
                           const tenon_hook_output_t* output);
};

// A request as a runner needs it (see RequestImage in wire/request_image.h), under `token`.
void write_request(wire::Writer& writer, uint64_t token, core::Call& call);
// What comes with an answer, and what before one: only with the answer is it said what was written beyond.
enum class ChangesOf { Answer, Part };
// What the plugin did to its response, done to `call`'s. False: it is no such list; nothing was done.
bool apply_changes(core::Call& call, std::string_view changes, ChangesOf what = ChangesOf::Answer);
bool apply_changes(core::Call& call, wire::Reader& reader);

}  // namespace tenon::isolated

#endif
