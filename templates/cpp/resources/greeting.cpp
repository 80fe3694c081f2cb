// GET /my-app/greeting?name=Ada, POST /my-app/greeting
// Change a text here and save: a running host serves the new build a moment later.
#include <tenon/tenon.hpp>

// The name of the type is its address. Every method that is overridden is a route.
struct Greeting : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    const std::string_view name = request.query("name").value_or("world");
    return tenon::json(tenon::Json().object().field("greeting", "Hello").field("name", name).end());
  }

  tenon::Response post(const tenon::Request& request) override {
    if (request.body().empty()) return tenon::text("Send a name.\n").status(400);
    tenon::log::info("greeted", {{"name", request.body()}});
    return tenon::text("Hello, " + std::string(request.body()) + "\n");
  }
};
