#include "table_walk.h"

#include <algorithm>

#include "byte_buffer.h"
#include "key.h"
#include "record.h"

namespace tenon::core {

namespace {

void raise(std::string& begin, std::string&& key) {
  if (key > begin) begin = std::move(key);
}

void lower(std::string& end, std::string&& key) {
  if (end.empty() || key < end) end = std::move(key);
}

std::string behind_key(std::string key) {
  key.push_back('\0');
  return key;
}

bool encode(const Definition& definition, uint32_t field, const tenon_value_t& value, std::string& key) {
  TableProblem problem;
  if (field == definition.primary) return append_key(definition, value, key, problem);
  return append_index_value(definition.fields[field], value, key);
}

// An empty span, which no key is in.
Span nothing() { return {std::string(1, '\0'), std::string(1, '\0')}; }

}  // namespace

std::optional<Span> span_of(const Definition& definition, uint32_t field, const Range& range, bool strict) {
  const bool primary = field == definition.primary;
  // Behind everything that has this value; an index has the primary key behind it.
  const auto behind = [primary](const std::string& key) { return primary ? behind_key(key) : behind_prefix(key); };
  Span span;
  std::string key;
  if (range.lower.kind != TENON_VALUE_ABSENT) {
    if (encode(definition, field, range.lower, key)) {
      raise(span.begin, range.lower_excluded ? behind(key) : std::move(key));
    } else if (strict) {
      return std::nullopt;
    }
  }
  key.clear();
  if (range.upper.kind != TENON_VALUE_ABSENT) {
    if (encode(definition, field, range.upper, key)) {
      lower(span.end, range.upper_excluded ? std::move(key) : behind(key));
    } else if (strict) {
      return std::nullopt;
    }
  }
  if (!range.prefix.empty()) {
    std::string prefix;
    if (primary) {
      prefix = range.prefix;
    } else {
      tenon_value_t text = {};
      text.kind = TENON_VALUE_TEXT;
      text.text = bytes(range.prefix);
      if (!append_index_value(definition.fields[field], text, prefix)) {
        if (strict) return std::nullopt;
        return span;
      }
      prefix.resize(prefix.size() - 2);  // what ends a text in an index
    }
    std::string end = behind_prefix(prefix);
    raise(span.begin, std::move(prefix));
    if (!end.empty()) lower(span.end, std::move(end));
  }
  if (!span.end.empty() && span.end <= span.begin) return nothing();
  return span;
}

View::View(const Store::Body& body)
    : body_(body),
      snapshot_(body.library->create_snapshot(body.database)),
      options_(body.library->readoptions_create(), body.library->readoptions_destroy) {
  body.library->readoptions_set_snapshot(options_.get(), snapshot_);
}

View::~View() { body_.library->release_snapshot(body_.database, snapshot_); }

TableWalk::TableWalk(const View& view, const Layout& layout, const Index* index, const Span& span, bool backwards)
    : view_(view),
      layout_(layout),
      index_(index),
      span_(span),
      backwards_(backwards),
      options_(view.body().library->readoptions_create(), view.body().library->readoptions_destroy),
      pinned_(*view.body().library) {
  const Rocksdb& rocks = *view.body().library;
  rocks.readoptions_set_snapshot(options_.get(), view.snapshot());
  if (!span_.begin.empty()) {
    rocks.readoptions_set_iterate_lower_bound(options_.get(), span_.begin.data(), span_.begin.size());
  }
  if (!span_.end.empty()) {
    rocks.readoptions_set_iterate_upper_bound(options_.get(), span_.end.data(), span_.end.size());
  }
  walk_.emplace(rocks, view.body().database, options_.get(), index == nullptr ? *layout.records : *index->family);
}

void TableWalk::start_behind(std::string_view key) { behind_ = key; }

bool Store::Body::may_go_on(StoreFailure& failure) const {
  if (!long_stopped.load(std::memory_order_relaxed)) return true;
  failure = store_failure(TENON_ERROR_STATE, "the tables are being closed");
  return false;
}

bool TableWalk::next(StoreFailure& failure) {
  if (!view_.body().may_go_on(failure)) return false;
  if (ended_) {
    // An iterator that stands nowhere must not be moved; it still knows its error.
  } else if (begun_) {
    backwards_ ? walk_->previous() : walk_->next();
  } else if (!behind_) {
    backwards_ ? walk_->to_last() : walk_->to_first();
  } else {
    backwards_ ? walk_->seek_back(*behind_) : walk_->seek(*behind_);
    if (walk_->valid() && walk_->key() == *behind_) backwards_ ? walk_->previous() : walk_->next();
  }
  begun_ = true;
  if (walk_->valid()) return true;
  ended_ = true;
  RocksdbError error(*view_.body().library);
  walk_->error(error);
  if (error) failure = view_.body().failed("to read", error.text());
  return false;
}

std::string_view TableWalk::key() const {
  if (index_ == nullptr) return walk_->key();
  const Field& field = layout_.definition->fields[index_->field];
  return walk_->key().substr(index_value_size(field, walk_->key()));
}

bool TableWalk::record(std::string_view& record, StoreFailure& failure) {
  if (index_ == nullptr) {
    record = walk_->value();
  } else {
    if (!view_.body().read(*layout_.records, key(), view_.options(), pinned_, failure)) return false;
    if (!pinned_) return false;
    record = pinned_.view();
  }
  if (!is_record(record)) {
    view_.body().damaged.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  if (index_ == nullptr) return true;
  // A damaged record that was written over leaves the entries behind that it had.
  const Field& field = layout_.definition->fields[index_->field];
  return make_index_entry(field, index_->field, record, key(), entry_) && entry_ == walk_->key();
}

}  // namespace tenon::core
