#include "table_query.h"

#include <algorithm>
#include <utility>

#include "access.h"
#include "byte_buffer.h"
#include "key.h"
#include "record.h"

namespace tenon::core {

namespace {

using Rank = Access::Rank;

// Entries of an index that are looked at before the order of another one is taken instead.
constexpr uint64_t kProbe = 2'000;
// A page ends early when its text and cursors have become so long.
constexpr size_t kPageBytes = 64u << 20;
// Of what records are sorted by.
constexpr size_t kSortedBytes = 64u << 20;

// An index answers for a view that is younger than its completion and older than its retirement: whoever plans looks
// whether it is complete, takes the view, and then asks this.
bool is_retired(const Index* index) { return index != nullptr && index->retired.load(); }

class PageMaker {
 public:
  PageMaker(const Store::Body& body, const Layout& layout, const Query& query, const PageOrder& order,
            StoreFailure& failure)
      : body_(body), layout_(layout), query_(query), order_(order), failure_(failure), now_ms_(wall_clock_ms()) {}

  std::optional<Page> make() {
    if (!query_.after.empty()) {
      after_.emplace();
      if (!order_.read_cursor(query_.after, *after_)) {
        failure_ = store_failure(TENON_ERROR_ARGUMENT, "the cursor is none of this list, or of another order", "after");
        return std::nullopt;
      }
    }
    if (!(plan() && finish())) return std::nullopt;
    return std::move(page_);
  }

 private:
  bool plan() {
    const Definition& definition = *layout_.definition;
    std::optional<Access> ordered;
    Access narrowest;
    do {
      ordered = ordered_access(layout_, query_.filter, order_);
      narrowest = narrowest_access(layout_, query_.filter);
      view_.emplace(body_);
    } while ((ordered && is_retired(ordered->index)) || is_retired(narrowest.index));
    if (ordered && ordered->rank == Rank::Equal) return stream(*ordered);
    if (!ordered || narrowest.rank > ordered->rank) {
      bool whole = false;
      if (!collect(narrowest, ordered ? kProbe : UINT64_MAX, whole)) return false;
      if (whole) {
        page_.plan = narrowest.name(definition) + " and sort";
        return show_collected();
      }
      collected_.clear();
    }
    return stream(*ordered);
  }

  bool is_wanted(std::string_view record) const {
    return !is_expired(record, now_ms_) && matches(query_.filter, record);
  }

  // Whether a record lies on the wanted side of the cursor.
  bool is_behind_cursor(const Place& place) const {
    if (!after_) return true;
    return query_.backwards ? order_.before(place, *after_) : order_.before(*after_, place);
  }

  // In the order of the way: nothing has to be kept.
  bool stream(const Access& access) {
    page_.plan = access.name(*layout_.definition);
    const bool by_field = !order_.fields().empty();
    const bool descends = by_field ? order_.fields().front().descending : order_.key_descends();
    TableWalk walk(*view_, layout_, access.index, access.span, descends != query_.backwards);
    if (after_) walk.start_behind(family_key(access, *after_, by_field));
    uint64_t skipped = 0;
    Place place;
    while (walk.next(failure_)) {
      page_.examined++;
      std::string_view record;
      if (!walk.record(record, failure_)) {
        if (failure_.status != TENON_OK) return false;
        continue;
      }
      if (!is_wanted(record)) continue;
      if (skipped < query_.offset) {
        skipped++;
        continue;
      }
      if (is_full()) {
        page_.more = true;
        return true;
      }
      order_.place_of(record, walk.key(), place);
      show(record, place);
    }
    return failure_.status == TENON_OK;
  }

  // Where the cursor's record is in the family that is gone through.
  std::string family_key(const Access& access, const Place& place, bool by_field) const {
    if (access.index == nullptr) return place.key;
    if (by_field) return order_.index_value(place) + place.key;
    // All entries of the span have the one value that it begins with.
    return access.span.begin + place.key;
  }

  // The places of all records that are wanted; not `whole` when there are more than `entries` to look at.
  bool collect(const Access& access, uint64_t entries, bool& whole) {
    TableWalk walk(*view_, layout_, access.index, access.span, false);
    uint64_t seen = 0;
    uint64_t matching = 0;
    size_t bytes = 0;
    Place place;
    while (walk.next(failure_)) {
      if (++seen > entries) return true;
      page_.examined++;
      std::string_view record;
      if (!walk.record(record, failure_)) {
        if (failure_.status != TENON_OK) return false;
        continue;
      }
      if (!is_wanted(record)) continue;
      if (++matching > Query::kSorted) return refuse_sort("more than " + std::to_string(Query::kSorted) + " records");
      order_.place_of(record, walk.key(), place);
      if (!is_behind_cursor(place)) continue;
      collected_.push_back(place);
      bytes += sizeof place + place.values.size() + place.key.size();
      if (bytes > kSortedBytes) return refuse_sort("records with more than 64 MiB of keys");
    }
    whole = true;
    return failure_.status == TENON_OK;
  }

  bool refuse_sort(const std::string& what) {
    const std::string& field = layout_.definition->fields[order_.fields().front().field].name;
    failure_ =
        store_failure(TENON_ERROR_TOO_LARGE, what + " are to be sorted: sorting needs an index on " + field, field);
    return false;
  }

  bool show_collected() {
    const bool backwards = query_.backwards;
    const auto before = [this, backwards](const Place& one, const Place& other) {
      return backwards ? order_.before(other, one) : order_.before(one, other);
    };
    const uint64_t offset = std::min<uint64_t>(query_.offset, collected_.size());
    const uint64_t count = std::min<uint64_t>(query_.limit, collected_.size() - offset);
    const auto middle = collected_.begin() + static_cast<std::ptrdiff_t>(offset + count);
    std::partial_sort(collected_.begin(), middle, collected_.end(), before);
    page_.more = offset + count < collected_.size();
    Pinned record(*view_->body().library);
    for (uint64_t at = offset; at < offset + count; at++) {
      if (is_full()) {
        page_.more = true;
        return true;
      }
      if (!body_.may_go_on(failure_)) return false;
      if (!view_->body().read(*layout_.records, collected_[at].key, view_->options(), record, failure_)) return false;
      if (record) show(record.view(), collected_[at]);
    }
    return true;
  }

  bool is_full() const { return page_.count >= query_.limit || text_.size() + cursor_bytes_ >= kPageBytes; }

  void show(std::string_view record, const Place& place) {
    begins_.push_back(text_.size());
    if (query_.fields.empty()) {
      text_.append(json_of(record));
    } else {
      project(*layout_.definition, record, query_.fields, text_);
    }
    if (page_.count == 0) first_ = place;
    last_ = place;
    if (query_.cursors) {
      page_.cursors.push_back(order_.write_cursor(place));
      cursor_bytes_ += page_.cursors.back().size();
    }
    page_.count++;
  }

  // The shown records as one text, in the order of the query whichever way they were gone through.
  bool finish() {
    page_.json.reserve(text_.size() + begins_.size() + 2);
    if (!query_.lines) page_.json.push_back('[');
    begins_.push_back(text_.size());
    for (size_t count = 0; count + 1 < begins_.size(); count++) {
      const size_t at = query_.backwards ? begins_.size() - 2 - count : count;
      if (!query_.lines && count > 0) page_.json.push_back(',');
      page_.json.append(text_, begins_[at], begins_[at + 1] - begins_[at]);
      if (query_.lines) page_.json.push_back('\n');
    }
    if (!query_.lines) page_.json.push_back(']');
    if (page_.count == 0) return true;
    if (query_.backwards) std::reverse(page_.cursors.begin(), page_.cursors.end());
    page_.first = order_.write_cursor(query_.backwards ? last_ : first_);
    page_.last = order_.write_cursor(query_.backwards ? first_ : last_);
    return true;
  }

  std::optional<View> view_;
  const Store::Body& body_;
  const Layout& layout_;
  const Query& query_;
  const PageOrder& order_;
  StoreFailure& failure_;
  const int64_t now_ms_;
  std::optional<Place> after_;
  std::vector<Place> collected_;
  std::string text_;
  std::vector<size_t> begins_;
  size_t cursor_bytes_ = 0;
  Place first_;
  Place last_;
  Page page_;
};

// Whether there is something to read; once its layout is held.
bool is_there(const Store::Body& body, const Table& table, StoreFailure& failure) {
  failure = {};
  if (!body.readable(failure)) return false;
  if (!table.dropped.load()) return true;
  failure = store_failure(TENON_ERROR_STATE, "the table " + table.path + " was dropped");
  return false;
}

// Bounds of a scan that an index cannot keep wholly: it has the beginnings of long texts only.
class LongBounds {
 public:
  // Takes the long ones over from `range`, which is left wide enough for them.
  LongBounds(uint32_t field, Range& range) : field_(field) {
    if (is_long(range.lower)) {
      lower_ = plain(range.lower);
      lower_excluded_ = std::exchange(range.lower_excluded, false);
    }
    if (is_long(range.upper)) {
      upper_ = plain(range.upper);
      upper_excluded_ = std::exchange(range.upper_excluded, false);
    }
    if (range.prefix.size() > kIndexedText) prefix_ = range.prefix;
  }

  bool hold(std::string_view record) const {
    if (!lower_ && !upper_ && prefix_.empty()) return true;
    const tenon_value_t value = value_of(record, field_);
    // What has no text is outside of a lower bound and a prefix already by the index.
    if (value.kind != TENON_VALUE_TEXT) return true;
    const std::string text = plain(value);
    if (lower_ && (lower_excluded_ ? text <= *lower_ : text < *lower_)) return false;
    if (upper_ && (upper_excluded_ ? text >= *upper_ : text > *upper_)) return false;
    return text.compare(0, prefix_.size(), prefix_) == 0;
  }

 private:
  static bool is_long(const tenon_value_t& bound) {
    return bound.kind == TENON_VALUE_TEXT && bound.text.size >= kIndexedText;
  }
  static std::string plain(const tenon_value_t& value) {
    return value.escaped != 0 ? unescaped(view(value.text)) : std::string(view(value.text));
  }

  uint32_t field_;
  std::optional<std::string> lower_;
  std::optional<std::string> upper_;
  std::string prefix_;
  bool lower_excluded_ = false;
  bool upper_excluded_ = false;
};

class TableCursor final : public Store::Cursor {
 public:
  TableCursor(Store::Body& body, std::unique_ptr<LayoutHold> layout, Filter filter, std::optional<LongBounds> bounds)
      : gate_(body.gate),
        layout_(std::move(layout)),
        view_(body),
        filter_(std::move(filter)),
        bounds_(std::move(bounds)),
        now_ms_(wall_clock_ms()) {}

  void begin(const Index* index, const Span& span, bool backwards) {
    walk_.emplace(view_, **layout_, index, span, backwards);
  }

  bool next(std::string_view& key, std::string_view& record, StoreFailure& failure) override {
    failure = {};
    while (walk_->next(failure)) {
      if (!walk_->record(record, failure)) {
        if (failure.status != TENON_OK) return false;
        continue;
      }
      if (is_expired(record, now_ms_) || !matches(filter_, record)) continue;
      if (bounds_ && !bounds_->hold(record)) continue;
      key = walk_->key();
      return true;
    }
    return false;
  }

 private:
  const Passage gate_;
  const std::unique_ptr<LayoutHold> layout_;
  const View view_;
  const Filter filter_;
  const std::optional<LongBounds> bounds_;
  const int64_t now_ms_;
  std::optional<TableWalk> walk_;
};

std::unique_ptr<Store::Cursor> no_index(const std::string& name, StoreFailure& failure) {
  failure = store_failure(TENON_ERROR_INVALID, name + " has no index", name);
  return nullptr;
}

}  // namespace

std::optional<Page> query_table(Store::Body& body, const Table& table, const Query& query, StoreFailure& failure) {
  const LayoutHold layout(table);
  if (!is_there(body, table, failure)) return std::nullopt;
  const std::optional<PageOrder> order = PageOrder::of(*layout->definition, query.order, failure);
  if (!order) return std::nullopt;
  return PageMaker(body, *layout, query, *order, failure).make();
}

std::optional<uint64_t> count_table(Store::Body& body, const Table& table, const Filter& filter,
                                    StoreFailure& failure) {
  const LayoutHold layout(table);
  if (!is_there(body, table, failure)) return std::nullopt;
  Access access;
  std::optional<View> view;
  do {
    access = narrowest_access(*layout, filter);
    view.emplace(body);
  } while (is_retired(access.index));
  TableWalk walk(*view, *layout, access.index, access.span, false);
  const int64_t now_ms = wall_clock_ms();
  uint64_t count = 0;
  while (walk.next(failure)) {
    std::string_view record;
    if (!walk.record(record, failure)) {
      if (failure.status != TENON_OK) return std::nullopt;
      continue;
    }
    if (!is_expired(record, now_ms) && matches(filter, record)) count++;
  }
  if (failure.status != TENON_OK) return std::nullopt;
  return count;
}

std::unique_ptr<Store::Cursor> scan_table(Store::Body& body, const Table& table, const tenon_scan_t& scan,
                                          StoreFailure& failure) {
  const Passage passage(body.gate);
  auto held = std::make_unique<LayoutHold>(table);
  const LayoutHold& layout = *held;
  if (!is_there(body, table, failure)) return nullptr;
  const Definition& definition = *layout->definition;
  const Index* index = nullptr;
  uint32_t field = definition.primary;
  if (scan.field >= 0 && static_cast<uint32_t>(scan.field) != definition.primary) {
    field = static_cast<uint32_t>(scan.field);
    const std::string name = field < definition.fields.size() ? definition.fields[field].name : std::to_string(field);
    index = layout->index_of(field);
    if (index == nullptr || is_retired(index)) return no_index(name, failure);
    if (!index->complete.load()) {
      failure = store_failure(TENON_ERROR_AGAIN, "the index of " + name + " is not complete yet", name);
      return nullptr;
    }
  }
  Range range;
  range.lower = scan.lower;
  range.upper = scan.upper;
  range.lower_excluded = scan.lower_excluded;
  range.upper_excluded = scan.upper_excluded;
  if (scan.prefix.data != nullptr) range.prefix = {scan.prefix.data, scan.prefix.size};
  std::optional<LongBounds> bounds;
  if (index != nullptr) bounds.emplace(field, range);
  const std::optional<Span> span = span_of(definition, field, range, true);
  if (!span) {
    const std::string& name = definition.fields[field].name;
    failure = store_failure(TENON_ERROR_INVALID, "a bound does not fit the field " + name, name);
    return nullptr;
  }
  Filter filter;
  if (scan.filter.data != nullptr && scan.filter.size != 0) {
    std::optional<Filter> read = read_filter(definition, {scan.filter.data, scan.filter.size}, failure.problem);
    if (!read) {
      failure.status = TENON_ERROR_INVALID;
      return nullptr;
    }
    filter = std::move(*read);
  }
  auto cursor = std::make_unique<TableCursor>(body, std::move(held), std::move(filter), std::move(bounds));
  if (is_retired(index)) return no_index(definition.fields[field].name, failure);
  cursor->begin(index, *span, scan.reverse);
  return cursor;
}

}  // namespace tenon::core
