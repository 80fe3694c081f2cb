#include "extension_harness.h"

#include <cstring>

namespace tenon::tests {

ExtensionUnderTest::ExtensionUnderTest() { code_.owner = this; }

void ExtensionUnderTest::provider(std::string scheme, std::string header, std::string challenge) {
  auto provider = std::make_unique<Provider>(
      Provider{std::move(scheme), std::move(header), std::move(challenge), tenon_auth_provider_t{}});
  provider->face = {sizeof(tenon_auth_provider_t), bytes(provider->scheme), bytes(provider->header),
                    bytes(provider->challenge)};
  providers_.push_back(std::move(provider));
}

void ExtensionUnderTest::hook(std::string name, uint32_t version, int32_t place) {
  auto hook = std::make_unique<Hook>(Hook{std::move(name), tenon_hook_t{}});
  hook->face = {sizeof(tenon_hook_t), version, bytes(hook->name), place};
  hooks_.push_back(std::move(hook));
}

PluginUnderTest& ExtensionUnderTest::code() {
  auth_side_.size = sizeof(auth_side_);
  auth_side_.provider_count = [](tenon_plugin_t* plugin) {
    return static_cast<uint32_t>(of(plugin).providers_.size());
  };
  auth_side_.provider = [](tenon_plugin_t* plugin, uint32_t index) -> const tenon_auth_provider_t* {
    return &of(plugin).providers_[index]->face;
  };
  auth_side_.authenticate = [](tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                               tenon_bytes_t credential, const tenon_auth_answer_t* answer) {
    return of(plugin).authenticate(index, request, core::view(credential), answer);
  };
  if (resolve_roles) {
    auth_side_.resolve_roles = [](tenon_plugin_t* plugin, tenon_request_t*, const tenon_identity_t* identity,
                                  const tenon_auth_answer_t* answer) {
      return of(plugin).resolve_roles(identity, answer);
    };
  }
  if (authorize) {
    auth_side_.authorize = [](tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                              const tenon_auth_answer_t* answer) {
      return of(plugin).authorize(request, identity, answer);
    };
  }
  middleware_side_.size = sizeof(middleware_side_);
  middleware_side_.order = order;
  if (before) {
    middleware_side_.before = [](tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response,
                                 bool* answered) { return of(plugin).before(request, response, answered); };
  }
  if (after) {
    middleware_side_.after = [](tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response) {
      of(plugin).after(request, response);
    };
  }
  hooks_side_.size = sizeof(hooks_side_);
  hooks_side_.hook_count = [](tenon_plugin_t* plugin) { return static_cast<uint32_t>(of(plugin).hooks_.size()); };
  hooks_side_.hook = [](tenon_plugin_t* plugin, uint32_t index) -> const tenon_hook_t* {
    return &of(plugin).hooks_[index]->face;
  };
  hooks_side_.call = [](tenon_plugin_t* plugin, uint32_t index, tenon_bytes_t input,
                        const tenon_hook_output_t* output) {
    return of(plugin).call_hook(index, core::view(input), output);
  };
  code_.offers = {
      {TENON_AUTH_ID, &auth_side_}, {TENON_MIDDLEWARE_ID, &middleware_side_}, {TENON_HOOKS_ID, &hooks_side_}};
  return code_;
}

const tenon_host_auth_t& ExtensionUnderTest::auth() const {
  return *static_cast<const tenon_host_auth_t*>(code_.host->get_extension(code_.host, TENON_AUTH_ID));
}

const tenon_host_middleware_t& ExtensionUnderTest::middleware() const {
  return *static_cast<const tenon_host_middleware_t*>(code_.host->get_extension(code_.host, TENON_MIDDLEWARE_ID));
}

ChainUnderTest::ChainUnderTest() : plugin(front->plugin("app")) {
  plugin.open(100);
  for (const uint32_t execution : {TENON_EXECUTION_POOL, TENON_EXECUTION_INLINE}) {
    code.route(TENON_HTTP_GET, execution == TENON_EXECUTION_POOL ? "/pool" : "/inline", execution,
               [this](auto& http, auto* request, auto* response) -> tenon_status {
                 return handler ? handler(http, request, response) : TENON_OK;
               });
  }
}

ChainUnderTest::~ChainUnderTest() {
  plugin.swap(nullptr);
  if (generation && !front.take_down(generation)) std::abort();
  for (size_t index = extensions.size(); index > 0; index--) {
    if (extensions[index - 1].generation) stop(index - 1);
  }
}

ExtensionUnderTest& ChainUnderTest::extend(const std::string& id, bool required) {
  core::Plugin& extension = front->plugin(id);
  extension.open(10);
  extensions.push_back({&extension, std::make_unique<ExtensionUnderTest>(), nullptr, required});
  return *extensions.back().code;
}

void ChainUnderTest::start(bool identity) {
  auto chain = std::make_shared<core::Chain>();
  chain->number = front->number_chain();
  chain->identity = identity;
  for (Extension& extension : extensions) {
    extension.generation = front.bring_up(*extension.plugin, extension.code->code(), 1, "/" + extension.plugin->id());
    if (!extension.generation) std::abort();
    extension.plugin->swap(extension.generation->lease());
    chain->links.push_back({extension.plugin, extension.required});
  }
  generation = front.bring_up(plugin, code, 1, "/app");
  if (!generation) std::abort();
  plugin.set_chain(std::move(chain));
  plugin.swap(generation->lease());
}

void ChainUnderTest::reload(size_t index, std::unique_ptr<ExtensionUnderTest> successor) {
  Extension& extension = extensions[index];
  const uint64_t number = extension.generation->number() + 1;
  std::shared_ptr<core::Generation> next =
      front.bring_up(*extension.plugin, successor->code(), number, "/" + extension.plugin->id());
  if (!next) std::abort();
  extension.plugin->swap(next->lease());
  if (!front.take_down(extension.generation)) std::abort();
  extension.generation = std::move(next);
  extension.code = std::move(successor);
}

void ChainUnderTest::stop(size_t index) {
  Extension& extension = extensions[index];
  extension.plugin->swap(nullptr);
  if (!front.take_down(extension.generation)) std::abort();
  extension.generation = nullptr;
}

void ChainUnderTest::release(size_t index) {
  for (core::Call* const call : extensions[index].plugin->release()) core::resend(*call);
}

Answer ChainUnderTest::ask(const std::string& path, std::string headers) {
  return front.ask(front.slot(plugin, "GET", path), path, std::move(headers));
}

Answer& ChainUnderTest::send(const std::string& path, std::string headers) {
  return front.send(front.slot(plugin, "GET", path), path, std::move(headers));
}

tenon_status accept_name(std::string_view credential, const tenon_auth_answer_t* answer, uint32_t cache_ms) {
  const tenon_bytes_t role = bytes("user");
  tenon_identity_t identity = {};
  identity.size = sizeof(identity);
  identity.subject = bytes(credential);
  identity.roles = &role;
  identity.role_count = 1;
  return answer->accept(answer, &identity, cache_ms) == TENON_OK ? TENON_OK : TENON_ERROR;
}

}  // namespace tenon::tests
