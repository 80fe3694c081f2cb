// POST /hello/echo: the body comes back. Runs on a thread of the plugin's own pool.
#include <tenon/tenon.hpp>

struct Echo : tenon::Resource {
  static constexpr uint64_t body_limit = 64 * 1024;

  tenon::Response post(const tenon::Request& request) override {
    if (request.body().empty()) return tenon::text("Send something to echo.\n").status(400);
    tenon::log::debug("echo", {{"request", request.request_id()}, {"bytes", request.body().size()}});
    return tenon::Response(request.body()).type(request.header("content-type").value_or("application/octet-stream"));
  }
};
