// GET /hello/greeting, GET /hello/greeting/{name}
// Change a text here and save: the new build answers a moment later, without a restart.
#include <tenon/tenon.hpp>

// The name of the type is its address: Greeting is served at /hello/greeting.
struct Greeting : tenon::Resource {
  // Work of a few microseconds may run on the host's event loop; everything else belongs into the pool (the default).
  static constexpr auto execution = tenon::Execution::Inline;

  tenon::Response get(const tenon::Request&) override { return tenon::text("Hello from C++\n"); }
};

struct GreetingFor : tenon::Resource {
  static constexpr std::string_view path = "/greeting/:name";
  static constexpr auto execution = tenon::Execution::Inline;

  tenon::Response get(const tenon::Request& request) override {
    const std::string_view name = request.param("name");
    const std::string_view word = request.query("word").value_or("Hello");
    return tenon::json(tenon::Json().object().field("greeting", word).field("name", name).end());
  }
};
