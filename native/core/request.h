#ifndef TENON_CORE_REQUEST_H
#define TENON_CORE_REQUEST_H

#include <pthread.h>

#include <cstdint>
#include <forward_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "lent_memory.h"
#include "route.h"

namespace tenon::core {

// A request as it arrived, and what a handler has asked of it so far. Indexes are made when they are first needed.
class Request {
 public:
  ByteBuffer& url() { return url_; }
  // Writes the header block `name\nvalue\n…` into the buffer.
  using HeaderSource = void (*)(void* context, ByteBuffer& block);

  // The headers are fetched when they are first asked for, on the thread that called this, before it goes on; a plugin
  // that asks on another one, against the contract, finds none.
  void borrow_headers(HeaderSource source, void* context) {
    source_ = source;
    source_context_ = context;
    lender_ = pthread_self();
  }
  void forget_headers() {
    if (source_ != nullptr) source_ = nullptr;
  }
  ByteBuffer& header_block() {
    load_headers();
    return headers_;
  }
  tenon_http_method method = TENON_HTTP_GET;
  uint64_t number = 0;

  void borrow_body(std::string_view body) { body_ = body; }
  // Whether what a plugin is lent is read-only and ends at a page that nobody may touch; then all of it is a copy.
  void set_strict(bool strict) { strict_ = strict; }
  // Url and body are what plugins will see of them.
  void lend();
  // Which part of the request has been written beyond since this was asked last, for people; null: none. What is the
  // caller's own, a borrowed body, is not looked at.
  const char* take_overrun();
  // Headers and body become the request's own: before the call outlives the one that brought it.
  void own();
  void clear();

  // As in the host's log and error answers: its name, then the number of the request.
  std::string_view id(std::string_view host);
  std::string_view path() const;
  std::string_view query() const;
  std::string_view body() const { return body_; }
  bool query_value(std::string_view name, std::string_view& value);
  bool param(const Route& route, size_t prefix_segments, std::string_view name, std::string_view& value);
  bool header(std::string_view name, std::string_view& value) const;
  uint32_t header_count() const;
  bool header_at(uint32_t index, std::string_view& name, std::string_view& value) const;

 private:
  std::string_view keep(std::string text);
  std::string_view in_pages(std::string_view text) const;
  bool is_in_pages(std::string_view text) const;
  void load_headers() const;
  std::string_view headers() const {
    load_headers();
    return lent_headers_;
  }

  static constexpr size_t kKeptBytes = 16 * 1024;
  ByteBuffer url_;
  mutable ByteBuffer headers_;
  mutable HeaderSource source_ = nullptr;
  void* source_context_ = nullptr;
  pthread_t lender_ = {};
  std::string_view body_;
  std::unique_ptr<char[]> own_body_;
  std::forward_list<std::string> decoded_;  // each with a mark at its end
  std::string id_;                          // the same
  bool strict_ = false;
  std::string_view lent_url_;
  mutable std::string_view lent_headers_;
  std::string_view lent_id_;
  mutable std::forward_list<LentPages> pages_;
};

}  // namespace tenon::core

#endif
