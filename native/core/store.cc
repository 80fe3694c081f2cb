#include "store.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "change_log.h"
#include "record.h"
#include "store_body.h"
#include "table_query.h"

namespace tenon::core {

namespace {

constexpr std::string_view kNote = "s:";

std::string path_of(std::string_view database, std::string_view name) {
  return std::string(database).append("/").append(name);
}

}  // namespace

Store::Store(std::unique_ptr<Body> opened) : body_(std::move(opened)) {}
Store::~Store() = default;

std::unique_ptr<Store> Store::open(const StoreOptions& options, StoreFailure& failure) {
  auto body = std::make_unique<Body>(options);
  if (!body->open(failure)) return nullptr;
  return std::make_unique<Store>(std::move(body));
}

std::string Store::version() const { return body_->version; }
std::string Store::library() const { return body_->library->file; }
std::string Store::identity() const { return body_->identity; }

Table* Store::define(const Definition& wanted, StoreFailure& failure) { return body_->define(wanted, failure); }

Table* Store::find(std::string_view database, std::string_view name) { return body_->find(path_of(database, name)); }

std::vector<Table*> Store::tables() const {
  const std::lock_guard<std::mutex> lock(body_->tables_mutex);
  std::vector<Table*> present;
  for (const auto& table : body_->tables) {
    if (!table->dropped.load()) present.push_back(table.get());
  }
  return present;
}

const std::shared_ptr<const Definition>& Store::definition(const Table& table) const {
  return table.layout.load()->definition;
}

bool Store::index_complete(const Table& table, uint32_t field) const {
  const Index* const index = table.layout.load()->index_of(field);
  return index != nullptr && index->complete.load();
}

TableFacts Store::facts(const Table& table) const {
  const Passage passage(body_->gate);
  const LayoutHold hold(table);
  const Layout& layout = *hold;
  TableFacts facts;
  if (body_->database == nullptr || table.dropped.load()) return facts;
  facts.estimate = body_->number(*layout.records, "rocksdb.estimate-num-keys");
  std::vector<const Family*> families = {layout.records};
  if (layout.expiry != nullptr) families.push_back(layout.expiry);
  for (const Index* const index : layout.indexes) {
    if (index->retired.load()) continue;
    families.push_back(index->family);
    if (!index->complete.load()) facts.building.push_back(layout.definition->fields[index->field].name);
  }
  for (const Family* const family : families) {
    facts.bytes += body_->number(*family, "rocksdb.total-sst-files-size");
    facts.bytes += body_->number(*family, "rocksdb.cur-size-all-mem-tables");
  }
  return facts;
}

bool Store::drop(Table& table, StoreFailure& failure) { return body_->drop(table, failure); }

bool Store::get(const Table& table, std::string_view key, bool cached, tenon_record_t& record, StoreFailure& failure) {
  if (!cached) {
    body_->gate.enter();
  } else if (!body_->gate.try_enter()) {
    failure = store_failure(TENON_ERROR_AGAIN, "the tables are being opened anew");
    return false;
  }
  Pinned found(*body_->library);
  const bool done = body_->get(table, key, cached, found, failure);
  body_->gate.leave();
  if (!done) return false;
  record.bytes = {found.view().data(), found.view().size()};
  record.hold = found.take();
  return true;
}

void Store::release(tenon_record_t& record) {
  if (record.hold != nullptr) body_->library->pinnableslice_destroy(static_cast<rocksdb_pinnableslice_t*>(record.hold));
  record.hold = nullptr;
  record.bytes = {nullptr, 0};
}

bool Store::write(std::vector<Write>& writes, std::vector<Written>& results, StoreFailure& failure) {
  return body_->write(writes, results, failure);
}

std::optional<Page> Store::query(const Table& table, const Query& query, StoreFailure& failure) {
  const Passage passage(body_->gate);
  return query_table(*body_, table, query, failure);
}

std::optional<uint64_t> Store::count(const Table& table, const Filter& filter, StoreFailure& failure) {
  const Passage passage(body_->gate);
  return count_table(*body_, table, filter, failure);
}

std::unique_ptr<Store::Cursor> Store::scan(const Table& table, const tenon_scan_t& scan, StoreFailure& failure) {
  return scan_table(*body_, table, scan, failure);
}

uint64_t Store::sequence() const {
  const std::lock_guard<std::mutex> lock(body_->newest_mutex);
  return body_->database == nullptr ? body_->newest : body_->library->get_latest_sequence_number(body_->database);
}

std::unique_ptr<Feed> Store::feed(std::vector<const Table*> tables, uint64_t from, StoreFailure& failure) {
  std::unique_ptr<Feed> reader = feed_to_begin(tables, from);
  if (!reader->begin(failure)) return nullptr;
  return reader;
}

std::unique_ptr<Feed> Store::feed_to_begin(const std::vector<const Table*>& tables, uint64_t from) {
  return std::make_unique<ChangeReader>(*body_, tables, from);
}

bool Store::get_note(std::string_view name, std::string& value) {
  const Passage passage(body_->gate);
  StoreFailure failure;
  Pinned note(*body_->library);
  if (!body_->readable(failure)) return false;
  const std::string key = std::string(kNote).append(name);
  if (!body_->read(*body_->notes, key, body_->read_options.get(), note, failure) || !note) return false;
  value.assign(note.view());
  return true;
}

bool Store::put_note(std::string_view name, std::string_view value, StoreFailure& failure) {
  const Passage passage(body_->gate);
  if (!body_->writable(failure)) return false;
  WriteBatch batch(*body_->library);
  batch.put(*body_->notes, std::string(kNote).append(name), value);
  return body_->write_notes(batch, failure);
}

bool Store::checkpoint(const std::string& directory, StoreFailure& failure) {
  const Passage passage(body_->gate);
  const std::lock_guard<std::mutex> lock(body_->files_mutex);
  if (!body_->readable(failure)) return false;
  const Rocksdb& rocks = *body_->library;
  RocksdbError error(rocks);
  const RocksdbOwned<rocksdb_checkpoint_t> checkpoint(rocks.checkpoint_object_create(body_->database, error.out()),
                                                      rocks.checkpoint_object_destroy);
  if (!error) rocks.checkpoint_create(checkpoint.get(), directory.c_str(), 0, error.out());
  if (error) {
    failure = body_->failed("to copy the tables", error.text());
    return false;
  }
  chmod(directory.c_str(), 0700);
  return true;
}

void Store::stop_long() { body_->long_stopped.store(true); }

std::optional<StoreFailure> Store::trouble() const { return body_->trouble(); }
bool Store::resume(StoreFailure& failure) { return body_->resume(failure); }

bool Store::Body::get(const Table& table, std::string_view key, bool in_memory, Pinned& record, StoreFailure& failure) {
  if (!readable(failure)) return false;
  if (!table.dropped.load(std::memory_order_relaxed)) {
    const Layout& layout = *table.layout.load(std::memory_order_acquire);
    if (!read(*layout.records, key, in_memory ? cached_options.get() : read_options.get(), record, failure)) {
      return false;
    }
    if (record) return is_served(table, record.view(), failure);
  }
  failure.status = TENON_ERROR_NOT_FOUND;
  return false;
}

// What was read from the disk is looked at here, once.
bool Store::Body::is_served(const Table& table, std::string_view record, StoreFailure& failure) const {
  if (!is_record(record)) {
    failure = store_failure(TENON_ERROR_STORAGE, "a record of the table " + table.path + " is damaged");
    return false;
  }
  const int64_t end = expiry_of(record);
  if (end == 0 || end > wall_clock_ms()) return true;
  failure.status = TENON_ERROR_NOT_FOUND;
  return false;
}

uint64_t Store::Body::number(const Family& family, const char* property) const {
  uint64_t value = 0;
  return library->property_int_cf(database, family.handle, property, &value) == 0 ? value : 0;
}

}  // namespace tenon::core
