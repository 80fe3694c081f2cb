#ifndef TENON_CORE_TABLE_WALK_H
#define TENON_CORE_TABLE_WALK_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "filter.h"
#include "store_body.h"

namespace tenon::core {

// Keys of a family from `begin` on, and before `end`; an empty `end` is none.
struct Span {
  std::string begin;
  std::string end;
};

// The keys that a range of values has: primary keys, or entries of the index of `field`. Nothing when a bound does not
// fit the field; without `strict` it is left out instead, so that the span is wider than the range.
std::optional<Span> span_of(const Definition& definition, uint32_t field, const Range& range, bool strict);

// The database as it is at this moment, whatever is written meanwhile.
class View {
 public:
  explicit View(const Store::Body& body);
  ~View();
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  const Store::Body& body() const { return body_; }
  const rocksdb_snapshot_t* snapshot() const { return snapshot_; }
  const rocksdb_readoptions_t* options() const { return options_.get(); }

 private:
  const Store::Body& body_;
  const rocksdb_snapshot_t* snapshot_;
  RocksdbOwned<rocksdb_readoptions_t> options_;
};

// Goes through the records of a span, in the order of the primary key or of an index.
class TableWalk {
 public:
  // `index` is null for the primary key. Stands before the first record (the last one, when it goes `backwards`).
  TableWalk(const View& view, const Layout& layout, const Index* index, const Span& span, bool backwards);
  // Go on behind this key of the family (before it, backwards), which need not be there.
  // Before the first `next`.
  void start_behind(std::string_view key);
  // To the next one. False at the end, or when it failed, and so from then on.
  bool next(StoreFailure& failure);
  // The primary key, and the key as it is in the family.
  std::string_view key() const;
  std::string_view family_key() const { return walk_->key(); }
  // The record. False when it failed, or without a failure when there is none any more, when it is damaged, or when an
  // index has it in another place than its value belongs to; views last until `next`.
  bool record(std::string_view& record, StoreFailure& failure);

 private:
  const View& view_;
  const Layout& layout_;
  const Index* index_;
  Span span_;
  bool backwards_;
  bool begun_ = false;
  bool ended_ = false;
  std::optional<std::string> behind_;
  RocksdbOwned<rocksdb_readoptions_t> options_;
  std::optional<Walk> walk_;
  Pinned pinned_;
  std::string entry_;  // that the record should have in the index
};

}  // namespace tenon::core

#endif
