#ifndef TENON_CORE_STORE_H
#define TENON_CORE_STORE_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "definition.h"
#include "filter.h"
#include "tenon/ext/tables.h"

namespace tenon::core {

class Feed;

// Why an operation of the store failed.
struct StoreFailure {
  tenon_status status = TENON_OK;  // NOT_FOUND, EXISTS, INVALID, TOO_LARGE, AGAIN, VERSION, STATE, STORAGE
  TableProblem problem;            // field and sentence
  bool full = false;               // with STORAGE: no space left, reads go on; else the store has to be opened anew
};

struct StoreOptions {
  std::string directory;               // made 0700 when absent
  std::vector<std::string> libraries;  // files to try as RocksDB, best first; empty: as rocksdb.h looks for it
  bool sync = false;                   // every write waits for the disk; else the log is synced every `sync_ms`
  uint32_t sync_ms = 1000;
  uint64_t feed_bytes = 256ull << 20;  // logs that are kept for feeds to resume from
  uint64_t cache_bytes = 64ull << 20;
  uint64_t write_buffer_bytes = 0;  // of each table and index in memory, and of a log; 0: as the store finds right
};

// One table of an open store. The store's; the address stays as long as the store. What it holds is read through the
// store only.
struct Table;

// One write of a batch.
struct Write {
  enum class Kind : uint8_t { Put, Create, Replace, Patch, Remove };
  Kind kind = Kind::Put;
  Table* table = nullptr;
  std::string key;        // encoded; empty with Put, Create and Replace: from the text
  std::string_view json;  // valid until the write is done
  // Preconditions on the record that is there: revisions of which one must match (`any_revision`: there must be one),
  // or revisions of which none may (`no_revision`: there must be none). Failing ones answer PreconditionFailed.
  std::vector<uint64_t> if_match;
  std::vector<uint64_t> if_none_match;
  bool any_revision = false;
  bool no_revision = false;
  // With Put: nobody asks whether there was one. The outcome is Updated, and the record is not read where nothing else
  // needs it.
  bool blind = false;
};

// What became of it.
struct Written {
  enum class Outcome : uint8_t { Created, Updated, Removed, Missing, Exists, Invalid, PreconditionFailed, Undone };
  Outcome outcome = Outcome::Undone;  // Undone: nothing was written, because another write of the batch failed
  std::string key;                    // encoded
  std::string record;                 // as it is now; with Removed as it was
  TableProblem problem;               // with Invalid
};

// What to read in order.
struct Query {
  struct Order {
    uint32_t field = 0;
    bool descending = false;
  };
  Filter filter;
  std::vector<Order> order;      // then by primary key; empty: by primary key
  std::vector<uint32_t> fields;  // to show; empty: all
  uint64_t limit = 100;
  uint64_t offset = 0;
  std::string after;       // cursor of an earlier page; empty: from the begin
  bool backwards = false;  // the page before `after` instead, given in the same order
  bool lines = false;      // NDJSON instead of a list
  bool cursors = false;    // give the cursor of every record
  static constexpr uint64_t kSorted =
      100'000;  // records that are sorted in memory at most, when no index has the order
};

struct Page {
  std::string json;  // "[{…},{…}]", or one line for each record
  uint64_t count = 0;
  std::string first;  // cursors of the first and last record, URL-safe text; empty without records
  std::string last;
  std::vector<std::string> cursors;  // of each record in their order, when they were asked for
  bool more = false;                 // whether records follow (or, backwards, come before)
  std::string plan;                  // "primary", "index state", "scan", "scan and sort": what answered it
  uint64_t examined = 0;
};

struct TableFacts {
  uint64_t estimate = 0;              // of records
  uint64_t bytes = 0;                 // on disk
  std::vector<std::string> building;  // indexes that are not complete yet
};

// The tables of one data directory in one RocksDB. Every function but open and close is safe on any thread.
//
// Column families: "t:<database>/<table>" has primary key -> record; "i:<database>/<table>/<field>" has index entries
// (of a Float with "/float" behind it);
// "x:<database>/<table>" has when records expire; the default one has the catalogue ("d:<database>/<table>" ->
// definition as JSON), the progress of indexes that are being built ("b:<index>") and notes ("s:<name>").
//
// A write locks its keys (stripes, in order), reads what is there, checks, and writes record and index entries in one
// batch. The feed is RocksDB's own log: what was written is in it, in order, exactly once, and its sequence numbers are
// ours. A machine that loses power without `sync` may lose the last of both, and gives those numbers out again.
class Store {
 public:
  // Null and `failure` when it cannot be opened: UNSUPPORTED without a usable RocksDB, STATE when somebody else has it
  // open (the sentence says who), INVALID when it is damaged (which file), STORAGE when the disk refuses.
  static std::unique_ptr<Store> open(const StoreOptions& options, StoreFailure& failure);
  class Body;                                    // store_body.h
  explicit Store(std::unique_ptr<Body> opened);  // as `open` makes one
  ~Store();                                      // ends its threads; every feed, cursor and record must be gone
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The RocksDB that is in use: "9.10.0", and the file it was loaded from.
  std::string version() const;
  std::string library() const;
  // Tells this database from any other one, also from its own copy that was restored.
  std::string identity() const;

  // Make the table, or bring it to `wanted` (see evolve); indexes that are new are built in the background, from when
  // on they are kept by every write and used once complete. Null and `failure`: nothing has changed.
  Table* define(const Definition& wanted, StoreFailure& failure);
  Table* find(std::string_view database, std::string_view name);
  std::vector<Table*> tables() const;
  // The present one; it stays as long as the store.
  const std::shared_ptr<const Definition>& definition(const Table& table) const;
  bool index_complete(const Table& table, uint32_t field) const;
  TableFacts facts(const Table& table) const;
  // Take a table out of the store for good, with its records. Their space is free again soon after nobody reads them.
  bool drop(Table& table, StoreFailure& failure);

  // The record of an encoded key. `cached`: only what is in memory; else AGAIN. Expired records are not there.
  bool get(const Table& table, std::string_view key, bool cached, tenon_record_t& record, StoreFailure& failure);
  void release(tenon_record_t& record);

  // All of them or none. True when all were done; else `failure` is STORAGE, TOO_LARGE or STATE (a table was dropped),
  // or that of the first write that is refused: INVALID, NOT_FOUND, EXISTS, VERSION (a precondition). `results` say it
  // for each.
  bool write(std::vector<Write>& writes, std::vector<Written>& results, StoreFailure& failure);

  // INVALID: a cursor of another list (`failure.problem.field` is "after"), a field that has no order; TOO_LARGE: too
  // many records to sort without an index.
  std::optional<Page> query(const Table& table, const Query& query, StoreFailure& failure);
  // Records that meet the filter, by counting.
  std::optional<uint64_t> count(const Table& table, const Filter& filter, StoreFailure& failure);

  // A cursor over records as they are now. Not safe on two threads at once.
  class Cursor {
   public:
    virtual ~Cursor() = default;
    // False at the end, or when it failed; a view until the next call.
    virtual bool next(std::string_view& key, std::string_view& record, StoreFailure& failure) = 0;
  };
  // INVALID: a field without an index, a bound that does not fit, a wrong filter; AGAIN: the index is being built.
  std::unique_ptr<Cursor> scan(const Table& table, const tenon_scan_t& scan, StoreFailure& failure);

  // One change, in order.
  struct Change {
    uint64_t sequence = 0;
    const Table* table = nullptr;
    bool removed = false;
    std::string_view key;     // encoded; views until the next call
    std::string_view record;  // empty with removed
  };
  // The sequence of the newest write. Waits for nobody.
  uint64_t sequence() const;
  // Changes of `tables` after `from`. Null and VERSION when they are not kept any more (or `from` is of the future).
  std::unique_ptr<Feed> feed(std::vector<const Table*> tables, uint64_t from, StoreFailure& failure);
  // The same, without a look at the disk: its `begin` has that before it.
  std::unique_ptr<Feed> feed_to_begin(const std::vector<const Table*>& tables, uint64_t from);

  // Small values beside the tables: which seed files were loaded.
  bool get_note(std::string_view name, std::string& value);
  bool put_note(std::string_view name, std::string_view value, StoreFailure& failure);

  // End what goes through many records: from now on queries, counts and cursors answer STATE soon, whichever thread
  // they are on. For good, before the store is closed; twice is fine.
  void stop_long();

  // A copy of everything that can be opened as a store, made while it serves; `directory` must not exist.
  bool checkpoint(const std::string& directory, StoreFailure& failure);
  // RocksDB's own figures, as JSON: sizes, cache, stalls, compactions, feed.
  std::string metrics() const;
  // Why writes are refused, if they are; after a full disk `resume` tries again.
  std::optional<StoreFailure> trouble() const;
  bool resume(StoreFailure& failure);

 private:
  std::unique_ptr<Body> body_;
};

// A reader of changes. One thread at a time; `cancel` from any.
class Feed {
 public:
  virtual ~Feed() = default;
  // Whether what it begins with is kept: false with VERSION, CANCELLED or STORAGE. Once, before the first `next`; reads
  // some of the log.
  virtual bool begin(StoreFailure& failure) = 0;
  // The next change, waited for at most `timeout_ms`: false with AGAIN when none came (there may be one all the same
  // behind many changes of other tables: `position` is before the newest then), CANCELLED, VERSION when the reader was
  // so slow that what it has not read is not kept any more.
  virtual bool next(uint32_t timeout_ms, Store::Change& change, StoreFailure& failure) = 0;
  // The sequence up to which everything has come out; it moves with changes of other tables too. Of the reader's
  // thread.
  virtual uint64_t position() const = 0;
  virtual void cancel() = 0;
};

}  // namespace tenon::core

#endif
