#ifndef TENON_TESTS_EXTENSION_HARNESS_H
#define TENON_TESTS_EXTENSION_HARNESS_H

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"
#include "tenon/ext/auth.h"
#include "tenon/ext/hooks.h"
#include "tenon/ext/middleware.h"

namespace tenon::tests {

// An extension in the test's own code. Its functions are set before it is brought up.
class ExtensionUnderTest {
 public:
  ExtensionUnderTest();
  ExtensionUnderTest(const ExtensionUnderTest&) = delete;
  ExtensionUnderTest& operator=(const ExtensionUnderTest&) = delete;

  void provider(std::string scheme, std::string header, std::string challenge);
  void hook(std::string name, uint32_t version, int32_t order);
  // What is set by then is offered.
  PluginUnderTest& code();

  std::function<tenon_status(uint32_t, tenon_request_t*, std::string_view, const tenon_auth_answer_t*)> authenticate;
  std::function<tenon_status(const tenon_identity_t*, const tenon_auth_answer_t*)> resolve_roles;
  std::function<tenon_status(tenon_request_t*, const tenon_identity_t*, const tenon_auth_answer_t*)> authorize;
  std::function<tenon_status(tenon_request_t*, tenon_response_t*, bool*)> before;
  std::function<void(tenon_request_t*, tenon_response_t*)> after;
  std::function<tenon_status(uint32_t, std::string_view, const tenon_hook_output_t*)> call_hook;
  int32_t order = 0;

  const tenon_host_auth_t& auth() const;
  const tenon_host_middleware_t& middleware() const;

 private:
  struct Provider {
    std::string scheme;
    std::string header;
    std::string challenge;
    tenon_auth_provider_t face;
  };
  struct Hook {
    std::string name;
    tenon_hook_t face;
  };
  static ExtensionUnderTest& of(tenon_plugin_t* plugin) {
    return *static_cast<ExtensionUnderTest*>(PluginUnderTest::of(plugin).owner);
  }

  PluginUnderTest code_;
  std::vector<std::unique_ptr<Provider>> providers_;
  std::vector<std::unique_ptr<Hook>> hooks_;
  tenon_plugin_auth_t auth_side_ = {};
  tenon_plugin_middleware_t middleware_side_ = {};
  tenon_plugin_hooks_t hooks_side_ = {};
};

// An application "app" with one route on the pool and one inline, "/app/pool" and "/app/inline", and extensions.
class ChainUnderTest {
 public:
  ChainUnderTest();
  ~ChainUnderTest();

  struct Extension {
    core::Plugin* plugin;
    std::unique_ptr<ExtensionUnderTest> code;
    std::shared_ptr<core::Generation> generation;
    bool required;
  };
  // One more extension, the last of the chain, brought up and live when `start` is called. Before that.
  ExtensionUnderTest& extend(const std::string& id, bool required = true);
  void start(bool identity = false);
  // Another generation of extension number `index`, made of `code`.
  void reload(size_t index, std::unique_ptr<ExtensionUnderTest> code);
  // Extension number `index` is not running any more.
  void stop(size_t index);
  void release(size_t index);

  Answer ask(const std::string& path, std::string headers = {});
  Answer& send(const std::string& path, std::string headers = {});

  FrontUnderTest front;
  core::Plugin& plugin;
  PluginUnderTest code;
  std::shared_ptr<core::Generation> generation;
  std::vector<Extension> extensions;
  // Of what both routes do; status 200 without a body otherwise.
  PluginUnderTest::Handler handler;
};

// "Who NAME" of a provider with header "authorization": somebody of that name, with the role "user".
tenon_status accept_name(std::string_view credential, const tenon_auth_answer_t* answer, uint32_t cache_ms = 0);

}  // namespace tenon::tests

#endif
