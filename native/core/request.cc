#include "request.h"

#include <algorithm>

namespace tenon::core {

namespace {

bool same_ignoring_case(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  for (size_t index = 0; index < left.size(); index++) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
    if (lower(left[index]) != lower(right[index])) return false;
  }
  return true;
}

// Takes the next line of a header block off its front.
std::string_view take_line(std::string_view& block) {
  const size_t end = std::min(block.find('\n'), block.size());
  const std::string_view line = block.substr(0, end);
  block.remove_prefix(std::min(end + 1, block.size()));
  return line;
}

}  // namespace

void Request::load_headers() const {
  if (source_ == nullptr || pthread_equal(lender_, pthread_self()) == 0) return;
  const HeaderSource source = source_;
  source_ = nullptr;
  source(source_context_, headers_);
  headers_.mark();
  lent_headers_ = in_pages(headers_.text());
}

// Where there are no pages to be had, a mark must do.
std::string_view Request::in_pages(std::string_view text) const {
  if (!strict_ || text.empty()) return text;
  LentPages pages(text);
  if (pages.text().empty()) return text;
  pages_.push_front(std::move(pages));
  return pages_.front().text();
}

bool Request::is_in_pages(std::string_view text) const {
  return std::any_of(pages_.begin(), pages_.end(),
                     [text](const LentPages& pages) { return pages.text().data() == text.data(); });
}

void Request::lend() {
  url_.mark();
  lent_url_ = in_pages(url_.text());
  body_ = in_pages(body_);
  if (source_ != nullptr) return;
  headers_.mark();
  lent_headers_ = in_pages(headers_.text());
}

void Request::own() {
  load_headers();
  if (body_.empty() || body_.data() == own_body_.get() || is_in_pages(body_)) return;
  own_body_ = std::unique_ptr<char[]>(new char[body_.size() + kMarkBytes]);
  std::memcpy(own_body_.get(), body_.data(), body_.size());
  mark_end(own_body_.get() + body_.size());
  body_ = {own_body_.get(), body_.size()};
}

const char* Request::take_overrun() {
  const auto is_text_whole = [](const std::string& text) { return is_end_marked(&text[text.size() - kMarkBytes]); };
  const char* part = nullptr;
  if (!url_.is_whole()) part = "path and query";
  if (!headers_.is_whole()) part = "headers";
  if (own_body_ && !is_end_marked(own_body_.get() + body_.size())) part = "body";
  for (const std::string& text : decoded_) {
    if (!is_text_whole(text)) part = "decoded parameters";
  }
  if (!id_.empty() && !is_text_whole(id_)) part = "id";
  if (part == nullptr) return nullptr;
  url_.mark();
  headers_.mark();
  if (own_body_) mark_end(own_body_.get() + body_.size());
  for (std::string& text : decoded_) mark_end(&text[text.size() - kMarkBytes]);
  if (!id_.empty()) mark_end(&id_[id_.size() - kMarkBytes]);
  return part;
}

void Request::clear() {
  forget_headers();
  url_.clear(kKeptBytes);
  headers_.clear(kKeptBytes);
  body_ = {};
  if (own_body_) own_body_.reset();
  if (!decoded_.empty()) decoded_.clear();
  if (!id_.empty()) id_.clear();
  lent_url_ = lent_headers_ = {};
  if (!pages_.empty()) pages_.clear();
}

std::string_view Request::id(std::string_view host) {
  if (id_.empty()) {
    id_ = std::string(host) + "-" + std::to_string(number);
    const size_t size = id_.size();
    id_.resize(size + kMarkBytes);
    mark_end(&id_[size]);
    lent_id_ = in_pages(std::string_view(id_).substr(0, size));
  }
  return lent_id_;
}

std::string_view Request::path() const {
  const std::string_view url = lent_url_;
  return url.substr(0, url.find('?'));
}

std::string_view Request::query() const {
  const std::string_view url = lent_url_;
  const size_t mark = url.find('?');
  return mark == std::string_view::npos ? std::string_view() : url.substr(mark + 1);
}

std::string_view Request::keep(std::string text) {
  const size_t size = text.size();
  text.resize(size + kMarkBytes);
  mark_end(&text[size]);
  decoded_.push_front(std::move(text));
  return in_pages(std::string_view(decoded_.front()).substr(0, size));
}

bool Request::query_value(std::string_view name, std::string_view& value) {
  std::string_view rest = query();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view key = pair.substr(0, equals);
    if (key != name && percent_decoded(key, true) != name) continue;
    const std::string_view raw = pair.substr(std::min(equals + 1, pair.size()));
    value = raw.find_first_of("%+") == std::string_view::npos ? raw : keep(percent_decoded(raw, true));
    return true;
  }
  return false;
}

bool Request::param(const Route& route, size_t prefix_segments, std::string_view name, std::string_view& value) {
  std::string_view rest = path();
  // Counted in segments, not in bytes: a client may escape what it likes.
  for (size_t index = 0; index < prefix_segments; index++) rest.remove_prefix(std::min(rest.find('/', 1), rest.size()));
  for (const Segment& segment : route.segments) {
    if (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
    const size_t end = segment.kind == Segment::Kind::Rest ? rest.size() : std::min(rest.find('/'), rest.size());
    const std::string_view raw = rest.substr(0, end);
    rest.remove_prefix(end);
    if (segment.kind == Segment::Kind::Literal || segment.text != name) continue;
    value = raw.find('%') == std::string_view::npos ? raw : keep(percent_decoded(raw, false));
    return true;
  }
  return false;
}

bool Request::header(std::string_view name, std::string_view& value) const {
  std::string_view block = headers();
  while (!block.empty()) {
    const std::string_view key = take_line(block);
    const std::string_view text = take_line(block);
    if (!same_ignoring_case(key, name)) continue;
    value = text;
    return true;
  }
  return false;
}

uint32_t Request::header_count() const {
  const std::string_view block = headers();
  if (block.empty()) return 0;
  return static_cast<uint32_t>((std::count(block.begin(), block.end(), '\n') + 1) / 2);
}

bool Request::header_at(uint32_t index, std::string_view& name, std::string_view& value) const {
  std::string_view block = headers();
  while (!block.empty()) {
    name = take_line(block);
    value = take_line(block);
    if (index-- == 0) return true;
  }
  return false;
}

}  // namespace tenon::core
