#ifndef TENON_CORE_STORE_BODY_H
#define TENON_CORE_STORE_BODY_H

#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gate.h"
#include "rocksdb.h"
#include "store.h"

namespace tenon::core {

class ChangeReader;

// A column family. The handle is another one after the database was opened anew, which happens while the gate is shut.
// That of a dropped one is given back, and its files are removed, once nobody reads it any more: see
// dropped_families.cc.
struct Family {
  std::string name;
  rocksdb_column_family_handle_t* handle = nullptr;
  uint32_t id = 0;
  bool dropped = false;
};

// The index of one field. Writes keep it from the moment it exists; queries use it once it is complete.
struct Index {
  uint32_t field = 0;
  Family* family = nullptr;
  std::atomic<bool> complete{true};
  std::atomic<bool> retired{false};  // no longer in the definition
};

// One revision of a table, as reads and writes need it. Never changes, and stays until the store is closed.
struct Layout {
  std::shared_ptr<const Definition> definition;
  Family* records = nullptr;
  Family* expiry = nullptr;  // when records may expire
  std::vector<Index*> indexes;
  bool keeps_created = false;  // a record takes over a value of the one it replaces
  mutable std::atomic<uint32_t> holders{0};

  const Index* index_of(uint32_t field) const;
  bool has(const Family& family) const;
};

struct Table {
  std::string path;   // "database/name"
  uint64_t hash = 0;  // of it
  std::atomic<const Layout*> layout{nullptr};
  std::atomic<bool> dropped{false};
  // Under the catalogue's mutex.
  std::vector<std::unique_ptr<const Layout>> layouts;
  std::vector<std::unique_ptr<Index>> indexes;
};

// The layout of a table as it is now. As long as this lives the families in it have their handles, also when they are
// dropped meanwhile. Within the gate. Who holds a stripe, or asks for one record, needs none.
class LayoutHold {
 public:
  explicit LayoutHold(const Table& table) {
    // Whoever gives handles back looks for holders after another layout was published: one of the two sees the other.
    do {
      release();
      layout_ = table.layout.load();
      layout_->holders.fetch_add(1);
    } while (table.layout.load() != layout_);
  }
  ~LayoutHold() { release(); }
  LayoutHold(const LayoutHold&) = delete;
  LayoutHold& operator=(const LayoutHold&) = delete;
  const Layout& operator*() const { return *layout_; }
  const Layout* operator->() const { return layout_; }

 private:
  void release() {
    if (layout_ != nullptr) layout_->holders.fetch_sub(1);
  }
  const Layout* layout_ = nullptr;
};

// Locks on keys: whoever reads a record in order to write it holds the stripe of its key.
class Stripes {
 public:
  static constexpr size_t kCount = 1024;
  static size_t of(uint64_t hash) { return hash >> 54; }
  static uint64_t hash(const Table& table, std::string_view key);

  class Hold {
   public:
    explicit Hold(Stripes& stripes) : stripes_(stripes) {}
    ~Hold() { release(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    void want(uint64_t hash) { wanted_[of(hash) / 64] |= UINT64_C(1) << of(hash) % 64; }
    void want_all() { wanted_.fill(~UINT64_C(0)); }
    // In ascending order, so that two who want several never wait for each other.
    void lock();
    void release();

   private:
    Stripes& stripes_;
    std::array<uint64_t, kCount / 64> wanted_ = {};
    bool held_ = false;
  };

 private:
  std::array<std::mutex, kCount> mutexes_;
};

// Writes that are gathered, and done at once.
class WriteBatch {
 public:
  explicit WriteBatch(const Rocksdb& library)
      : library_(library), batch_(library.writebatch_create(), library.writebatch_destroy) {}
  void put(const Family& family, std::string_view key, std::string_view value) {
    library_.writebatch_put_cf(batch_.get(), family.handle, key.data(), key.size(), value.data(), value.size());
  }
  void remove(const Family& family, std::string_view key) {
    library_.writebatch_delete_cf(batch_.get(), family.handle, key.data(), key.size());
  }
  bool empty() const { return library_.writebatch_count(batch_.get()) == 0; }
  rocksdb_writebatch_t* get() const { return batch_.get(); }

 private:
  const Rocksdb& library_;
  RocksdbOwned<rocksdb_writebatch_t> batch_;
};

// A value as RocksDB holds it.
class Pinned {
 public:
  explicit Pinned(const Rocksdb& library) : library_(&library), slice_(nullptr, library.pinnableslice_destroy) {}
  void reset(rocksdb_pinnableslice_t* slice) {
    slice_.reset(slice);
    view_ = {};
    if (slice == nullptr) return;
    size_t size = 0;
    const char* const data = library_->pinnableslice_value(slice, &size);
    view_ = {data, size};
  }
  explicit operator bool() const { return slice_ != nullptr; }
  // Also of what was taken, as long as that is there.
  std::string_view view() const { return view_; }
  rocksdb_pinnableslice_t* take() { return slice_.release(); }

 private:
  const Rocksdb* library_;
  RocksdbOwned<rocksdb_pinnableslice_t> slice_;
  std::string_view view_;
};

// An iterator over a family, with an upper bound it does not pass.
class Walk {
 public:
  Walk(const Rocksdb& library, rocksdb_t* database, const rocksdb_readoptions_t* options, const Family& family)
      : library_(library),
        iterator_(library.create_iterator_cf(database, options, family.handle), library.iter_destroy) {}
  bool valid() const { return library_.iter_valid(iterator_.get()) != 0; }
  void to_first() { library_.iter_seek_to_first(iterator_.get()); }
  void to_last() { library_.iter_seek_to_last(iterator_.get()); }
  // To the first key not before `key`; to the last one not behind it.
  void seek(std::string_view key) { library_.iter_seek(iterator_.get(), key.data(), key.size()); }
  void seek_back(std::string_view key) { library_.iter_seek_for_prev(iterator_.get(), key.data(), key.size()); }
  void next() { library_.iter_next(iterator_.get()); }
  void previous() { library_.iter_prev(iterator_.get()); }
  std::string_view key() const {
    size_t size = 0;
    const char* const data = library_.iter_key(iterator_.get(), &size);
    return {data, size};
  }
  std::string_view value() const {
    size_t size = 0;
    const char* const data = library_.iter_value(iterator_.get(), &size);
    return {data, size};
  }
  void error(RocksdbError& error) const { library_.iter_get_error(iterator_.get(), error.out()); }

 private:
  const Rocksdb& library_;
  RocksdbOwned<rocksdb_iterator_t> iterator_;
};

class Store::Body {
 public:
  explicit Body(StoreOptions chosen) : options(std::move(chosen)) {}
  ~Body();
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  // store_open.cc
  bool open(StoreFailure& failure);
  // The column families that are on the disk.
  bool list_families(std::vector<std::string>& names, StoreFailure& failure);
  bool open_database(const std::vector<std::string>& names, StoreFailure& failure);
  // Whether everything that tables need has been opened again; an index that has not is retired.
  bool settle_families(StoreFailure& failure);
  void close_database();
  bool reopen(StoreFailure& failure);
  // The failure that a message of RocksDB tells of; what it says of the whole database is remembered as trouble.
  StoreFailure failed(const char* doing, std::string_view said) const;
  // Whether there is a database to read from.
  bool readable(StoreFailure& failure) const;
  // Whether it takes writes.
  bool writable(StoreFailure& failure) const;
  void set_trouble(const StoreFailure& failure);
  std::optional<StoreFailure> trouble() const;
  bool resume(StoreFailure& failure);

  // store_catalogue.cc
  bool read_catalogue(StoreFailure& failure);
  Table* define(const Definition& wanted, StoreFailure& failure);
  Table* make_table(const Definition& wanted, StoreFailure& failure);
  bool change_table(Table& table, const Definition& evolved, StoreFailure& failure);
  bool drop(Table& table, StoreFailure& failure);
  Table* find(std::string_view path) const;
  Family* make_family(const std::string& name, StoreFailure& failure);
  // Each anew, in place of one that nobody uses; `made` has them, also when it fails.
  bool make_families(const std::vector<std::string>& names, std::vector<Family*>& made, StoreFailure& failure);
  Family* find_family(std::string_view name) const;
  // False: it is still there.
  bool drop_family(Family& family, StoreFailure& failure);
  void drop_families(const std::vector<Family*>& gone);
  // Until they are built, indexes count as incomplete, also when the process dies before they are there.
  bool note_building(const std::vector<std::string>& names, StoreFailure& failure);
  bool read_table(Definition definition, StoreFailure& failure);
  // What is left of a change that was not brought to its end.
  bool drop_leftovers(StoreFailure& failure);
  bool write_notes(const WriteBatch& batch, StoreFailure& failure);

  // dropped_families.cc
  void release_dropped();
  std::vector<rocksdb_column_family_handle_t*> take_dropped();
  bool is_held(const Family& family) const;
  // The layout of a definition whose families are all there; `building` are indexes that are not complete.
  const Layout& publish(Table& table, std::shared_ptr<const Definition> definition,
                        const std::set<const Family*>& building);

  // table_write.cc
  bool write(std::vector<Write>& writes, std::vector<Written>& results, StoreFailure& failure);
  bool commit(const WriteBatch& batch, StoreFailure& failure);
  bool conclude(const RocksdbError& error, StoreFailure& failure);
  void append_index_changes(const Layout& layout, std::string_view key, std::string_view before, std::string_view after,
                            WriteBatch& batch) const;

  // The stored record, expired or not. False and `failure` when it cannot be read; without one `record` is empty.
  bool read(const Family& family, std::string_view key, const rocksdb_readoptions_t* how, Pinned& record,
            StoreFailure& failure) const;

  // table_walk.cc
  // Whether one may go on through many records.
  bool may_go_on(StoreFailure& failure) const;

  // store.cc
  bool get(const Table& table, std::string_view key, bool in_memory, Pinned& record, StoreFailure& failure);
  bool is_served(const Table& table, std::string_view record, StoreFailure& failure) const;
  uint64_t number(const Family& family, const char* property) const;

  // index_build.cc
  void build_indexes();
  void build_index(Table& table, Index& index);
  size_t build_slice(Table& table, Index& index, const std::vector<std::string>& keys, bool last);
  // expiry.cc
  void sweep_expired();
  bool sweep(Table& table, int64_t now_ms, std::string& behind);
  // log_keeping.cc
  void keep_log();
  void sync_log();
  void purge_logs();
  uint64_t kept_log_bytes() const;

  // store_threads.cc
  bool start_threads(StoreFailure& failure);
  void stop_threads();
  // Whether the worker is to end what it does.
  bool stopping() const { return stopping_.load() || long_stopped.load(); }
  void wake_worker();

  const StoreOptions options;
  std::shared_ptr<const Rocksdb> library;
  std::string version;
  std::string identity;

  // Shut while the database is opened anew.
  Gate gate;
  // Changes under `newest_mutex` too, which is never held for long.
  rocksdb_t* database = nullptr;
  mutable std::mutex newest_mutex;
  uint64_t newest = 0;  // sequence at which the database was closed
  RocksdbOwned<rocksdb_options_t> database_options{nullptr, nullptr};
  RocksdbOwned<rocksdb_cache_t> cache{nullptr, nullptr};
  RocksdbOwned<rocksdb_readoptions_t> read_options{nullptr, nullptr};
  RocksdbOwned<rocksdb_readoptions_t> cached_options{nullptr, nullptr};  // only what is in memory
  RocksdbOwned<rocksdb_writeoptions_t> write_options{nullptr, nullptr};
  RocksdbOwned<rocksdb_writeoptions_t> sync_options{nullptr, nullptr};  // waits for the disk

  Stripes stripes;

  // Held by a change of a definition to its end.
  mutable std::mutex catalogue_mutex;
  std::vector<std::unique_ptr<Family>> families;
  // Of the list of families and their handles, never for long: both change under both mutexes.
  mutable std::mutex families_mutex;
  // Of the list of tables, never for long: it grows under both mutexes.
  mutable std::mutex tables_mutex;
  std::vector<std::unique_ptr<Table>> tables;  // those that were dropped too
  Family* notes = nullptr;                     // the default family

  // Writes so far; who waits for more sleeps on `grown`.
  std::atomic<uint64_t> commits{0};
  // How often a stored record was met that is none.
  mutable std::atomic<uint64_t> damaged{0};
  // Nobody is to go on through many records.
  std::atomic<bool> long_stopped{false};
  std::atomic<uint32_t> waiting{0};
  std::mutex grown_mutex;
  std::condition_variable grown;

  std::mutex readers_mutex;
  std::set<ChangeReader*> readers;

  // A copy is being made, or logs are being removed.
  std::mutex files_mutex;

 private:
  static void* keeper_main(void* argument);
  static void* worker_main(void* argument);

  std::mutex resume_mutex_;  // whoever has it knows that the database is not opened anew meanwhile
  mutable std::mutex trouble_mutex_;
  std::optional<StoreFailure> trouble_;
  std::atomic<bool> troubled_{false};
  uint64_t synced_ = 0;  // of `commits`; the keeper's

  std::mutex threads_mutex_;
  std::condition_variable threads_wake_;
  std::atomic<bool> stopping_{false};
  bool work_ = false;
  bool keeper_started_ = false;
  bool worker_started_ = false;
  pthread_t keeper_ = {};  // syncs the log, removes old ones
  pthread_t worker_ = {};  // builds indexes, removes what has expired
};

// How long the worker goes on with one piece of its work: for one step, and then until the store is being closed, or
// writers may have waited for 10 ms.
class Turn {
 public:
  explicit Turn(const Store::Body& body) : body_(body), end_(std::chrono::steady_clock::now() + kLength) {}
  bool goes_on() {
    return !std::exchange(begun_, true) || (!body_.stopping() && std::chrono::steady_clock::now() < end_);
  }

 private:
  static constexpr std::chrono::milliseconds kLength{10};
  const Store::Body& body_;
  const std::chrono::steady_clock::time_point end_;
  bool begun_ = false;
};

int64_t wall_clock_ms();
bool is_expired(std::string_view record, int64_t now_ms);
StoreFailure store_failure(tenon_status status, std::string message, std::string field = {});
// Where an index that is being built has its progress: the last key that is done.
std::string building_note(const Family& index);
// False when the record has no place in the index.
bool make_index_entry(const Field& field, uint32_t number, std::string_view record, std::string_view key,
                      std::string& entry);
std::string expiry_entry(int64_t end_ms, std::string_view key);

}  // namespace tenon::core

#endif
