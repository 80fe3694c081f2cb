#include <string>

#include <tenon/tenon.hpp>

struct Greeting : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    const auto name = request.query("name").value_or("whoever you are");
    return tenon::text("Good day, " + std::string(name));
  }
};
