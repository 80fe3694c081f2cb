// The same as plugin.c, written with tenon.hpp.
#include <tenon/application.hpp>

struct Inline : tenon::Resource {
  static constexpr auto execution = tenon::Execution::Inline;
  tenon::Response get(const tenon::Request&) override { return tenon::text(MARK); }
};

struct Pool : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return tenon::text(MARK); }
};

static constexpr tenon::ResourceEntry resources[] = {tenon::resource<Inline>("Inline"), tenon::resource<Pool>("Pool")};
static constexpr tenon::ResourceTable tables[] = {{resources, 2}};

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  return tenon::Application::create(host, out, tables, 1, nullptr);
}

TENON_PLUGIN(ID, "Reloaded", "1.0.0", "Is replaced again and again.", "", TENON_TRIAL_FULL, create)
