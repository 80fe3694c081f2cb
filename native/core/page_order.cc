#include "page_order.h"

#include <algorithm>

#include "base64.h"
#include "key.h"
#include "record.h"
#include "store_body.h"

namespace tenon::core {

namespace {

constexpr size_t kFields = 8;
constexpr size_t kCursorBytes = 16 * 1024;
constexpr size_t kHead = 6;  // mark of the order, size of the values

void invert(std::string& bytes, size_t from) {
  for (size_t at = from; at < bytes.size(); at++) bytes[at] = static_cast<char>(~bytes[at]);
}

}  // namespace

std::optional<PageOrder> PageOrder::of(const Definition& definition, const std::vector<Query::Order>& wanted,
                                       StoreFailure& failure) {
  PageOrder order(definition);
  for (const Query::Order& one : wanted) {
    if (one.field >= definition.fields.size()) {
      failure = store_failure(TENON_ERROR_INVALID, "there is no field with the number " + std::to_string(one.field));
      return std::nullopt;
    }
    order.key_descends_ = one.descending;
    // A primary key is there once: what comes behind it orders nothing.
    if (one.field == definition.primary) return order;
    const Field& field = definition.fields[one.field];
    if (!can_be_indexed(field.type)) {
      failure = store_failure(TENON_ERROR_INVALID, field.name + " has no order to sort by", field.name);
      return std::nullopt;
    }
    const auto same = [&one](const Query::Order& other) { return other.field == one.field; };
    if (std::any_of(order.fields_.begin(), order.fields_.end(), same)) continue;
    order.fields_.push_back(one);
    if (order.fields_.size() > kFields) {
      failure = store_failure(TENON_ERROR_INVALID, "more than 8 fields to sort by");
      return std::nullopt;
    }
  }
  return order;
}

void PageOrder::place_of(std::string_view record, std::string_view key, Place& place) const {
  place.values.clear();
  place.key.assign(key);
  for (const Query::Order& one : fields_) {
    const size_t begin = place.values.size();
    // What an index could not hold stands where null does.
    if (!append_index_value(definition_->fields[one.field], value_of(record, one.field), place.values)) {
      place.values.resize(begin);
      place.values.push_back('\0');
    }
    if (one.descending) invert(place.values, begin);
  }
}

bool PageOrder::before(const Place& one, const Place& other) const {
  const int order = one.values.compare(other.values);
  if (order != 0) return order < 0;
  return key_descends_ ? other.key < one.key : one.key < other.key;
}

// Tells a cursor of this order from one of another.
uint32_t PageOrder::mark() const {
  uint32_t mark = key_descends_ ? 2166136261u : 2166136260u;
  for (const Query::Order& one : fields_) mark = (mark ^ (one.field * 2 + (one.descending ? 1 : 0))) * 16777619u;
  return mark;
}

std::string PageOrder::write_cursor(const Place& place) const {
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(mark() >> shift & 0xff));
  for (unsigned shift = 0; shift < 16; shift += 8) {
    bytes.push_back(static_cast<char>(place.values.size() >> shift & 0xff));
  }
  std::string text;
  append_base64(bytes.append(place.values).append(place.key), Base64::Url, text);
  return text;
}

bool PageOrder::read_cursor(std::string_view text, Place& place) const {
  std::string bytes;
  if (text.size() > kCursorBytes || !read_base64(text, Base64::Url, bytes) || bytes.size() < kHead) return false;
  if (tenon_load32(bytes.data()) != mark()) return false;
  const size_t size = tenon_load16(bytes.data() + 4);
  if (size > bytes.size() - kHead) return false;
  place.values = bytes.substr(kHead, size);
  place.key = bytes.substr(kHead + size);
  size_t at = 0;
  for (const Query::Order& one : fields_) {
    std::string rest = place.values.substr(at);
    if (one.descending) invert(rest, 0);
    const size_t length = index_value_size(definition_->fields[one.field], rest);
    if (length == 0) return false;
    at += length;
  }
  if (at != place.values.size() || place.key.empty() || place.key.size() > TENON_TABLE_KEY_LIMIT) return false;
  const bool integer = definition_->fields[definition_->primary].type.kind == FieldType::Kind::Int;
  return !integer || place.key.size() == 8;
}

std::string PageOrder::index_value(const Place& place) const {
  std::string value = place.values;
  if (!fields_.empty() && fields_.front().descending) invert(value, 0);
  return value;
}

}  // namespace tenon::core
