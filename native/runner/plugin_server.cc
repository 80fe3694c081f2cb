#include "plugin_server.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

#include "byte_buffer.h"
#include "crash_handler.h"
#include "express_lane.h"
#include "remote_request.h"
#include "route.h"

namespace tenon::runner {

using core::bytes;
using core::view;

namespace {

std::string text_of(const char* text) { return text == nullptr ? std::string() : std::string(text); }

struct Saving {
  std::string bytes;
  std::string message;
};

tenon_status write_state(const tenon_state_writer_t* writer, tenon_bytes_t piece) {
  Saving& saving = *static_cast<Saving*>(writer->data);
  if (piece.data == nullptr && piece.size != 0) return TENON_ERROR_ARGUMENT;
  // One byte over the limit is sent, for the host to say so.
  if (piece.size > TENON_STATE_LIMIT - saving.bytes.size()) {
    saving.bytes.resize(TENON_STATE_LIMIT);
    saving.bytes.push_back(0);
    return TENON_ERROR_TOO_LARGE;
  }
  saving.bytes.append(view(piece));
  return TENON_OK;
}

void fail_saving(const tenon_state_writer_t* writer, tenon_bytes_t message) {
  static_cast<Saving*>(writer->data)->message.assign(view(message).substr(0, core::Response::kMessageBytes));
}

void fail_loading(const tenon_state_reader_t* reader, tenon_bytes_t message) {
  static_cast<std::string*>(reader->data)->assign(view(message).substr(0, core::Response::kMessageBytes));
}

}  // namespace

void PluginServer::open(wire::Reader& reader, wire::Writer& writer) {
  const std::string id(reader.text());
  const auto fail = [&writer](const std::string& problem) { writer.put<int32_t>(TENON_ERROR).text(problem); };
  const std::string path = "/proc/self/fd/" + std::to_string(wire::kLibrary);
  void* const image = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  close(wire::kLibrary);
  if (image == nullptr) return fail(text_of(dlerror()));
  using Entry = const tenon_plugin_descriptor_t* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(image, TENON_ENTRY_SYMBOL));
  if (entry == nullptr) return fail(text_of(dlerror()));
  note_files(reinterpret_cast<const void*>(entry));
  const tenon_plugin_descriptor_t* const descriptor = entry();
  if (descriptor == nullptr || descriptor->size < sizeof(tenon_plugin_descriptor_t) || descriptor->create == nullptr) {
    return fail("its entry gave no descriptor of version 1");
  }
  if (descriptor->abi_major != TENON_ABI_MAJOR || descriptor->abi_minor > TENON_ABI_MINOR) {
    return fail("it was built for ABI " + std::to_string(descriptor->abi_major) + "." +
                std::to_string(descriptor->abi_minor));
  }
  if (text_of(descriptor->id) != id) return fail("the library says it is " + text_of(descriptor->id) + ", not " + id);
  plugin_.descriptor = descriptor;
  writer.put<int32_t>(TENON_OK).text(std::string_view());
}

void PluginServer::create(wire::Writer& writer) {
  const auto fail = [&writer](tenon_status status, const std::string& problem) {
    writer.put<int32_t>(status).text(problem).put<uint32_t>(0).put<uint32_t>(0).put<uint32_t>(0);
  };
  tenon_plugin_t* instance = nullptr;
  const tenon_status status = plugin_.descriptor->create(&host_.face(), &instance);
  if (status != TENON_OK) return fail(status, {});
  if (instance == nullptr || instance->size < sizeof(tenon_plugin_t)) {
    return fail(TENON_ERROR, "create gave no plugin, or one smaller than version 1 of the struct");
  }
  if (instance->destroy == nullptr || instance->get_extension == nullptr) {
    return fail(TENON_ERROR, "create gave a plugin without destroy or get_extension");
  }
  plugin_.instance = instance;
  uint32_t shape = 0;
  const auto has = [&shape](bool whether, uint32_t bit) { shape |= whether ? bit : 0; };
  has(TENON_HAS(instance, initialize), wire::kHasInitialize);
  has(TENON_HAS(instance, ready), wire::kHasReady);
  has(TENON_HAS(instance, health), wire::kHasHealth);
  has(TENON_HAS(instance, quiesce), wire::kHasQuiesce);
  has(TENON_HAS(instance, resume), wire::kHasResume);
  has(TENON_HAS(instance, shutdown), wire::kHasShutdown);
  const auto find = [instance](const char* id) { return instance->get_extension(instance, id); };
  plugin_.http = static_cast<const tenon_plugin_http_t*>(find(TENON_HTTP_ID));
  has(plugin_.http != nullptr, wire::kHasHttp);
  has(TENON_HAS(plugin_.http, route_count), wire::kHasRouteCount);
  has(TENON_HAS(plugin_.http, route), wire::kHasRoute);
  has(TENON_HAS(plugin_.http, handle), wire::kHasHandle);
  plugin_.state = static_cast<const tenon_plugin_state_t*>(find(TENON_STATE_ID));
  has(plugin_.state != nullptr, wire::kHasState);
  has(TENON_HAS(plugin_.state, save), wire::kHasSave);
  has(TENON_HAS(plugin_.state, load), wire::kHasLoad);
  writer.put<int32_t>(TENON_OK).text(std::string_view()).put<uint32_t>(shape);
  writer.put<uint32_t>(plugin_.http == nullptr ? 0 : plugin_.http->max_concurrency);
  writer.put<uint32_t>(plugin_.state == nullptr ? 0 : plugin_.state->version);
}

uint32_t PluginServer::look_up() {
  uint32_t shape = 0;
  const auto has = [&shape](bool whether, uint32_t bit) { shape |= whether ? bit : 0; };
  const auto find = [own = plugin_.instance](const char* id) { return own->get_extension(own, id); };
  plugin_.config = static_cast<const tenon_plugin_config_t*>(find(TENON_CONFIG_ID));
  has(TENON_HAS(plugin_.config, changed), wire::kHasConfig);
  plugin_.events = static_cast<const tenon_plugin_events_t*>(find(TENON_EVENTS_ID));
  has(TENON_HAS(plugin_.events, on_event), wire::kHasEvents);
  plugin_.auth = static_cast<const tenon_plugin_auth_t*>(find(TENON_AUTH_ID));
  has(plugin_.auth != nullptr, wire::kHasAuth);
  has(TENON_HAS(plugin_.auth, provider_count), wire::kHasProviderCount);
  has(TENON_HAS(plugin_.auth, provider), wire::kHasProvider);
  has(TENON_HAS(plugin_.auth, authenticate), wire::kHasAuthenticate);
  has(TENON_HAS(plugin_.auth, resolve_roles), wire::kHasResolveRoles);
  has(TENON_HAS(plugin_.auth, authorize), wire::kHasAuthorize);
  plugin_.middleware = static_cast<const tenon_plugin_middleware_t*>(find(TENON_MIDDLEWARE_ID));
  has(plugin_.middleware != nullptr, wire::kHasMiddleware);
  has(TENON_HAS(plugin_.middleware, before), wire::kHasBefore);
  has(TENON_HAS(plugin_.middleware, after), wire::kHasAfter);
  plugin_.hooks = static_cast<const tenon_plugin_hooks_t*>(find(TENON_HOOKS_ID));
  has(plugin_.hooks != nullptr, wire::kHasHooks);
  has(TENON_HAS(plugin_.hooks, hook_count), wire::kHasHookCount);
  has(TENON_HAS(plugin_.hooks, hook), wire::kHasHook);
  has(TENON_HAS(plugin_.hooks, call), wire::kHasHookCall);
  return shape;
}

// In the order in which the host reads that of a library it has open itself. Of too many it gets the number alone.
void PluginServer::declare(wire::Writer& writer) {
  tenon_plugin_t* const own = plugin_.instance;
  writer.clear();
  writer.put<int32_t>(TENON_OK).text(std::string_view()).put<uint32_t>(look_up());
  writer.put<int32_t>(plugin_.middleware == nullptr ? 0 : plugin_.middleware->order);
  const auto each = [&writer](uint32_t count, uint32_t most, size_t least_size, auto&& at, auto&& give) {
    writer.put<uint32_t>(count);
    for (uint32_t index = 0; count <= most && index < count; index++) {
      const auto* const declared = at(index);
      const bool whole = declared != nullptr && declared->size >= least_size;
      writer.put(whole);
      if (whole) give(*declared);
    }
  };
  const auto* const auth = plugin_.auth;
  each(
      TENON_HAS(auth, provider_count) ? auth->provider_count(own) : 0, TENON_AUTH_PROVIDERS,
      sizeof(tenon_auth_provider_t),
      [&](uint32_t index) { return TENON_HAS(auth, provider) ? auth->provider(own, index) : nullptr; },
      [&](const tenon_auth_provider_t& provider) {
        writer.text(provider.scheme).text(provider.header).text(provider.challenge);
      });
  const auto* const hooks = plugin_.hooks;
  each(
      TENON_HAS(hooks, hook_count) ? hooks->hook_count(own) : 0, TENON_HOOKS_LIMIT, sizeof(tenon_hook_t),
      [&](uint32_t index) { return TENON_HAS(hooks, hook) ? hooks->hook(own, index) : nullptr; },
      [&](const tenon_hook_t& hook) { writer.text(hook.name).put<uint32_t>(hook.version).put<int32_t>(hook.order); });
  const auto* const http = plugin_.http;
  each(
      TENON_HAS(http, route_count) ? http->route_count(own) : 0, core::Route::kMost, offsetof(tenon_route_t, roles),
      [&](uint32_t index) { return TENON_HAS(http, route) ? http->route(own, index) : nullptr; },
      [&](const tenon_route_t& route) {
        writer.put<int32_t>(route.method).text(route.pattern).put<uint32_t>(route.deadline_ms);
        writer.put<uint64_t>(route.body_limit).put<uint32_t>(route.auth);
        // Later members, of which one that was built with older headers has none.
        writer.text(route.size >= offsetof(tenon_route_t, summary) ? route.roles : tenon_bytes_t{});
        const bool has_words = route.size >= sizeof route;
        for (const auto text : {&tenon_route_t::summary, &tenon_route_t::description, &tenon_route_t::openapi}) {
          writer.text(has_words ? route.*text : tenon_bytes_t{});
        }
      });
}

tenon_status PluginServer::save(wire::Writer& writer) {
  Saving saving;
  const tenon_state_writer_t face = {sizeof face, &saving, write_state, fail_saving};
  const tenon_status status = plugin_.state->save(plugin_.instance, &face);
  writer.put<int32_t>(status).text(saving.message).text(saving.bytes);
  return status;
}

bool PluginServer::go_on(wire::Lane& lane, wire::Reader& reader, wire::Writer& writer) {
  ExpressLane* const express = express_.load(std::memory_order_acquire);
  const auto slot = reader.get<uint32_t>();
  return express != nullptr && reader.ended() && express->go_on(slot, lane, writer);
}

bool PluginServer::serve(wire::Lane& lane, uint16_t code, std::string_view payload, std::string& answer) {
  wire::Reader reader(payload);
  wire::Writer writer(std::move(answer));
  tenon_plugin_t* const own = plugin_.instance;
  const auto give = [&writer](tenon_status status) { writer.put<int32_t>(status); };
  bool known = true;
  switch (code) {
    case wire::kDownOpen:
      open(reader, writer);
      break;
    case wire::kDownCreate:
      create(writer);
      break;
    case wire::kDownInitialize:
      give(TENON_HAS(own, initialize) ? own->initialize(own) : TENON_OK);
      break;
    case wire::kDownReady:
      app_id_ = reader.text();
      root_ = reader.text();
      context_ = {sizeof context_, bytes(app_id_), bytes(root_), reader.get<uint64_t>()};
      host_.begin_ready();
      give(TENON_HAS(own, ready) ? own->ready(own, &context_) : TENON_OK);
      break;
    case wire::kDownHealth:
      give(TENON_HAS(own, health) ? own->health(own) : TENON_OK);
      break;
    case wire::kDownQuiesce:
      give(TENON_HAS(own, quiesce) ? own->quiesce(own) : TENON_OK);
      break;
    case wire::kDownResume:
      give(TENON_HAS(own, resume) ? own->resume(own) : TENON_OK);
      break;
    case wire::kDownShutdown:
      if (TENON_HAS(own, shutdown)) own->shutdown(own);
      give(TENON_OK);
      break;
    case wire::kDownDestroy:
      if (own != nullptr) own->destroy(own);
      plugin_.instance = nullptr;
      give(TENON_OK);
      break;
    case wire::kDownDeclare:
      declare(writer);
      break;
    case wire::kDownSave:
      save(writer);
      break;
    case wire::kDownLoad: {
      std::string message;
      const bool dry_run = reader.flag();
      const auto version = reader.get<uint32_t>();
      const tenon_state_reader_t face = {sizeof face, dry_run, version, reader.bytes(), &message, fail_loading};
      give(plugin_.state->load(own, &face));
      writer.text(message);
      break;
    }
    case wire::kDownConfigure: {
      const tenon_bytes_t application = reader.bytes();
      give(plugin_.config->changed(own, application, reader.bytes()));
      break;
    }
    case wire::kDownHandle:
      known = runner::handle(plugin_, lane, reader, writer);
      break;
    case wire::kDownContinue:
      known = go_on(lane, reader, writer);
      break;
    case wire::kDownRunTask:
    case wire::kDownEndTask:
      known = serve_task(code, reader, writer);
      break;
    case wire::kDownEvents:
      known = serve_event(plugin_, reader, writer);
      break;
    case wire::kDownFetched:
      known = serve_fetched(reader, writer);
      break;
    default:
      known = serve_extension(plugin_, lane, code, reader, writer);
      break;
  }
  answer = writer.take();
  return known;
}

}  // namespace tenon::runner
