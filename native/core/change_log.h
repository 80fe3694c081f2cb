#ifndef TENON_CORE_CHANGE_LOG_H
#define TENON_CORE_CHANGE_LOG_H

#include <atomic>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store_body.h"

namespace tenon::core {

/*
 * What a batch of writes is in RocksDB's log (db/write_batch.cc there): 8 bytes sequence of the first entry, 4 bytes
 * count, then entries: a tag, for some tags a column family (varint32), then one or two byte strings with their length
 * (varint32) before them. Every entry that changes something takes one sequence number.
 */
class BatchEntries {
 public:
  struct Entry {
    uint64_t sequence = 0;
    uint32_t family = 0;
    bool removed = false;
    std::string_view key;
    std::string_view value;
  };

  // `bytes` must outlive it.
  void reset(std::string_view bytes);
  // The next put or delete. False at the end, or when the bytes are no batch.
  bool next(Entry& entry);
  bool broken() const { return broken_; }
  // The sequence of its last entry.
  uint64_t last_sequence() const { return last_; }

 private:
  bool fail();
  bool read_number(uint32_t& number);
  bool read_bytes(std::string_view& bytes);

  std::string_view rest_;
  uint64_t sequence_ = 0;  // of the entry to come
  uint64_t last_ = 0;
  bool broken_ = false;
};

// A feed: an iterator over RocksDB's log, made anew where a log ends.
class ChangeReader final : public Feed {
 public:
  ChangeReader(Store::Body& body, const std::vector<const Table*>& tables, uint64_t from);
  ~ChangeReader() override;
  ChangeReader(const ChangeReader&) = delete;
  ChangeReader& operator=(const ChangeReader&) = delete;

  bool begin(StoreFailure& failure) override;
  bool next(uint32_t timeout_ms, Store::Change& change, StoreFailure& failure) override;
  uint64_t position() const override { return at_; }
  void cancel() override;
  // Nothing of the database is held any more. While the gate is shut.
  void let_go();

 private:
  enum class Step : uint8_t { Batch, Nothing, Failed, Missing };
  bool take(Store::Change& change);
  Step advance(StoreFailure& failure);
  Step open_log(StoreFailure& failure);
  bool looks_again(int& tries);
  bool load_batch();

  Store::Body& body_;
  const Rocksdb& library_;
  std::unordered_map<uint32_t, const Table*> tables_;  // by their family
  uint64_t at_;                                        // the last sequence that was read
  BatchEntries entries_;
  RocksdbOwned<rocksdb_writebatch_t> batch_;
  RocksdbOwned<rocksdb_wal_iterator_t> log_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace tenon::core

#endif
