// Answers that are no data, as the host's own: the codes are those of /docs/errors.md.
#pragma once

#include <string>
#include <string_view>
#include <tenon/services.hpp>

struct Code {
  int status;
  std::string_view code;
  std::string_view page;
  std::string_view title;
};

inline tenon::Response problem(const tenon::Request& request, const Code& code, std::string_view detail) {
  tenon::Json json;
  json.object().field("type", "/docs/errors.md#" + std::string(code.page)).field("title", code.title);
  json.field("status", code.status).field("detail", detail).field("error", code.code).field("message", detail);
  json.field("requestId", request.request_id());
  return tenon::json(json).type("application/problem+json").header("cache-control", "no-store").status(code.status);
}
