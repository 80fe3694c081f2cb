// Resources in C++ that say what they are for.
#include <tenon/application.hpp>

namespace {

struct Report : tenon::Resource {
  static constexpr auto summary = "Work with reports";
  static constexpr std::string_view post_summary = "Make a report";
  static constexpr auto description = "Reports are *short*.";
  static constexpr auto openapi = R"({"tags": ["reports"], "post": {"deprecated": true}})";

  tenon::Response get(const tenon::Request&) override { return tenon::text("none"); }
  tenon::Response post(const tenon::Request&) override { return tenon::text("none"); }
};

struct Plain : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return tenon::text("plain"); }
};

constexpr tenon::ResourceEntry resources[] = {tenon::resource<Report>("Report"), tenon::resource<Plain>("Plain")};
constexpr tenon::ResourceTable tables[] = {{resources, 2}};

tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  return tenon::Application::create(host, out, tables, 1, nullptr);
}

}  // namespace

TENON_PLUGIN("resource", "Resource", "1.0.0", "Says what its resources are for.", "Tests", TENON_TRIAL_FULL, create)
