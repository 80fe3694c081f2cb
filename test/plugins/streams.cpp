/*
 * Writes through the streams of C++ at its start. Macros:
 *   PLUGIN_ID
 *   UNSYNCED   it has made them other ones than those of C
 */
#include <tenon/application.hpp>

#include <iostream>

#ifndef PLUGIN_ID
#define PLUGIN_ID "streams"
#endif

namespace {

struct Streams : tenon::Extension {
  tenon::Result initialize() override {
#ifdef UNSYNCED
    std::ios::sync_with_stdio(false);
#endif
    std::cout << "through cout, " << 1 << std::endl;
    std::cerr << "through cerr, " << 2 << '\n';
    std::clog << "through clog, " << 3 << std::endl;
    return tenon::ok();
  }
};

constexpr tenon::ExtensionEntry extension = tenon::extension_entry<Streams>();

tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  return tenon::Application::create(host, out, nullptr, 0, &extension);
}

}  // namespace

TENON_PLUGIN(PLUGIN_ID, "Streams", "1.0.0", "Writes through streams.", nullptr, TENON_TRIAL_FULL, create)
