// GET /hello/stream?lines=5: an answer that is sent while it is made.
#include <tenon/tenon.hpp>

static int lines_asked_for(const tenon::Request& request) {
  int lines = 0;
  for (const char digit : request.query("lines").value_or("5")) {
    if (digit < '0' || digit > '9' || lines > 100'000) return -1;
    lines = lines * 10 + (digit - '0');
  }
  return lines;
}

struct Stream : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    const int lines = lines_asked_for(request);
    if (lines < 0) return tenon::text("lines: a number up to a million\n").status(400);
    return tenon::stream([lines](tenon::Writer& writer) {
      for (int line = 1; line <= lines; ++line) {
        if (!writer.write("line " + std::to_string(line) + "\n")) return;  // the client is gone
      }
    });
  }
};
