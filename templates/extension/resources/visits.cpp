// GET and POST /my-app/visits: a resource, and an extension that keeps its state.
#include <atomic>
#include <charconv>
#include <cstdint>
#include <tenon/tenon.hpp>

// One per application, named {Name}Extension. Its steps come one at a time; a refusal ends the load, and the build that
// serves goes on.
struct VisitsExtension : tenon::Extension {
  // Raise it when what save() writes changes; load() is told the version it was saved with.
  static constexpr uint32_t state_version = 1;

  std::atomic<uint64_t> count{0};

  // Light set-up, also in the trial before the host opens the library: log and state may be used, nothing else.
  tenon::Result initialize() override {
    tenon::log::info("set up");
    return tenon::ok();
  }

  // The application exists; the first request comes after this.
  tenon::Result ready(const tenon::Context& context) override {
    tenon::log::info("ready", {{"generation", context.generation}});
    return tenon::ok();
  }

  // Asked at any time, at /readyz too. Refuse with the reason when there is no use in sending requests.
  tenon::Result health() override { return tenon::ok(); }

  // End what was begun: threads, timers, connections.
  void shutdown() override { tenon::log::info("over", {{"visits", count.load()}}); }

  // At a reload no request is under way: the old build saves, the new one says whether it accepts, and loads.
  std::string save() override { return std::to_string(count); }
  tenon::Result accepts(std::string_view state, uint32_t) override {
    uint64_t value = 0;
    return read(state, &value) ? tenon::ok() : tenon::refuse("the saved count is no number");
  }
  tenon::Result load(std::string_view state, uint32_t) override {
    uint64_t value = 0;
    if (!read(state, &value)) return tenon::refuse("the saved count is no number");
    count = value;
    return tenon::ok();
  }

 private:
  static bool read(std::string_view text, uint64_t* value) {
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, *value);
    return error == std::errc() && at == end;
  }
};

struct Visits : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return answer(visits().count); }
  tenon::Response post(const tenon::Request&) override { return answer(++visits().count); }

 private:
  static VisitsExtension& visits() { return tenon::extension<VisitsExtension>(); }
  static tenon::Response answer(uint64_t count) {
    return tenon::json(tenon::Json().object().field("visits", count).end());
  }
};
