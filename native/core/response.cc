#include "response.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "thread_guard.h"

namespace tenon::core {

namespace {

// RFC 9110, 5.6.2: tchar.
constexpr bool is_token_byte(unsigned char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  for (const char allowed : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    if (c == static_cast<unsigned char>(allowed)) return true;
  }
  return false;
}

constexpr std::array<bool, 256> make_token_bytes() {
  std::array<bool, 256> table = {};
  for (size_t c = 0; c < table.size(); c++) table[c] = is_token_byte(static_cast<unsigned char>(c));
  return table;
}
constexpr std::array<bool, 256> kTokenBytes = make_token_bytes();

bool same_name(std::string_view left, std::string_view right) {
  return left.size() == right.size() && std::equal(left.begin(), left.end(), right.begin(), [](char a, char b) {
           const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
           return lower(a) == lower(b);
         });
}

// Headers that frame the message or belong to the connection: the host's alone.
constexpr std::array<std::string_view, 9> kHostHeaders = {"connection", "keep-alive",       "transfer-encoding",
                                                          "upgrade",    "content-length",   "trailer",
                                                          "te",         "proxy-connection", "date"};

bool is_host_header(std::string_view name) {
  if (name.size() < 2) return false;
  const char first = static_cast<char>(name.front() | 0x20);
  if (first != 'c' && first != 'k' && first != 't' && first != 'u' && first != 'p' && first != 'd') return false;
  return std::any_of(kHostHeaders.begin(), kHostHeaders.end(),
                     [name](std::string_view host) { return same_name(name, host); });
}

std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 64)) shown.push_back(c >= 0x20 && c < 0x7f ? c : '?');
  return shown;
}

}  // namespace

bool is_token(std::string_view text) {
  bool good = !text.empty();
  for (const char c : text) good &= kTokenBytes[static_cast<unsigned char>(c)];
  return good;
}

// Eight bytes at a time; one by one where one of them is below 0x20 or 0x7f, for it may be a tab.
bool is_field_value(std::string_view text) {
  const auto is_good = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  };
  const auto is_plain = [](const char* bytes) {
    constexpr uint64_t kEach = 0x0101010101010101;
    uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    const uint64_t delete_is_zero = word ^ kEach * 0x7f;
    const uint64_t found = ((word - kEach * 0x20) & ~word) | ((delete_is_zero - kEach) & ~delete_is_zero);
    return (found & kEach * 0x80) == 0;
  };
  constexpr size_t kWord = sizeof(uint64_t);
  if (text.size() < kWord) return std::all_of(text.begin(), text.end(), is_good);
  const char* const last = text.data() + text.size() - kWord;
  bool plain = is_plain(last);
  for (const char* at = text.data(); plain && at < last; at += kWord) plain = is_plain(at);
  return plain || std::all_of(text.begin(), text.end(), is_good);
}

tenon_status Response::set_status(int32_t status) {
  if (status < 200 || status > 599) {
    flaw_ = "status " + std::to_string(status) + " is outside 200 to 599";
    return TENON_ERROR_ARGUMENT;
  }
  status_ = status;
  return TENON_OK;
}

tenon_status Response::set_header(std::string_view name, std::string_view value, bool replace) {
  if (!is_token(name)) return flaw_ = "a header name is not a token: \"" + printable(name) + "\"", TENON_ERROR_ARGUMENT;
  if (!is_field_value(value)) {
    return flaw_ = "header \"" + printable(name) + "\" has a control byte in its value", TENON_ERROR_ARGUMENT;
  }
  if (is_host_header(name)) return flaw_ = "header \"" + printable(name) + "\" is the host's", TENON_ERROR_ARGUMENT;
  if (replace && header_count_ > 0) {
    size_t begin = 0;
    while (begin < headers_.size()) {
      const size_t name_end = headers_.find('\n', begin);
      const size_t value_end = headers_.find('\n', name_end + 1);
      if (same_name(std::string_view(headers_).substr(begin, name_end - begin), name)) {
        headers_.erase(begin, value_end + 1 - begin);
        header_count_--;
      } else {
        begin = value_end + 1;
      }
    }
  }
  if (header_count_ >= kHeaders || headers_.size() + name.size() + value.size() + 2 > kHeaderBytes) {
    return flaw_ = "there are more than 100 headers or 32 KiB of them", TENON_ERROR_TOO_LARGE;
  }
  headers_.append(name);
  headers_.push_back('\n');
  headers_.append(value);
  headers_.push_back('\n');
  header_count_++;
  return TENON_OK;
}

bool Response::has_type(std::string_view type) const {
  const std::string_view block(headers_);
  for (size_t begin = 0; begin < block.size();) {
    const size_t name_end = block.find('\n', begin);
    const size_t value_end = block.find('\n', name_end + 1);
    if (same_name(block.substr(begin, name_end - begin), "content-type")) {
      const std::string_view value = block.substr(name_end + 1, value_end - name_end - 1);
      const size_t end = value.find_first_of("; \t");
      return same_name(value.substr(0, end), type);
    }
    begin = value_end + 1;
  }
  return false;
}

tenon_status Response::set_body(std::string_view body) {
  if (body.data() == nullptr && !body.empty()) return flaw_ = "the body is NULL", TENON_ERROR_ARGUMENT;
  if (body.size() > kBodyBytes) return flaw_ = "the body is over 64 MiB", TENON_ERROR_TOO_LARGE;
  free_given();
  body_.assign(body);
  return TENON_OK;
}

tenon_status Response::give_body(const void* data, size_t size, tenon_free_fn free_body, void* context) {
  tenon_status refused = TENON_OK;
  if (data == nullptr && size != 0) {
    flaw_ = "the body is NULL with " + std::to_string(size) + " bytes";
    refused = TENON_ERROR_ARGUMENT;
  } else if (size > kBodyBytes) {
    flaw_ = "the body is over 64 MiB";
    refused = TENON_ERROR_TOO_LARGE;
  }
  if (refused != TENON_OK) {
    if (free_body != nullptr) free_body(const_cast<void*>(data), size, context);
    return refused;
  }
  free_given();
  body_.set_size(0);
  if (data == nullptr) {
    if (free_body != nullptr) free_body(nullptr, 0, context);
    return TENON_OK;
  }
  gifts_++;
  given_data_ = static_cast<const char*>(data);
  given_size_ = size;
  free_ = free_body;
  free_context_ = context;
  return TENON_OK;
}

std::string_view Response::flaw() const {
  if (!flaw_.empty()) return flaw_;
  if (!may_have_body() && !body().empty()) return "a status that has no body has one";
  return {};
}

ByteBuffer Response::take_body() { return std::exchange(body_, ByteBuffer()); }

void Response::copy_gift() {
  if (given_data_ == nullptr) return;
  body_.assign({given_data_, given_size_});
  free_given();
}

void Response::free_given() {
  if (given_data_ == nullptr) return;
  if (free_ != nullptr) {
    // Mostly on the thread of the event loop, outside of any call.
    const FloatingPointGuard floating_point;
    free_(const_cast<char*>(given_data_), given_size_, free_context_);
  }
  given_data_ = nullptr;
  given_size_ = 0;
  free_ = nullptr;
}

void Response::clear() {
  free_given();
  status_ = 200;
  headers_.clear();
  header_count_ = 0;
  gifts_ = 0;
  body_.clear(kKeptBytes);
  if (!message_.empty()) message_.clear();
  if (!flaw_.empty()) flaw_.clear();
}

}  // namespace tenon::core
