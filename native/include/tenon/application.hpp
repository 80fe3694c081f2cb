/*
 * From tenon::Resource and tenon::Extension to the C contract: what the generated glue of an application is built on.
 * Authors include <tenon/tenon.hpp>; this header is for the one file that defines the plugin:
 *
 *     static const tenon::ResourceEntry resources[] = {tenon::resource<Greeting>("Greeting")};
 *     static const tenon::ResourceTable tables[] = {{resources, 1}};
 *     static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
 *       return tenon::Application::create(host, out, tables, 1, nullptr);
 *     }
 *     TENON_PLUGIN("hello", "Hello", "1.0.0", "Greets.", "Somebody", TENON_TRIAL_FULL, create)
 */
#ifndef TENON_APPLICATION_HPP
#define TENON_APPLICATION_HPP

#include <cstring>
#include <memory>
#include <vector>

#include "edge.hpp"
#include "tenon.hpp"

namespace tenon {

/* The resources of one source file. */
struct ResourceTable {
  const ResourceEntry* entries;
  size_t count;
};

/* One instance of a plugin made of resources and an extension. */
class Application final {
 public:
  /* For tenon_plugin_descriptor_t.create. `tables` and `extension` (may be NULL) live as long as the library. */
  static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out, const ResourceTable* tables, size_t count,
                             const ExtensionEntry* extension) {
    detail::Services& services = detail::services;
    services.host = host;
    find(host, TENON_HTTP_ID, services.http);
    find(host, TENON_LOG_ID, services.log);
    find(host, TENON_STATE_ID, services.state);
    find(host, TENON_TABLES_ID, services.tables);
    find(host, TENON_AUTH_ID, services.auth);
    find(host, TENON_MIDDLEWARE_ID, services.middleware);
    find(host, TENON_TASKS_ID, services.tasks);
    find(host, TENON_EVENTS_ID, services.events);
    find(host, TENON_METRICS_ID, services.metrics);
    find(host, TENON_CONFIG_ID, services.config);
    find(host, TENON_HTTP_CLIENT_ID, services.http_client);
    find(host, TENON_HOOKS_ID, services.hooks);
    services.extension = nullptr;
    services.offered = nullptr;
    return Edge::guard(Edge::log_failure, [&]() -> tenon_status {
      std::unique_ptr<Application> application(new (std::nothrow) Application(extension));
      if (!application) return TENON_ERROR_MEMORY;
      if (extension != nullptr) {
        application->extension_.reset(extension->make());
        if (!application->extension_) return TENON_ERROR_MEMORY;
        services.extension = application->extension_.get();
      }
      for (size_t table = 0; table < count; ++table) {
        for (size_t entry = 0; entry < tables[table].count; ++entry) {
          const tenon_status status = application->add(tables[table].entries[entry]);
          if (status != TENON_OK) return status;
        }
      }
      if (!application->routes_.empty() && services.http == nullptr) {
        Edge::log_failure("this host does not offer " TENON_HTTP_ID);
        return TENON_ERROR_UNSUPPORTED;
      }
      *out = &application.release()->plugin_;
      return TENON_OK;
    });
  }

  /* "TaskSummary", "HTTPLog" and "task_summary" become "task-summary", "http-log" and "task-summary". */
  static std::string kebab(std::string_view name) {
    const auto upper = [name](size_t at) { return at < name.size() && name[at] >= 'A' && name[at] <= 'Z'; };
    const auto lower = [name](size_t at) { return at < name.size() && name[at] >= 'a' && name[at] <= 'z'; };
    std::string out;
    for (size_t at = 0; at < name.size(); ++at) {
      if (name[at] == '_') {
        if (!out.empty() && out.back() != '-') out.push_back('-');
        continue;
      }
      if (upper(at) && at > 0 && name[at - 1] != '_' && (!upper(at - 1) || lower(at + 1))) out.push_back('-');
      out.push_back(upper(at) ? static_cast<char>(name[at] - 'A' + 'a') : name[at]);
    }
    return out;
  }

 private:
  using Handler = Response (Resource::*)(const Request&);

  struct Route {
    Resource* resource;
    Handler handler;
  };

  using Edge = detail::Edge;

  template <typename Table>
  static void find(const tenon_host_t* host, const char* id, const Table*& table) noexcept {
    table = static_cast<const Table*>(host->get_extension(host, id));
  }

  explicit Application(const ExtensionEntry* extension) noexcept : entry_(extension) {
    plugin_.size = sizeof plugin_;
    plugin_.data = this;
    plugin_.destroy = [](tenon_plugin_t* plugin) { delete of(plugin); };
    plugin_.get_extension = get_extension;
    http_.size = sizeof http_;
    http_.route_count = [](tenon_plugin_t* plugin) { return static_cast<uint32_t>(of(plugin)->routes_.size()); };
    http_.route = [](tenon_plugin_t* plugin, uint32_t index) -> const tenon_route_t* {
      return index < of(plugin)->declared_.size() ? &of(plugin)->declared_[index] : nullptr;
    };
    http_.handle = handle;
    if (extension == nullptr) return;
    plugin_.initialize = [](tenon_plugin_t* plugin) { return Edge::step([&] { return of(plugin)->initialize(); }); };
    plugin_.ready = [](tenon_plugin_t* plugin, const tenon_context_t* context) {
      const Context world{detail::view(context->app_id), detail::view(context->root_directory), context->generation};
      return Edge::step([&] { return of(plugin)->extension_->ready(world); });
    };
    plugin_.health = [](tenon_plugin_t* plugin) {
      return Edge::step([&] { return of(plugin)->extension_->health(); });
    };
    /* With a quiesce the host has all calls end before a reload: not for one that does nothing. */
    if (extension->quiesces) {
      plugin_.quiesce = [](tenon_plugin_t* plugin) {
        return Edge::step([&] { return of(plugin)->extension_->quiesce(); });
      };
      plugin_.resume = [](tenon_plugin_t* plugin) {
        return Edge::step([&] { return of(plugin)->extension_->resume(); });
      };
    }
    plugin_.shutdown = [](tenon_plugin_t* plugin) {
      static_cast<void>(Edge::guard(Edge::log_failure, [&]() -> tenon_status {
        of(plugin)->extension_->shutdown();
        return TENON_OK;
      }));
    };
    if (!extension->has_state) return;
    state_.size = sizeof state_;
    state_.version = extension->state_version;
    state_.save = save;
    state_.load = load;
  }

  static Application* of(tenon_plugin_t* plugin) noexcept { return static_cast<Application*>(plugin->data); }

  static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
    const Application& self = *of(plugin);
    if (std::strcmp(id, TENON_HTTP_ID) == 0) return self.routes_.empty() ? nullptr : &self.http_;
    if (std::strcmp(id, TENON_STATE_ID) == 0) return self.state_.save == nullptr ? nullptr : &self.state_;
    return self.offered_ == nullptr ? nullptr : self.offered_->offer(id);
  }

  Result initialize() {
    Result result = extension_->initialize();
    if (result.refused() || entry_->collect == nullptr) return result;
    offered_ = entry_->collect(*extension_, result);
    detail::services.offered = offered_.get();
    return result;
  }

  tenon_status add(const ResourceEntry& entry) {
    if (entry.make == nullptr) return TENON_OK;
    std::unique_ptr<Resource> resource(entry.make());
    if (!resource) return TENON_ERROR_MEMORY;
    std::string_view path = entry.path;
    if (path.empty()) {
      paths_.push_back(std::make_unique<std::string>("/" + kebab(entry.name)));
      path = *paths_.back();
      for (const char c : path) {
        if (static_cast<unsigned char>(c) < 0x80) continue;
        Edge::log_failure("the name of the type " + std::string(entry.name) +
                          " cannot be an address: set its `path`, in ASCII");
        return TENON_ERROR_ARGUMENT;
      }
    }
    const struct {
      bool there;
      const char* name;
      Method method;
      Handler handler;
      std::string_view summary;
    } methods[] = {{entry.get, "GET", Method::Get, &Resource::get, entry.get_summary},
                   {entry.post, "POST", Method::Post, &Resource::post, entry.post_summary},
                   {entry.put, "PUT", Method::Put, &Resource::put, entry.put_summary},
                   {entry.patch, "PATCH", Method::Patch, &Resource::patch, entry.patch_summary},
                   {entry.del, "DELETE", Method::Delete, &Resource::del, entry.del_summary}};
    for (const auto& each : methods) {
      if (!each.there) continue;
      for (size_t other = 0; other < declared_.size(); ++other) {
        if (declared_[other].method != static_cast<tenon_http_method>(each.method) ||
            detail::view(declared_[other].pattern) != path)
          continue;
        Edge::log_failure("the types " + std::string(names_[other]) + " and " + entry.name + " both serve " +
                          each.name + " " + std::string(path) + ": give one of them another `path`");
        return TENON_ERROR_ARGUMENT;
      }
      names_.push_back(entry.name);
      routes_.push_back({resource.get(), each.handler});
      declared_.push_back({static_cast<uint32_t>(sizeof(tenon_route_t)), static_cast<tenon_http_method>(each.method),
                           detail::bytes(path), static_cast<uint32_t>(entry.execution), entry.deadline_ms,
                           entry.body_limit,
                           entry.roles.empty() ? static_cast<uint32_t>(entry.auth) : uint32_t{TENON_AUTH_ROLES},
                           detail::bytes(entry.roles), detail::bytes(each.summary), detail::bytes(entry.description),
                           detail::bytes(entry.openapi)});
    }
    resources_.push_back(std::move(resource));
    return TENON_OK;
  }

  static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
    const auto fail = [writer](std::string_view message) { writer->fail(writer, detail::bytes(message)); };
    return Edge::guard(fail, [&]() -> tenon_status {
      const std::string state = of(plugin)->extension_->save();
      const tenon_status status = writer->write(writer, detail::bytes(state));
      if (status != TENON_OK) fail("the state is larger than the host takes");
      return status;
    });
  }

  static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
    const auto fail = [reader](std::string_view message) { reader->fail(reader, detail::bytes(message)); };
    return Edge::guard(fail, [&]() -> tenon_status {
      const Application& self = *of(plugin);
      if (reader->version > self.state_.version) {
        fail("the state was saved by a newer build");
        return TENON_ERROR_VERSION;
      }
      const std::string_view state = detail::view(reader->bytes);
      const Result result = reader->dry_run ? self.extension_->accepts(state, reader->version)
                                            : self.extension_->load(state, reader->version);
      if (!result.refused()) return TENON_OK;
      fail(result.reason());
      return TENON_ERROR;
    });
  }

  static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                             tenon_response_t* response) {
    const tenon_host_http_t& http = *detail::services.http;
    const auto fail = [&http, response](std::string_view message) { http.fail(response, detail::bytes(message)); };
    const Application& self = *of(plugin);
    if (index >= self.routes_.size()) return TENON_ERROR_ARGUMENT;
    const Route route = self.routes_[index];
    return Edge::guard(fail, [&]() -> tenon_status {
      const Request view = Edge::request(request);
      Response answer = (route.resource->*route.handler)(view);
      const char* refusal = Edge::send(response, answer);
      if (refusal == nullptr) return TENON_OK;
      fail(refusal);
      return TENON_ERROR;
    });
  }

  tenon_plugin_t plugin_{};
  tenon_plugin_http_t http_{};
  tenon_plugin_state_t state_{};
  const ExtensionEntry* entry_;
  std::unique_ptr<Extension> extension_;     /* outlives the resources, which may refer to it */
  std::unique_ptr<detail::Offered> offered_; /* goes before the extension it was collected from */
  std::vector<std::unique_ptr<Resource>> resources_;
  std::vector<std::unique_ptr<std::string>> paths_;
  std::vector<Route> routes_;
  std::vector<tenon_route_t> declared_;
  std::vector<const char*> names_; /* of the types, one for each route */
};

}  // namespace tenon

#endif
