// Uses everything of tenon.hpp; test/33.sdk.test.ts compiles it and asks it through host.cpp.
#include <limits>
#include <stdexcept>
#include <tenon/tenon.hpp>

namespace {

struct TaskSummary : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    tenon::Json json;
    json.object()
        .field("method", static_cast<int>(request.method()))
        .field("path", request.path())
        .field("query", request.query())
        .field("tag", request.query("tag").value_or("none"))
        .field("host", request.header("host").value_or("none"))
        .field("id", request.request_id())
        .field("left", request.time_left_ms())
        .field("cancelled", request.cancelled());
    json.key("headers").array();
    request.headers([&json](std::string_view name, std::string_view value) { json.value(name).value(value); });
    return tenon::json(json);  // closes what is open
  }
};

struct Item : tenon::Resource {
  static constexpr std::string_view path = "/items/:id";
  static constexpr auto execution = tenon::Execution::Inline;
  static constexpr uint32_t deadline_ms = 1500;
  static constexpr uint64_t body_limit = 10;

  tenon::Response put(const tenon::Request& request) override {
    return tenon::text(std::string(request.param("id")) + "=" + std::string(request.body())).status(201);
  }
  tenon::Response patch(const tenon::Request&) override {
    tenon::Response response = tenon::html("<p>");
    response.header("x-one", "1").add_header("x-two", "2").add_header("x-two", "3").type("text/x");
    return response;
  }
  tenon::Response del(const tenon::Request&) noexcept override { return tenon::status(204); }
};

struct Literals : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return tenon::text(tenon::literal("literal")); }
  tenon::Response post(const tenon::Request&) override {
    const char local[] = "a local array, which is gone when the handler has returned";
    return tenon::text(local);
  }
  tenon::Response put(const tenon::Request&) override { return tenon::text(std::string(4096, 'x')); }
};

struct Numbers : tenon::Resource {
  tenon::Response get(const tenon::Request&) override {
    using Limits = std::numeric_limits<double>;
    tenon::Json json;
    json.array().value(0.1).value(1e300).value(-2.5).value(Limits::infinity()).value(Limits::quiet_NaN());
    json.value(std::numeric_limits<int64_t>::min()).value(std::numeric_limits<uint64_t>::max()).value(7u);
    json.value(true)
        .value(nullptr)
        .value('c')
        .raw("{}")
        .value("\xC3\xA9\xFF-\xED\xA0\x80\xC0\x80-\xF4\x90\x80\x80\xE2\x82")
        .end();
    return tenon::json(json);
  }
  tenon::Response post(const tenon::Request& request) override {
    return tenon::json(tenon::Json().object().field(request.body(), request.body()).end());
  }
};

struct Streaming : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return tenon::stream([&request, owned = std::string("two ")](tenon::Writer& writer) {
             if (writer.write("one ") && writer.write(owned)) writer.write(request.path());
           })
        .type("text/event-stream");
  }
  tenon::Response post(const tenon::Request&) override {
    return tenon::stream([](tenon::Writer&) { tenon::log::info("stopped"); });
  }
};

struct Failing : tenon::Resource {
#if defined(__cpp_exceptions)
  tenon::Response get(const tenon::Request&) override { throw std::runtime_error("no such thing"); }
  tenon::Response post(const tenon::Request&) override { throw 7; }
#endif
  tenon::Response put(const tenon::Request&) override { return tenon::status(99999); }
  tenon::Response patch(const tenon::Request&) override { return tenon::text("x").header("bad name", "y"); }
};

struct Base : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return tenon::text(word()); }
  virtual const char* word() const = 0;
};

class Derived final : public Base {
  const char* word() const override { return "derived"; }
};

}  // namespace

struct AuditExtension final : tenon::Extension {
  static constexpr uint32_t state_version = 3;

  tenon::Result initialize() override {
    tenon::log::warn("initialize", {{"text", "t"}, {"number", -12}, {"view", std::string_view("v")}});
    tenon::log::debug("kept", {{"put", tenon::state::put("key", "value")}});
    return tenon::ok();
  }
  tenon::Result ready(const tenon::Context& context) override {
    tenon::log::info(context.app_id, {{"root", context.root_directory}, {"generation", context.generation}});
    tenon::log::error(tenon::state::get("key").value_or("nothing"));
    return tenon::state::remove("key") && !tenon::state::remove("key") ? tenon::ok() : tenon::refuse("remove is wrong");
  }
  tenon::Result health() override { return healthy ? tenon::ok() : tenon::refuse("not healthy"); }
  tenon::Result quiesce() override { return tenon::ok(); }
  tenon::Result resume() override { return tenon::ok(); }
  void shutdown() override { tenon::log::info("shutdown"); }
  std::string save() override { return state; }
  tenon::Result accepts(std::string_view bytes, uint32_t) override {
    return bytes.empty() ? tenon::refuse("an empty state") : tenon::ok();
  }
  tenon::Result load(std::string_view bytes, uint32_t version) override {
    state = std::string(bytes) + "@" + std::to_string(version);
    return tenon::ok();
  }

  bool healthy = true;
  std::string state = "fresh";
};

struct Audit : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return tenon::text(tenon::extension<AuditExtension>().state); }
  tenon::Response del(const tenon::Request&) override {
    tenon::extension<AuditExtension>().healthy = false;
    return tenon::status(204);
  }
};

#include <tenon/application.hpp>

static constexpr tenon::ResourceEntry resources[] = {
    tenon::resource<TaskSummary>("TaskSummary"),
    tenon::resource<Item>("Item"),
    tenon::resource<Literals>("Literals"),
    tenon::resource<Numbers>("Numbers"),
    tenon::resource<Streaming>("Streaming"),
    tenon::resource<Failing>("Failing"),
    tenon::resource<Base>("Base"),
    tenon::resource<Derived>("Derived"),
    tenon::resource<Audit>("HTTPAudit_log2"),
};
static constexpr tenon::ExtensionEntry extension = tenon::extension_entry<AuditExtension>();
static_assert(extension.collect == nullptr, "it offers nothing to others");

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  const tenon::ResourceTable tables[] = {{resources, sizeof resources / sizeof resources[0]}};
  return tenon::Application::create(host, out, tables, 1, &extension);
}

TENON_PLUGIN("everything", "Everything", "1.2.3", "All of tenon.hpp.", nullptr, TENON_TRIAL_FULL, create)
