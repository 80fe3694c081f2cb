/*
 * Ends the thread that it is called on by pthread_exit, through the C++ headers: GET /ends/bare, /ends/inline, and
 * /ends/owning, which has made things that are destroyed on the way out. GET /ends/left: how many of those there are.
 */
#include <tenon/application.hpp>

#include <pthread.h>

#include <atomic>
#include <cstring>
#include <string>
#include <vector>

namespace {

std::atomic<int> present{0};

struct Counted {
  Counted() { present++; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  /* Uses as much of the stack as what it runs over had. */
  ~Counted() {
    volatile char room[4096];
    std::memset(const_cast<char*>(room), 0x7f, sizeof room);
    present--;
  }
};

volatile bool leaves = true;

__attribute__((noinline)) void leave(int depth) {
  const Counted counted;
  const std::string text(64, 'x');
  if (depth > 0) leave(depth - 1);
  if (leaves) pthread_exit(nullptr);
  if (text.size() != 64) present = -1000;
}

struct Bare : tenon::Resource {
  static constexpr std::string_view path = "/bare";
  tenon::Response get(const tenon::Request&) override {
    pthread_exit(nullptr);
    return tenon::text("not here");
  }
};

struct Inline : tenon::Resource {
  static constexpr std::string_view path = "/inline";
  static constexpr auto execution = tenon::Execution::Inline;
  tenon::Response get(const tenon::Request&) override {
    leave(2);
    return tenon::text("not here");
  }
};

struct Owning : tenon::Resource {
  static constexpr std::string_view path = "/owning";
  tenon::Response get(const tenon::Request&) override {
    const std::vector<std::string> texts(10, std::string(100, 'y'));
    leave(5);
    return tenon::text(texts[0]);
  }
};

struct Left : tenon::Resource {
  static constexpr std::string_view path = "/left";
  tenon::Response get(const tenon::Request&) override { return tenon::text(std::to_string(present)); }
};

constexpr tenon::ResourceEntry resources[] = {tenon::resource<Bare>("Bare"), tenon::resource<Inline>("Inline"),
                                              tenon::resource<Owning>("Owning"), tenon::resource<Left>("Left")};
constexpr tenon::ResourceTable tables[] = {{resources, 4}};

tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  return tenon::Application::create(host, out, tables, 1, nullptr);
}

}  // namespace

TENON_PLUGIN("ends", "Ends", "1.0.0", "Ends threads.", nullptr, TENON_TRIAL_FULL, create)
