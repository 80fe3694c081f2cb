#include <doctest/doctest.h>

#include <string>

#include "guard_notes.h"
#include "harness.h"
#include "lent_memory.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

using Part = tenon_bytes_t (*)(const tenon_host_http_t& http, tenon_request_t* request);

struct Lent {
  const char* name;  // as it is told
  Part part;
};

constexpr Lent kLent[] = {
    {"body", [](const tenon_host_http_t& http, tenon_request_t* request) { return http.body(request); }},
    {"path and query", [](const tenon_host_http_t& http, tenon_request_t* request) { return http.query(request); }},
    {"headers",
     [](const tenon_host_http_t& http, tenon_request_t* request) {
       tenon_bytes_t value = {nullptr, 0};
       http.header(request, bytes("last"), &value);
       return value;
     }},
    {"decoded parameters",
     [](const tenon_host_http_t& http, tenon_request_t* request) {
       tenon_bytes_t value = {nullptr, 0};
       http.query_value(request, bytes("escaped"), &value);
       return value;
     }},
    {"id", [](const tenon_host_http_t& http, tenon_request_t* request) { return http.request_id(request); }},
};
constexpr const char* kUrl = "/test/write?escaped=a%20b&x=1";
constexpr const char* kHeaders = "first\n1\nlast\n2";

// A plugin that writes one byte at `offset` from the end of what it is lent; nothing where `part` is null.
struct Overrun {
  explicit Overrun(bool strict) : plugin(front->plugin("test")) {
    front->set_strict(strict);
    plugin.open(10);
    for (const uint32_t execution : {TENON_EXECUTION_POOL, TENON_EXECUTION_INLINE}) {
      code.route(TENON_HTTP_POST, execution == TENON_EXECUTION_POOL ? "/pool" : "/inline", execution,
                 [this](auto& http, auto* request, auto* response) -> tenon_status {
                   if (part == nullptr) return TENON_OK;
                   const tenon_bytes_t lent = part(http, request);
                   seen.assign(lent.data, lent.size);
                   if (writes) const_cast<char*>(lent.data)[static_cast<ptrdiff_t>(lent.size) + offset] ^= 1;
                   return http.set_body(response, bytes("done"));
                 });
    }
    generation = front.bring_up(plugin, code, 1);
    plugin.swap(generation->lease());
    core::take_guard_notes();
  }
  ~Overrun() {
    plugin.swap(nullptr);
    CHECK(front.take_down(generation));
  }
  Answer ask(const char* path) { return front.ask(front.slot(plugin, "POST", path), kUrl, kHeaders, "the body"); }

  FrontUnderTest front;
  core::Plugin& plugin;
  PluginUnderTest code;
  std::shared_ptr<core::Generation> generation;
  Part part = nullptr;
  ptrdiff_t offset = 0;
  bool writes = true;
  std::string seen;
};

}  // namespace

TEST_CASE("a handler that writes beyond what it was lent is answered for, and told of") {
  Overrun overrun(false);
  for (const Lent& lent : kLent) {
    for (const ptrdiff_t offset : {0, 7}) {
      CAPTURE(lent.name);
      overrun.part = lent.part;
      overrun.offset = offset;
      const Answer answer = overrun.ask("/test/pool");
      CHECK(answer.refusal == core::Refusal::MemoryOverrun);
      CHECK(answer.status == 500);
      CHECK(answer.body ==
            std::string("test wrote beyond the ") + lent.name + " of the request, which it was only lent");
      const auto notes = core::take_guard_notes();
      REQUIRE(notes.size() == 1);
      CHECK(notes[0].guard == std::string("overrun"));
      CHECK(notes[0].detail ==
            std::string("it wrote beyond the ") + lent.name + " of the request POST /test/pool that it was lent");
    }
  }
  overrun.part = nullptr;
  CHECK(overrun.ask("/test/pool").outcome == core::Outcome::Response);
  CHECK(core::take_guard_notes().empty());
}

TEST_CASE("an inline handler is watched too, but for the body, which is not the host's") {
  Overrun overrun(false);
  overrun.part = kLent[1].part;
  CHECK(overrun.ask("/test/inline").refusal == core::Refusal::MemoryOverrun);
  CHECK(core::take_guard_notes().size() == 1);
}

TEST_CASE("what is lent strictly reads as ever, and ends where a page begins") {
  Overrun overrun(true);
  overrun.writes = false;
  const std::string expected[] = {"the body", "escaped=a%20b&x=1", "2", "a b"};
  for (size_t index = 0; index < std::size(expected); index++) {
    overrun.part = kLent[index].part;
    for (const char* path : {"/test/pool", "/test/inline"}) {
      CHECK(overrun.ask(path).outcome == core::Outcome::Response);
      CHECK(overrun.seen == expected[index]);
    }
  }
  const core::LentPages pages(std::string(5000, 'x'));
  CHECK(pages.text() == std::string(5000, 'x'));
  CHECK((reinterpret_cast<uintptr_t>(pages.text().data()) + 5000) % 4096 == 0);
}

TEST_CASE("a body is copied before it outlives the caller's, also where there were no pages for it") {
  for (const bool has_pages : {true, false}) {
    std::string body = "the body";
    core::Request request;
    request.set_strict(true);
    request.borrow_body(body);
    if (has_pages) request.lend();
    request.own();
    body.assign(body.size(), '-');
    CHECK(request.body() == "the body");
    request.clear();
  }
}
