/*
 * An extension without state, through the C++ headers. Its middleware says BUILD, and keeps each request that names a
 * file in x-until, after it has made that file's neighbour `.in`, until the file is there. Macros:
 *   BUILD      what it says
 *   QUIESCES   it overrides quiesce()
 *   THROWS     its middleware throws this
 *   ANSWERS    its middleware answers with this status
 */
#include <tenon/application.hpp>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#ifndef BUILD
#define BUILD "one"
#endif

namespace {

struct Keeper : tenon::Middleware {
  std::optional<tenon::Response> before(const tenon::Request& request, tenon::Exchange& exchange) override {
    exchange.header("x-through", BUILD);
#ifdef THROWS
    throw std::runtime_error(THROWS);
#endif
#ifdef ANSWERS
    return tenon::text("closed").status(ANSWERS);
#endif
    const auto until = request.header("x-until");
    if (!until) return std::nullopt;
    const std::string file(*until);
    std::ofstream(file + ".in").put('i');
    while (!std::ifstream(file).good()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return std::nullopt;
  }
};

struct GateExtension : tenon::Extension {
  tenon::Owned<tenon::Middleware> middleware() override { return tenon::own<Keeper>(); }
#ifdef QUIESCES
  tenon::Result quiesce() override { return tenon::ok(); }
#endif
};

constexpr tenon::ExtensionEntry extension = tenon::extension_entry<GateExtension>();

tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  return tenon::Application::create(host, out, nullptr, 0, &extension);
}

}  // namespace

TENON_PLUGIN("gate", "Gate", "1.0." BUILD, "Keeps requests.", nullptr, TENON_TRIAL_FULL, create)
