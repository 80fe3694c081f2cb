// Logs, answers, measures and counts, for tests of applications/tenon-telemetry.
#include <string>
#include <tenon/services.hpp>

static int number_of(const tenon::Request& request, std::string_view name) {
  return std::atoi(std::string(request.query(name).value_or("0")).c_str());
}

/* Whoever says "Key editor" has the role editor. */
struct Keys : tenon::AuthProvider {
  std::string scheme() const override { return "Key"; }
  tenon::Decision authenticate(const tenon::Request&, std::string_view role) override {
    return tenon::known("somebody").role(role);
  }
};

struct NoisyExtension : tenon::Extension {
  tenon::metrics::Counter things{"things_total", "Things.", {{"colour", "red"}}};
  tenon::metrics::Histogram sizes{"sizes", "Sizes.", {1, 10}};

  tenon::Result initialize() override {
    tenon::log::info("in initialize");
    return tenon::ok();
  }
  tenon::AuthProviders auth_providers() override {
    tenon::AuthProviders providers;
    providers.push_back(std::make_unique<Keys>());
    return providers;
  }
  tenon::Result ready(const tenon::Context&) override {
    tenon::log::warn("in ready", {{"step", "ready"}});
    things.add(3);
    sizes.observe(5);
    return tenon::ok();
  }
};

struct Answer : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override { return tenon::status(number_of(request, "status")); }
};

struct Log : tenon::Resource {
  tenon::Response post(const tenon::Request& request) override {
    tenon::log::write(number_of(request, "level"), request.body(), {{"twice", "1"}, {"twice", "2"}});
    return tenon::status(204);
  }
};

struct Measure : tenon::Resource {
  tenon::Response post(const tenon::Request& request) override {
    tenon::Span span(request.body());
    span.field("size", 12);
    return tenon::status(204);
  }
};

/* What a table would not take as it is, among what it takes. */
struct Strange : tenon::Resource {
  tenon::Response post(const tenon::Request&) override {
    tenon::log::info("before");
    const std::string name("n\xff\0n", 4);
    const tenon_log_field_t fields[] = {{{"\xfe", 1}, {"\0", 1}}, {{"\xff", 1}, {"", 0}}};
    for (const int64_t begin : {INT64_MIN, INT64_MAX}) {
      const tenon_span_t span = {sizeof span, {name.data(), name.size()}, begin, UINT64_MAX, fields, 2};
      tenon::detail::services.events->span(tenon::detail::services.host, &span);
    }
    tenon::log::info(name);
    tenon::log::write(-5, "of no level");
    tenon::extension<NoisyExtension>().sizes.observe(1e308);
    tenon::extension<NoisyExtension>().sizes.observe(1e308);
    return tenon::status(204);
  }
};

struct Flood : tenon::Resource {
  tenon::Response post(const tenon::Request& request) override {
    const std::string text(static_cast<size_t>(number_of(request, "size")), 'x');
    for (int left = number_of(request, "count"); left > 0; --left) tenon::log::warn(text);
    return tenon::status(204);
  }
};
