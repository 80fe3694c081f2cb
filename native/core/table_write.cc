#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <tuple>

#include "byte_buffer.h"
#include "key.h"
#include "record.h"
#include "store_body.h"

namespace tenon::core {

namespace {

using Outcome = Written::Outcome;
using Kind = Write::Kind;

// RocksDB holds a batch in memory twice.
constexpr uint64_t kBatchBytes = 256u << 20;

StoreFailure too_large(uint64_t bytes) {
  return store_failure(TENON_ERROR_TOO_LARGE, "a batch has at most 256 MiB of records, and this one " +
                                                  std::to_string(bytes) +
                                                  " bytes, with the stored ones that it patches and removes");
}

bool takes_text(Kind kind) { return kind == Kind::Put || kind == Kind::Create || kind == Kind::Replace; }

bool has_precondition(const Write& write) {
  return write.any_revision || write.no_revision || !write.if_match.empty() || !write.if_none_match.empty();
}

bool contains(const std::vector<uint64_t>& revisions, uint64_t revision) {
  return std::find(revisions.begin(), revisions.end(), revision) != revisions.end();
}

// `present` is the record that is there, or empty.
bool preconditions_hold(const Write& write, std::string_view present) {
  if (present.empty()) return !write.any_revision && write.if_match.empty();
  if (write.no_revision) return false;
  const uint64_t revision = revision_of(present);
  if (!write.if_match.empty() && !contains(write.if_match, revision)) return false;
  return !contains(write.if_none_match, revision);
}

// Why nothing was written, if that was the reason.
tenon_status refusal_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::Invalid:
      return TENON_ERROR_INVALID;
    case Outcome::Missing:
      return TENON_ERROR_NOT_FOUND;
    case Outcome::Exists:
      return TENON_ERROR_EXISTS;
    case Outcome::PreconditionFailed:
      return TENON_ERROR_VERSION;
    default:
      return TENON_OK;
  }
}

// What one batch of writes is being done with.
class Transaction {
 public:
  // `bytes`: of all texts.
  Transaction(Store::Body& body, std::vector<Write>& writes, std::vector<Written>& results, uint64_t bytes,
              StoreFailure& failure)
      : body_(body), writes_(writes), results_(results), given_bytes_(bytes), failure_(failure) {}

  bool run() {
    for (;;) {
      if (!prepare()) return undo();
      Stripes::Hold hold(body_.stripes);
      for (const Place& place : places_) hold.want(place.hash);
      hold.lock();
      // A definition that has changed meanwhile holds for what was not written yet.
      if (!layouts_hold()) continue;
      find_repeated();
      bytes_ = given_bytes_;
      for (size_t at = 0; at < writes_.size(); at++) {
        if (!apply(at)) return undo();
      }
      return write_out() || undo();
    }
  }

 private:
  // Whatever needs no look at what is stored: the texts are checked, the keys known.
  bool prepare() {
    const size_t count = writes_.size();
    if (!places_.empty()) results_.assign(count, {});
    places_.assign(count, {});
    bool good = true;
    for (size_t at = 0; at < count; at++) {
      Write& write = writes_[at];
      Written& result = results_[at];
      if (write.table->dropped.load(std::memory_order_relaxed)) {
        failure_ = store_failure(TENON_ERROR_STATE, "the table " + write.table->path + " was dropped");
        return false;
      }
      const Layout& layout = *write.table->layout.load(std::memory_order_acquire);
      places_[at].layout = &layout;
      result.key = write.key;
      if (takes_text(write.kind) && !make(layout, write, {}, result)) {
        good = false;
        continue;
      }
      places_[at].hash = Stripes::hash(*write.table, result.key);
    }
    return good;
  }

  // The record of a text, and its key if that is not known yet.
  bool make(const Layout& layout, const Write& write, std::string_view previous, Written& result) {
    const Definition& definition = *layout.definition;
    const RecordOrigin origin{now(), previous, result.key};
    bool good = false;
    if (write.kind == Kind::Patch) {
      good = patch_record(definition, write.json, origin, result.record, result.problem);
    } else {
      good = make_record(definition, write.json, origin, result.record, result.problem);
    }
    if (good && result.key.empty()) {
      good = append_key(definition, value_of(result.record, definition.primary), result.key, result.problem);
    }
    if (!good) result.outcome = Outcome::Invalid;
    return good;
  }

  bool layouts_hold() const {
    for (size_t at = 0; at < writes_.size(); at++) {
      if (writes_[at].table->dropped.load() || writes_[at].table->layout.load() != places_[at].layout) return false;
    }
    return true;
  }

  // Whether nobody asks what is there.
  bool is_unread(size_t at) const {
    const Write& write = writes_[at];
    const Layout& layout = *places_[at].layout;
    return write.blind && write.kind == Kind::Put && layout.indexes.empty() && layout.expiry == nullptr &&
           !layout.keeps_created && !has_precondition(write);
  }

  // Which write has the key of an earlier one, and so has to see what that did. By sorting: keys that are chosen to
  // collide would make a table of hashes slow.
  void find_repeated() {
    previous_.clear();
    const size_t count = writes_.size();
    if (count < 2) return;
    size_t unread = 0;
    while (unread < count && is_unread(unread)) unread++;
    if (unread == count) return;
    std::vector<uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0u);
    const auto identity = [this](uint32_t at) {
      return std::make_tuple(places_[at].hash, reinterpret_cast<uintptr_t>(writes_[at].table),
                             std::string_view(results_[at].key));
    };
    std::sort(order.begin(), order.end(), [&](uint32_t one, uint32_t other) {
      if (places_[one].hash != places_[other].hash) return places_[one].hash < places_[other].hash;
      const auto left = identity(one);
      const auto right = identity(other);
      return left == right ? one < other : left < right;
    });
    previous_.assign(count, kNone);
    for (size_t place = 1; place < count; place++) {
      if (places_[order[place - 1]].hash != places_[order[place]].hash) continue;
      if (identity(order[place - 1]) == identity(order[place])) previous_[order[place]] = order[place - 1];
    }
  }

  // What is stored under the key of a write at this point of the batch; a view that lasts until the next call. What is
  // `damaged` is as good as absent.
  bool find_stored(size_t at, std::string_view& stored, bool& damaged) {
    stored = {};
    damaged = false;
    if (!previous_.empty() && previous_[at] != kNone) {
      const Written& result = results_[previous_[at]];
      if (result.outcome != Outcome::Removed) stored = result.record;
      return true;
    }
    if (!body_.read(*places_[at].layout->records, results_[at].key, body_.read_options.get(), pinned_, failure_)) {
      return false;
    }
    damaged = pinned_ && !is_record(pinned_.view());
    if (damaged) body_.damaged.fetch_add(1, std::memory_order_relaxed);
    if (!damaged) stored = pinned_.view();
    return true;
  }

  bool apply(size_t at) {
    const Write& write = writes_[at];
    const Layout& layout = *places_[at].layout;
    Written& result = results_[at];
    if (is_unread(at)) {
      result.outcome = Outcome::Updated;
      return put(layout, result);
    }
    std::string_view stored;
    bool damaged = false;
    if (!find_stored(at, stored, damaged)) return false;
    if (damaged && write.kind == Kind::Patch) {
      failure_ = store_failure(TENON_ERROR_STORAGE, "a record of the table " + write.table->path +
                                                        " is damaged: it can be replaced or removed");
      return false;
    }
    const bool gone = is_expired(stored, now());
    const std::string_view present = gone ? std::string_view() : stored;
    if (!decide(write, layout, present, damaged, result)) return false;
    // What was stored is taken over into the results.
    if (write.kind == Kind::Remove || write.kind == Kind::Patch) bytes_ += stored.size();
    if (bytes_ > kBatchBytes) {
      failure_ = too_large(bytes_);
      return false;
    }
    if (result.outcome == Outcome::Removed) {
      result.record.assign(stored);
      body_.append_index_changes(layout, result.key, stored, {}, batch());
      batch().remove(*layout.records, result.key);
      changes_++;
      return true;
    }
    if (result.record == stored) return true;
    const bool plain = layout.indexes.empty() && layout.expiry == nullptr;
    if (!plain) body_.append_index_changes(layout, result.key, stored, result.record, batch());
    return put(layout, result);
  }

  // What becomes of a write, and of its record; false when that is nothing. Something `damaged` that is not `present`
  // can be replaced and removed all the same: nothing else would ever take it away.
  bool decide(const Write& write, const Layout& layout, std::string_view present, bool damaged, Written& result) {
    if (has_precondition(write) && !preconditions_hold(write, present)) {
      result.outcome = Outcome::PreconditionFailed;
      if (!present.empty()) result.record.assign(present);
      return false;
    }
    if (present.empty() && !damaged && !(write.kind == Kind::Put || write.kind == Kind::Create)) {
      result.outcome = Outcome::Missing;
      return false;
    }
    if (!present.empty() && write.kind == Kind::Create) {
      result.outcome = Outcome::Exists;
      result.record.assign(present);
      return false;
    }
    if (write.kind == Kind::Remove) {
      result.outcome = Outcome::Removed;
      return true;
    }
    const bool made_anew = write.kind == Kind::Patch || (layout.keeps_created && !present.empty());
    if (made_anew && !make(layout, write, present, result)) return false;
    result.outcome = present.empty() ? Outcome::Created : Outcome::Updated;
    return true;
  }

  bool put(const Layout& layout, const Written& result) {
    if (writes_.size() == 1 && (!batch_ || batch_->empty())) {
      single_ = layout.records;
    } else {
      batch().put(*layout.records, result.key, result.record);
    }
    changes_++;
    return true;
  }

  bool write_out() {
    if (changes_ == 0) return true;
    if (single_ == nullptr) return body_.commit(*batch_, failure_);
    const std::string& key = results_[0].key;
    const std::string& record = results_[0].record;
    RocksdbError error(*body_.library);
    body_.library->put_cf(body_.database, body_.write_options.get(), single_->handle, key.data(), key.size(),
                          record.data(), record.size(), error.out());
    return body_.conclude(error, failure_);
  }

  // Of all results only those that are to blame say something.
  bool undo() {
    for (Written& result : results_) {
      const tenon_status refused = refusal_of(result.outcome);
      if (refused == TENON_OK) {
        result.outcome = Outcome::Undone;
        result.record.clear();
      } else if (failure_.status == TENON_OK) {
        failure_.status = refused;
        failure_.problem = result.problem;
      }
    }
    return false;
  }

  WriteBatch& batch() {
    if (!batch_) batch_.emplace(*body_.library);
    return *batch_;
  }

  int64_t now() {
    if (now_ms_ == 0) now_ms_ = wall_clock_ms();
    return now_ms_;
  }

  static constexpr uint32_t kNone = ~UINT32_C(0);
  struct Place {
    const Layout* layout = nullptr;
    uint64_t hash = 0;  // of the key
  };

  Store::Body& body_;
  std::vector<Write>& writes_;
  std::vector<Written>& results_;
  const uint64_t given_bytes_;
  uint64_t bytes_ = 0;
  StoreFailure& failure_;
  std::optional<WriteBatch> batch_;
  Pinned pinned_{*body_.library};
  std::vector<Place> places_;       // of each write
  std::vector<uint32_t> previous_;  // with the same key, or kNone; empty: nobody has to know
  const Family* single_ = nullptr;
  size_t changes_ = 0;
  int64_t now_ms_ = 0;
};

}  // namespace

uint64_t Stripes::hash(const Table& table, std::string_view key) {
  uint64_t hash = table.hash;
  size_t at = 0;
  for (; at + 8 <= key.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, key.data() + at, sizeof word);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
  }
  uint64_t rest = key.size();
  for (; at < key.size(); at++) rest = rest << 8 | static_cast<unsigned char>(key[at]);
  hash = (hash ^ rest) * UINT64_C(0x9e3779b97f4a7c15);
  hash ^= hash >> 29;
  return hash * UINT64_C(0xbf58476d1ce4e5b9);
}

void Stripes::Hold::lock() {
  for (size_t word = 0; word < wanted_.size(); word++) {
    for (uint64_t bits = wanted_[word]; bits != 0; bits &= bits - 1) {
      stripes_.mutexes_[word * 64 + static_cast<size_t>(__builtin_ctzll(bits))].lock();
    }
  }
  held_ = true;
}

void Stripes::Hold::release() {
  if (!held_) return;
  held_ = false;
  for (size_t word = 0; word < wanted_.size(); word++) {
    for (uint64_t bits = wanted_[word]; bits != 0; bits &= bits - 1) {
      stripes_.mutexes_[word * 64 + static_cast<size_t>(__builtin_ctzll(bits))].unlock();
    }
  }
}

bool Store::Body::write(std::vector<Write>& writes, std::vector<Written>& results, StoreFailure& failure) {
  results.assign(writes.size(), {});
  if (writes.empty()) return true;
  if (writes.size() > TENON_TABLE_BATCH_LIMIT) {
    failure = store_failure(TENON_ERROR_TOO_LARGE,
                            "a batch has at most 100000 writes, and this one " + std::to_string(writes.size()));
    return false;
  }
  uint64_t bytes = 0;
  for (const Write& write : writes) bytes += write.json.size();
  if (bytes > kBatchBytes) {
    failure = too_large(bytes);
    return false;
  }
  failure = {};
  const Passage passage(gate);
  if (!writable(failure)) return false;
  Transaction transaction(*this, writes, results, bytes, failure);
  return transaction.run();
}

bool Store::Body::commit(const WriteBatch& batch, StoreFailure& failure) {
  RocksdbError error(*library);
  library->write(database, write_options.get(), batch.get(), error.out());
  return conclude(error, failure);
}

// Of a write: it is done, or the store is in trouble.
bool Store::Body::conclude(const RocksdbError& error, StoreFailure& failure) {
  if (error) {
    failure = failed("to write", error.text());
    set_trouble(failure);
    return false;
  }
  commits.fetch_add(1);
  if (waiting.load() == 0) return true;
  const std::lock_guard<std::mutex> lock(grown_mutex);
  grown.notify_all();
  return true;
}

void Store::Body::append_index_changes(const Layout& layout, std::string_view key, std::string_view before,
                                       std::string_view after, WriteBatch& batch) const {
  std::string old_entry;
  std::string new_entry;
  for (const Index* const index : layout.indexes) {
    if (index->retired.load(std::memory_order_relaxed)) continue;
    const Field& field = layout.definition->fields[index->field];
    const bool had = !before.empty() && make_index_entry(field, index->field, before, key, old_entry);
    const bool has = !after.empty() && make_index_entry(field, index->field, after, key, new_entry);
    if (had && has && old_entry == new_entry) continue;
    if (had) batch.remove(*index->family, old_entry);
    if (has) batch.put(*index->family, new_entry, {});
  }
  if (layout.expiry == nullptr) return;
  const int64_t old_end = before.empty() ? 0 : expiry_of(before);
  const int64_t new_end = after.empty() ? 0 : expiry_of(after);
  if (old_end == new_end) return;
  if (old_end != 0) batch.remove(*layout.expiry, expiry_entry(old_end, key));
  if (new_end != 0) batch.put(*layout.expiry, expiry_entry(new_end, key), {});
}

bool make_index_entry(const Field& field, uint32_t number, std::string_view record, std::string_view key,
                      std::string& entry) {
  entry.clear();
  if (!append_index_value(field, value_of(record, number), entry)) return false;
  entry.append(key);
  return true;
}

std::string expiry_entry(int64_t end_ms, std::string_view key) {
  std::string entry;
  entry.reserve(8 + key.size());
  const uint64_t end = static_cast<uint64_t>(end_ms < 0 ? 0 : end_ms);
  for (unsigned shift = 64; shift != 0; shift -= 8) entry.push_back(static_cast<char>(end >> (shift - 8) & 0xff));
  return entry.append(key);
}

int64_t wall_clock_ms() {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  return duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

bool is_expired(std::string_view record, int64_t now_ms) {
  if (record.empty()) return false;
  const int64_t end = expiry_of(record);
  return end != 0 && end <= now_ms;
}

bool Store::Body::read(const Family& family, std::string_view key, const rocksdb_readoptions_t* how, Pinned& record,
                       StoreFailure& failure) const {
  RocksdbError error(*library);
  record.reset(library->get_pinned_cf(database, how, family.handle, key.data(), key.size(), error.out()));
  if (!error) return true;
  const bool elsewhere = error.text().find("Result incomplete") != std::string_view::npos;
  failure = elsewhere ? store_failure(TENON_ERROR_AGAIN, "it is not in memory") : failed("to read", error.text());
  return false;
}

}  // namespace tenon::core
