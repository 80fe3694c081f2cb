#ifndef TENON_CORE_REQUEST_H
#define TENON_CORE_REQUEST_H

#include <cstdint>
#include <forward_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "route.h"

namespace tenon::core {

// A request as it arrived, and what a handler has asked of it so far. Indexes are made when they are first needed.
class Request {
 public:
  ByteBuffer& url() { return url_; }
  ByteBuffer& header_block() { return headers_; }
  tenon_http_method method = TENON_HTTP_GET;
  uint64_t number = 0;

  void borrow_body(std::string_view body) { body_ = body; }
  // The body becomes the request's own: before the call outlives the one that brought it.
  void own_body();
  void clear();

  // As in the host's log and error answers: its name, then the number of the request.
  std::string_view id(std::string_view host);
  std::string_view path() const;
  std::string_view query() const;
  std::string_view body() const { return body_; }
  bool query_value(std::string_view name, std::string_view& value);
  bool param(const Route& route, size_t prefix_size, std::string_view name, std::string_view& value);
  bool header(std::string_view name, std::string_view& value) const;
  uint32_t header_count() const;
  bool header_at(uint32_t index, std::string_view& name, std::string_view& value) const;

 private:
  std::string_view keep(std::string text);

  static constexpr size_t kKeptBytes = 16 * 1024;
  ByteBuffer url_;
  ByteBuffer headers_;
  std::string_view body_;
  std::unique_ptr<char[]> own_body_;
  std::forward_list<std::string> decoded_;
  std::string id_;
};

}  // namespace tenon::core

#endif
