#ifndef TENON_CORE_RESPONSE_H
#define TENON_CORE_RESPONSE_H

#include <cstdint>
#include <string>
#include <string_view>

#include "byte_buffer.h"
#include "tenon/ext/http.h"

namespace tenon::core {

// RFC 9110: a token (5.6.2), and a value without control bytes but tab (5.5).
bool is_token(std::string_view text);
bool is_field_value(std::string_view text);

// A response while a handler builds it. Everything is checked as it comes in, so that a finished one needs no second
// look; what was refused makes the whole response invalid, because half of what a plugin meant must not go out.
class Response {
 public:
  static constexpr size_t kHeaders = 100;
  static constexpr size_t kHeaderBytes = 32 * 1024;
  static constexpr size_t kBodyBytes = 64u * 1024u * 1024u;
  static constexpr size_t kMessageBytes = 1024;
  static constexpr int32_t kPass = 100;

  ~Response() { free_given(); }

  tenon_status set_status(int32_t status);
  tenon_status set_header(std::string_view name, std::string_view value, bool replace);
  tenon_status set_body(std::string_view body);
  tenon_status give_body(const void* data, size_t size, tenon_free_fn free_body, void* context);
  // Refused elsewhere, for `flaw`: it must not go out.
  void spoil(std::string_view flaw) { flaw_ = flaw; }
  void fail(std::string_view message) { message_.assign(message.substr(0, kMessageBytes)); }
  // Runs the plugin's own free function: only under a lease.
  void clear();
  // How many bodies have been handed over; what a step of an extension hands over becomes a copy, under its lease.
  uint32_t gifts() const { return gifts_; }
  void copy_gift();
  // Instead of a response: the call may go on to a table. `identity` is the body.
  void pass(std::string_view identity) {
    status_ = kPass;
    body_.assign(identity);
  }

  int32_t status() const { return status_; }
  const std::string& header_block() const { return headers_; }
  // Whether its content-type is `type` (lower case), whatever its parameters.
  bool has_type(std::string_view type) const;
  std::string_view body() const {
    return given_data_ != nullptr ? std::string_view(given_data_, given_size_) : body_.text();
  }
  std::string_view message() const { return message_; }
  // 204, 205 and 304 have none.
  bool may_have_body() const { return status_ != 204 && status_ != 205 && status_ != 304; }
  // Why it must not go out, or empty.
  std::string_view flaw() const;
  // The body as bytes of the caller's, without a copy; only when it is not the plugin's own memory.
  bool body_is_given() const { return given_data_ != nullptr; }
  ByteBuffer take_body();

 private:
  void free_given();

  static constexpr size_t kKeptBytes = 16 * 1024;
  int32_t status_ = 200;
  std::string headers_;
  size_t header_count_ = 0;
  ByteBuffer body_;
  const char* given_data_ = nullptr;
  size_t given_size_ = 0;
  uint32_t gifts_ = 0;
  tenon_free_fn free_ = nullptr;
  void* free_context_ = nullptr;
  std::string message_;
  std::string flaw_;
};

}  // namespace tenon::core

#endif
