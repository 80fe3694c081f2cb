#include "tables_face.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>

#include "byte_buffer.h"
#include "front.h"
#include "host_face.h"
#include "key.h"
#include "pool.h"
#include "record.h"

namespace tenon::core {

class TablesFace::RecordHold final : public TablesFace::Holding {
 public:
  using Holding::Holding;
  ~RecordHold() override { RecordHold::let_go(); }
  void let_go() override {
    if (record.hold != nullptr) face.store().release(record);
  }
  bool lends() const override { return true; }

  tenon_record_t record = as_record({});
};

namespace {

// Bytes of JSON in one batch: it is in memory twice when it is committed.
constexpr size_t kBatchBytes = TENON_TABLE_BATCH_BYTES;

OpenTable& of(tenon_table_t* table) { return *static_cast<OpenTable*>(table); }
const OpenTable& of(const tenon_table_t* table) { return *static_cast<const OpenTable*>(table); }

bool is_sound(tenon_bytes_t text) { return text.data != nullptr || text.size == 0; }

// As much of `text` as fits, whole characters of UTF-8, with a NUL.
template <size_t Size>
void copy_text(std::string_view text, char (&to)[Size]) {
  size_t size = std::min(text.size(), Size - 1);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0u) == 0x80u) size--;
  if (size > 0) std::memcpy(to, text.data(), size);
  to[size] = '\0';
}

tenon_status tell(tenon_status status, const TableProblem& cause, tenon_table_problem_t* problem) {
  if (problem == nullptr || problem->size < sizeof(tenon_table_problem_t)) return status;
  copy_text(cause.field, problem->field);
  copy_text(cause.message, problem->message);
  return status;
}

tenon_status tell(tenon_status status, const char* cause, tenon_table_problem_t* problem) {
  return tell(status, TableProblem{"", cause}, problem);
}

// --- records

// The encoded key, in `value` or in `space`; TENON_OK, or what is wrong with `value`.
tenon_status find_key(const OpenTable& open, const tenon_value_t* value, std::string& space, std::string_view& key,
                      TableProblem& problem) {
  if (value == nullptr || !is_sound(value->text)) {
    problem.message = "a key is needed";
    return TENON_ERROR_ARGUMENT;
  }
  return view_key(*open.definition, *value, space, key, problem) ? TENON_OK : TENON_ERROR_ARGUMENT;
}

tenon_status tables_open(const tenon_host_t* host, tenon_bytes_t name, tenon_table_t** table) {
  if (table == nullptr || !is_sound(name)) return TENON_ERROR_ARGUMENT;
  TablesFace& face = *HostFace::of(host).tables();
  const TablesFace::Entry entry(face);
  return entry ? face.find(view(name), table) : TENON_ERROR_STATE;
}

int32_t tables_field(const tenon_table_t* table, tenon_bytes_t name) {
  if (table == nullptr || !is_sound(name)) return -1;
  const OpenTable& open = of(table);
  std::optional<uint32_t> number = open.definition->number_of(view(name));
  if (!number) {
    const TablesFace::Entry entry(*open.face);
    if (!entry) return -1;
    number = open.face->store().definition(*open.table)->number_of(view(name));
  }
  return number ? static_cast<int32_t>(*number) : -1;
}

tenon_status tables_get(tenon_table_t* table, const tenon_value_t* key, tenon_record_t* record) {
  if (table == nullptr || record == nullptr || record->size < sizeof(tenon_record_t)) return TENON_ERROR_ARGUMENT;
  const OpenTable& open = of(table);
  TablesFace& face = *open.face;
  record->bytes = {nullptr, 0};
  record->hold = nullptr;
  const TablesFace::Entry entry(face);
  if (!entry) return TENON_ERROR_STATE;
  if (!face.may_read(open)) return TENON_ERROR_DENIED;
  TableProblem problem;
  std::string space;
  std::string_view encoded;
  if (const tenon_status status = find_key(open, key, space, encoded, problem); status != TENON_OK) return status;
  tenon_record_t found = as_record({});
  StoreFailure failure;
  if (!face.store().get(*open.table, encoded, face.on_front(), found, failure)) return failure.status;
  record->bytes = found.bytes;
  record->hold = &face.lend(found);
  return TENON_OK;
}

void tables_release(tenon_record_t* record) {
  if (record == nullptr) return;
  record->bytes = {nullptr, 0};
  if (record->hold == nullptr) return;
  auto& hold = *static_cast<TablesFace::RecordHold*>(std::exchange(record->hold, nullptr));
  hold.face.give_back(hold);
}

// --- writes

// Why a batch was not done: the first of its writes that was refused, else the store.
tenon_status refusal(const std::vector<Written>& results, const StoreFailure& failure, tenon_table_problem_t* problem) {
  using Outcome = Written::Outcome;
  for (const Written& written : results) {
    switch (written.outcome) {
      case Outcome::Missing:
        return tell(TENON_ERROR_NOT_FOUND, "there is no record with this key", problem);
      case Outcome::Exists:
        return tell(TENON_ERROR_EXISTS, "there is a record with this key", problem);
      case Outcome::Invalid:
        return tell(TENON_ERROR_INVALID, written.problem, problem);
      case Outcome::PreconditionFailed:
        return tell(TENON_ERROR_EXISTS, "the record has changed", problem);
      default:
        break;
    }
  }
  return tell(failure.status == TENON_OK ? TENON_ERROR_STORAGE : failure.status, failure.problem, problem);
}

// Whether `open` may be written to by this thread.
tenon_status may_write(const OpenTable& open, tenon_table_problem_t* problem) {
  if (open.face->on_front()) return tell(TENON_ERROR_AGAIN, "not on the event loop: use a pool route", problem);
  if (!open.face->may_write(open)) return tell(TENON_ERROR_DENIED, "no permission to write to this table", problem);
  return TENON_OK;
}

tenon_status check_json(tenon_bytes_t json, tenon_table_problem_t* problem) {
  if (!is_sound(json)) return tell(TENON_ERROR_ARGUMENT, "json is needed", problem);
  if (json.size > TENON_TABLE_RECORD_LIMIT) return tell(TENON_ERROR_TOO_LARGE, "a record has at most 16 MiB", problem);
  return TENON_OK;
}

bool kind_of(uint32_t mode, Write::Kind& kind) {
  if (mode > TENON_PUT_REPLACE) return false;
  kind = mode == TENON_PUT_CREATE    ? Write::Kind::Create
         : mode == TENON_PUT_REPLACE ? Write::Kind::Replace
                                     : Write::Kind::Put;
  return true;
}

tenon_status write_all(TablesFace& face, std::vector<Write>& writes, tenon_table_problem_t* problem) {
  std::vector<Written> results;
  StoreFailure failure;
  return face.shared().write(writes, results, failure) ? TENON_OK : refusal(results, failure, problem);
}

// A put, patch or removal as the store takes it. `json` and `key` may be none.
tenon_status make_write(const OpenTable& open, Write::Kind kind, const tenon_value_t* key, const tenon_bytes_t* json,
                        Write& write, tenon_table_problem_t* problem) {
  if (const tenon_status status = may_write(open, problem); status != TENON_OK) return status;
  write.kind = kind;
  write.table = open.table;
  write.blind = kind == Write::Kind::Put;
  if (json != nullptr) {
    if (const tenon_status status = check_json(*json, problem); status != TENON_OK) return status;
    write.json = view(*json);
  }
  if (kind != Write::Kind::Patch && kind != Write::Kind::Remove) return TENON_OK;
  TableProblem cause;
  std::string_view found;
  const tenon_status status = find_key(open, key, write.key, found, cause);
  if (status != TENON_OK) return tell(status, cause, problem);
  if (found.data() != write.key.data()) write.key.assign(found);
  return TENON_OK;
}

tenon_status write_one(tenon_table_t* table, Write::Kind kind, const tenon_value_t* key, const tenon_bytes_t* json,
                       tenon_table_problem_t* problem) {
  if (table == nullptr) return tell(TENON_ERROR_ARGUMENT, "a table is needed", problem);
  const OpenTable& open = of(table);
  const TablesFace::Entry entry(*open.face);
  if (!entry) return tell(TENON_ERROR_STATE, "tables are there from ready until shutdown has returned", problem);
  std::vector<Write> writes(1);
  const tenon_status status = make_write(open, kind, key, json, writes[0], problem);
  return status == TENON_OK ? write_all(*open.face, writes, problem) : status;
}

tenon_status tables_put(tenon_table_t* table, tenon_bytes_t json, uint32_t mode, tenon_table_problem_t* problem) {
  Write::Kind kind = Write::Kind::Put;
  if (!kind_of(mode, kind)) return tell(TENON_ERROR_ARGUMENT, "mode: one of TENON_PUT_ is needed", problem);
  return write_one(table, kind, nullptr, &json, problem);
}

tenon_status tables_patch(tenon_table_t* table, const tenon_value_t* key, tenon_bytes_t json,
                          tenon_table_problem_t* problem) {
  return write_one(table, Write::Kind::Patch, key, &json, problem);
}

tenon_status tables_remove(tenon_table_t* table, const tenon_value_t* key, tenon_table_problem_t* problem) {
  return write_one(table, Write::Kind::Remove, key, nullptr, problem);
}

class Batch final : public TablesFace::Holding, public tenon_batch {
 public:
  using Holding::Holding;
  void let_go() override {
    writes.clear();
    foreign.clear();
    chunks_.clear();
  }
  bool lends() const override { return false; }
  // The text, where it stays as long as the writes.
  std::string_view copy(std::string_view text) {
    if (chunks_.empty() || chunks_.back().capacity() - chunks_.back().size() < text.size()) {
      chunk_bytes_ = std::min(2 * chunk_bytes_, kMostChunkBytes);
      chunks_.emplace_back().reserve(std::max(text.size(), chunk_bytes_));
    }
    std::string& chunk = chunks_.back();
    const size_t at = chunk.size();
    chunk.append(text);
    return std::string_view(chunk).substr(at);
  }

  std::vector<Write> writes;
  std::vector<const OpenTable*> foreign;  // tables of others among them
  size_t bytes = 0;

 private:
  static constexpr size_t kMostChunkBytes = 64 * 1024;
  std::deque<std::string> chunks_;  // none grows beyond what it has reserved
  size_t chunk_bytes_ = 512;
};

Batch& of(tenon_batch_t* batch) { return *static_cast<Batch*>(batch); }

tenon_status tables_batch_begin(const tenon_host_t* host, tenon_batch_t** batch) {
  if (batch == nullptr) return TENON_ERROR_ARGUMENT;
  *batch = nullptr;
  TablesFace& face = *HostFace::of(host).tables();
  const TablesFace::Entry entry(face);
  if (!entry) return TENON_ERROR_STATE;
  if (face.on_front()) return TENON_ERROR_AGAIN;
  auto fresh = std::make_unique<Batch>(face);
  *batch = fresh.get();
  face.keep(std::move(fresh));
  return TENON_OK;
}

tenon_status add(tenon_batch_t* batch, tenon_table_t* table, Write::Kind kind, const tenon_value_t* key,
                 const tenon_bytes_t* json) {
  if (batch == nullptr || table == nullptr) return TENON_ERROR_ARGUMENT;
  Batch& filling = of(batch);
  const OpenTable& open = of(table);
  if (open.face != &filling.face) return TENON_ERROR_ARGUMENT;
  const TablesFace::Entry entry(filling.face);
  if (!entry) return TENON_ERROR_STATE;
  Write write;
  if (const tenon_status status = make_write(open, kind, key, json, write, nullptr); status != TENON_OK) return status;
  if (filling.writes.size() == TENON_TABLE_BATCH_LIMIT || write.json.size() > kBatchBytes - filling.bytes) {
    return TENON_ERROR_TOO_LARGE;
  }
  filling.bytes += write.json.size();
  write.json = filling.copy(write.json);
  filling.writes.push_back(std::move(write));
  std::vector<const OpenTable*>& foreign = filling.foreign;
  if (!open.writable && std::find(foreign.begin(), foreign.end(), &open) == foreign.end()) foreign.push_back(&open);
  return TENON_OK;
}

tenon_status tables_batch_put(tenon_batch_t* batch, tenon_table_t* table, tenon_bytes_t json, uint32_t mode) {
  Write::Kind kind = Write::Kind::Put;
  return kind_of(mode, kind) ? add(batch, table, kind, nullptr, &json) : TENON_ERROR_ARGUMENT;
}

tenon_status tables_batch_patch(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key,
                                tenon_bytes_t json) {
  return add(batch, table, Write::Kind::Patch, key, &json);
}

tenon_status tables_batch_remove(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key) {
  return add(batch, table, Write::Kind::Remove, key, nullptr);
}

tenon_status tables_batch_commit(tenon_batch_t* batch, tenon_table_problem_t* problem) {
  if (batch == nullptr) return tell(TENON_ERROR_ARGUMENT, "a batch is needed", problem);
  TablesFace& face = of(batch).face;
  const TablesFace::Entry entry(face);
  if (!entry) return tell(TENON_ERROR_STATE, "tables are there from ready until shutdown has returned", problem);
  const std::unique_ptr<TablesFace::Holding> taken = face.take(of(batch));
  if (face.on_front()) return tell(TENON_ERROR_AGAIN, "not on the event loop: use a pool route", problem);
  for (const OpenTable* const open : static_cast<Batch&>(*taken).foreign) {
    if (!face.may_write(*open)) return tell(TENON_ERROR_DENIED, "no permission to write to this table", problem);
  }
  std::vector<Write>& writes = static_cast<Batch&>(*taken).writes;
  return writes.empty() ? TENON_OK : write_all(face, writes, problem);
}

void give_back(TablesFace::Holding& holding) {
  TablesFace& face = holding.face;
  const TablesFace::Entry entry(face, TablesFace::Entry::Purpose::GiveBack);
  if (entry) face.take(holding);
}

void tables_batch_discard(tenon_batch_t* batch) {
  if (batch != nullptr) give_back(of(batch));
}

// --- scans

class Cursor final : public TablesFace::Holding, public tenon_cursor {
 public:
  using Holding::Holding;
  void let_go() override { cursor.reset(); }
  bool lends() const override { return true; }

  std::unique_ptr<Store::Cursor> cursor;
  const OpenTable* table = nullptr;
};

Cursor& of(tenon_cursor_t* cursor) { return *static_cast<Cursor*>(cursor); }

tenon_status tables_scan(tenon_table_t* table, const tenon_scan_t* scan, tenon_cursor_t** cursor,
                         tenon_table_problem_t* problem) {
  if (table == nullptr || cursor == nullptr) return tell(TENON_ERROR_ARGUMENT, "a table is needed", problem);
  *cursor = nullptr;
  if (scan == nullptr || scan->size < sizeof(tenon_scan_t) || !is_sound(scan->lower.text) ||
      !is_sound(scan->upper.text) || !is_sound(scan->prefix) || !is_sound(scan->filter)) {
    return tell(TENON_ERROR_ARGUMENT, "scan: a struct with its size, and texts with their data, is needed", problem);
  }
  const OpenTable& open = of(table);
  TablesFace& face = *open.face;
  const TablesFace::Entry entry(face);
  if (!entry) return tell(TENON_ERROR_STATE, "tables are there from ready until shutdown has returned", problem);
  if (face.on_front()) return tell(TENON_ERROR_AGAIN, "not on the event loop: use a pool route", problem);
  if (!face.may_read(open)) return tell(TENON_ERROR_DENIED, "no permission to read this table", problem);
  tenon_scan_t wanted = *scan;
  if (wanted.field == static_cast<int32_t>(open.definition->primary)) wanted.field = -1;
  auto fresh = std::make_unique<Cursor>(face);
  fresh->table = &open;
  StoreFailure failure;
  fresh->cursor = face.store().scan(*open.table, wanted, failure);
  if (!fresh->cursor) return tell(failure.status, failure.problem, problem);
  *cursor = fresh.get();
  face.keep(std::move(fresh));
  return TENON_OK;
}

tenon_status tables_next(tenon_cursor_t* cursor, tenon_record_t* record) {
  if (cursor == nullptr || record == nullptr || record->size < sizeof(tenon_record_t)) return TENON_ERROR_ARGUMENT;
  record->bytes = {nullptr, 0};
  record->hold = nullptr;
  Cursor& own = of(cursor);
  const TablesFace::Entry entry(own.face);
  if (!entry) return TENON_ERROR_STATE;
  if (own.face.on_front()) return TENON_ERROR_AGAIN;
  if (!own.face.may_read(*own.table)) return TENON_ERROR_DENIED;
  StoreFailure failure;
  std::string_view key;
  std::string_view found;
  if (!own.cursor->next(key, found, failure)) {
    return failure.status == TENON_OK ? TENON_ERROR_NOT_FOUND : failure.status;
  }
  record->bytes = bytes(found);
  return TENON_OK;
}

void tables_scan_end(tenon_cursor_t* cursor) {
  if (cursor != nullptr) give_back(of(cursor));
}

tenon_status tables_count(tenon_table_t* table, bool exact, uint64_t* count) {
  if (table == nullptr || count == nullptr) return TENON_ERROR_ARGUMENT;
  const OpenTable& open = of(table);
  const TablesFace::Entry entry(*open.face);
  if (!entry) return TENON_ERROR_STATE;
  if (open.face->on_front()) return TENON_ERROR_AGAIN;
  if (!open.face->may_read(open)) return TENON_ERROR_DENIED;
  Store& store = open.face->store();
  if (!exact) {
    *count = store.facts(*open.table).estimate;
    return TENON_OK;
  }
  StoreFailure failure;
  const std::optional<uint64_t> counted = store.count(*open.table, Filter(), failure);
  if (!counted) return failure.status;
  *count = *counted;
  return TENON_OK;
}

// --- feeds

class OpenFeed final : public TablesFace::Holding, public tenon_feed {
 public:
  using Holding::Holding;
  void let_go() override { feed.reset(); }
  bool lends() const override { return lent.load(std::memory_order_seq_cst); }
  void cancel(bool only_handler) override {
    if (only_handler && !in_handler.load(std::memory_order_seq_cst)) return;
    cancelled.store(true, std::memory_order_seq_cst);
    feed->cancel();
  }

  std::unique_ptr<Feed> feed;
  const OpenTable* table = nullptr;
  std::string key;
  std::atomic<bool> in_handler{false};
  std::atomic<bool> cancelled{false};
  std::atomic<bool> lent{false};  // the last `next` gave a change
};

OpenFeed& of(tenon_feed_t* feed) { return *static_cast<OpenFeed*>(feed); }

tenon_status tables_feed_begin(tenon_table_t* table, uint64_t from, tenon_feed_t** feed) {
  if (table == nullptr || feed == nullptr) return TENON_ERROR_ARGUMENT;
  *feed = nullptr;
  const OpenTable& open = of(table);
  TablesFace& face = *open.face;
  const TablesFace::Entry entry(face);
  if (!entry) return TENON_ERROR_STATE;
  if (face.on_front()) return TENON_ERROR_AGAIN;
  if (!face.may_read(open)) return TENON_ERROR_DENIED;
  Store& store = face.store();
  auto fresh = std::make_unique<OpenFeed>(face);
  fresh->table = &open;
  StoreFailure failure;
  fresh->feed = store.feed({open.table}, from == 0 ? store.sequence() : from, failure);
  if (!fresh->feed) return failure.status;
  *feed = fresh.get();
  face.keep(std::move(fresh));
  return TENON_OK;
}

tenon_status tables_feed_next(tenon_feed_t* feed, uint32_t timeout_ms, tenon_change_t* change) {
  if (feed == nullptr || change == nullptr || change->size < sizeof(tenon_change_t)) return TENON_ERROR_ARGUMENT;
  OpenFeed& own = of(feed);
  TablesFace& face = own.face;
  const TablesFace::Entry entry(face);
  if (!entry) return TENON_ERROR_STATE;
  if (face.on_front()) return TENON_ERROR_AGAIN;
  if (!face.may_read(*own.table)) return TENON_ERROR_DENIED;
  // Said first, then looked: `drain` and `retire` do it the other way round.
  const bool in_handler = Pool::is_pool_thread();
  own.in_handler.store(in_handler, std::memory_order_seq_cst);
  own.lent.store(false, std::memory_order_seq_cst);
  Store::Change next;
  StoreFailure failure;
  const bool may_wait =
      !own.cancelled.load(std::memory_order_seq_cst) && !face.retiring() && !(in_handler && face.draining());
  const bool came = may_wait && own.feed->next(timeout_ms, next, failure);
  own.in_handler.store(false, std::memory_order_seq_cst);
  if (!may_wait) return TENON_ERROR_CANCELLED;
  if (!came) return failure.status;
  // It may have waited for long.
  if (!face.may_read(*own.table)) return TENON_ERROR_DENIED;
  own.lent.store(true, std::memory_order_seq_cst);
  own.key = key_text(*own.table->definition, next.key);
  change->deleted = next.removed ? 1 : 0;
  change->sequence = next.sequence;
  change->key = bytes(own.key);
  change->record = as_record(next.removed ? std::string_view() : next.record);
  return TENON_OK;
}

void tables_feed_end(tenon_feed_t* feed) {
  if (feed != nullptr) give_back(of(feed));
}

constexpr tenon_host_tables_t kTables = {sizeof(tenon_host_tables_t),
                                         tables_open,
                                         tables_field,
                                         tables_get,
                                         tables_release,
                                         tables_put,
                                         tables_patch,
                                         tables_remove,
                                         tables_batch_begin,
                                         tables_batch_put,
                                         tables_batch_patch,
                                         tables_batch_remove,
                                         tables_batch_commit,
                                         tables_batch_discard,
                                         tables_scan,
                                         tables_next,
                                         tables_scan_end,
                                         tables_count,
                                         tables_feed_begin,
                                         tables_feed_next,
                                         tables_feed_end};

}  // namespace

bool is_granted(const std::vector<std::string>& grants, std::string_view database, std::string_view table, bool write) {
  return std::any_of(grants.begin(), grants.end(), [&](std::string_view grant) {
    const size_t colon = grant.find(':');
    const size_t dot = grant.find('.');
    if (colon == std::string_view::npos || dot == std::string_view::npos || dot < colon) return false;
    const std::string_view right = grant.substr(0, colon);
    const std::string_view name = grant.substr(dot + 1);
    return (right == "write" || (right == "read" && !write)) && grant.substr(colon + 1, dot - colon - 1) == database &&
           (name == "*" || name == table);
  });
}

std::shared_ptr<TablesFace> TablesFace::make(const Front& front, TablesAccess access,
                                             std::shared_ptr<Permissions> permissions) {
  if (!access.store) return nullptr;
  const std::shared_ptr<OpenStore> store = access.store;
  auto face = std::make_shared<TablesFace>(front, std::move(access), std::move(permissions));
  return store->attach(face) ? face : nullptr;
}

const tenon_host_tables_t& TablesFace::functions() { return kTables; }

tenon_status TablesFace::may_add(tenon_table_t& table, bool needs_key, const tenon_value_t* key) {
  const OpenTable& open = of(&table);
  const Entry entry(*open.face);
  if (!entry) return TENON_ERROR_STATE;
  Write write;
  return make_write(open, needs_key ? Write::Kind::Remove : Write::Kind::Put, key, nullptr, write, nullptr);
}

void TablesFace::cancel(tenon_feed_t& feed) {
  OpenFeed& own = of(&feed);
  const Entry entry(own.face);
  if (entry) own.cancel(false);
}

TablesFace::TablesFace(const Front& front, TablesAccess access, std::shared_ptr<Permissions> permissions)
    : front_(front), access_(std::move(access)), permissions_(std::move(permissions)) {}

TablesFace::~TablesFace() {
  for (Shelf& shelf : shelves_) {
    for (Holding** const list : {&shelf.first, &shelf.spare}) {
      while (*list != nullptr) const std::unique_ptr<Holding> shell(std::exchange(*list, (*list)->after_));
    }
  }
}

void TablesFace::open() {
  State early = State::Early;
  state_.compare_exchange_strong(early, State::Open, std::memory_order_seq_cst);
}

void TablesFace::drain() {
  draining_.store(true, std::memory_order_seq_cst);
  const Entry entry(*this);
  if (entry) visit([](Holding& holding) { holding.cancel(true); });
}

void TablesFace::serve() { draining_.store(false, std::memory_order_seq_cst); }

void TablesFace::retire() {
  State expected = State::Open;
  state_.compare_exchange_strong(expected, State::Retiring, std::memory_order_seq_cst);
  const Entry entry(*this);
  if (entry) visit([](Holding& holding) { holding.cancel(false); });
}

void TablesFace::close() {
  state_.store(State::Closed, std::memory_order_seq_cst);
  look_around();
}

void TablesFace::dismiss() {
  retire();
  State present = state_.load(std::memory_order_seq_cst);
  while (present != State::Closed &&
         !state_.compare_exchange_weak(present, State::Dismissed, std::memory_order_seq_cst)) {
  }
  look_around();
}

bool TablesFace::on_front() const { return front_.is_current_thread(); }

// Count first, then look; `close` writes first, then looks at the count. One of the two sees the other, so nothing is
// taken back while somebody is inside.
bool TablesFace::enter(Entry::Purpose purpose) {
  inside_.fetch_add(1, std::memory_order_seq_cst);
  const State state = state_.load(std::memory_order_seq_cst);
  if (state == State::Open || state == State::Retiring) return true;
  if (state == State::Dismissed && purpose == Entry::Purpose::GiveBack) return true;
  leave();
  return false;
}

void TablesFace::leave() {
  if (inside_.fetch_sub(1, std::memory_order_seq_cst) == 1) look_around();
}

// The count is looked at after the state: one who came in before that was written is seen, one who comes after it is
// refused, but to give back. So once it is dismissed nothing more is lent, and when nothing is, it is closed; whoever
// gives something else back at that moment is inside, and looks around as well.
void TablesFace::look_around() {
  const State state = state_.load(std::memory_order_seq_cst);
  if (state != State::Dismissed && state != State::Closed) return;
  if (inside_.load(std::memory_order_seq_cst) != 0) return;
  if (state == State::Closed) {
    let_go();
  } else if (!lends()) {
    close();
  }
}

bool TablesFace::lends() {
  bool any = false;
  visit([&any](const Holding& holding) { any = any || holding.lends(); });
  return any;
}

void TablesFace::let_go() {
  if (gone_.exchange(true, std::memory_order_acq_rel)) return;
  const std::shared_ptr<TablesFace> self = shared_from_this();
  visit([](Holding& holding) { holding.let_go(); });
  const std::shared_ptr<OpenStore> store = std::move(access_.store);
  store->detach(*this);
}

tenon_status TablesFace::find(std::string_view name, tenon_table_t** table) {
  *table = nullptr;
  const size_t dot = name.find('.');
  const bool qualified = dot != std::string_view::npos;
  const std::string_view database = qualified ? name.substr(0, dot) : std::string_view(access_.database);
  const std::string_view plain = qualified ? name.substr(dot + 1) : name;
  const bool own = database == access_.database;
  const bool readable = own || is_granted(access_.grants, database, plain, false);
  const std::string full = own ? std::string() : std::string(database).append(".").append(plain);
  if (!readable && !permissions_->bound()) return permissions_->deny(Permit::TablesRead, full), TENON_ERROR_DENIED;
  if (!readable && !permissions_->allow(Permit::TablesRead, full)) return TENON_ERROR_DENIED;
  Table* const found = store().find(database, plain);
  if (found == nullptr) return TENON_ERROR_NOT_FOUND;
  const std::lock_guard<std::mutex> lock(tables_mutex_);
  for (const std::unique_ptr<OpenTable>& open : tables_) {
    if (open->table == found) return *table = open.get(), TENON_OK;
  }
  auto open = std::make_unique<OpenTable>();
  open->face = this;
  open->table = found;
  open->definition = store().definition(*found);
  open->readable = readable;
  open->writable = own || is_granted(access_.grants, database, plain, true);
  open->name = full;
  *table = open.get();
  tables_.push_back(std::move(open));
  return TENON_OK;
}

// Nobody who is bound by nothing has tables of others but those of `grants`.
bool TablesFace::may(const OpenTable& table, Permit permit) {
  constexpr uint64_t kRead = 1;
  constexpr uint64_t kWrite = 2;
  const uint64_t wanted = permit == Permit::TablesRead ? kRead : kWrite;
  uint64_t known = table.known.load(std::memory_order_acquire);
  const uint64_t epoch = permissions_->epoch();
  if (known >> 2 != epoch) {
    known = epoch << 2;
    if (permissions_->bound()) {
      if (permissions_->covers(Permit::TablesRead, table.name)) known |= kRead;
      if (permissions_->covers(Permit::TablesWrite, table.name)) known |= kWrite;
    }
    table.known.store(known, std::memory_order_release);
  }
  if ((known & wanted) != 0) return true;
  permissions_->deny(permit, table.name);
  return false;
}

size_t TablesFace::own_shelf() {
  static std::atomic<size_t> threads{0};
  thread_local const size_t own = threads.fetch_add(1, std::memory_order_relaxed) % kShelves;
  return own;
}

void TablesFace::link(Shelf& shelf, Holding& holding) {
  holding.before_ = nullptr;
  holding.after_ = shelf.first;
  if (shelf.first != nullptr) shelf.first->before_ = &holding;
  shelf.first = &holding;
}

void TablesFace::unlink(Shelf& shelf, Holding& holding) {
  (holding.before_ != nullptr ? holding.before_->after_ : shelf.first) = holding.after_;
  if (holding.after_ != nullptr) holding.after_->before_ = holding.before_;
}

TablesFace::RecordHold& TablesFace::lend(const tenon_record_t& record) {
  const size_t own = own_shelf();
  Shelf& shelf = shelves_[own];
  const std::lock_guard<std::mutex> lock(shelf.mutex);
  RecordHold* hold = static_cast<RecordHold*>(shelf.spare);
  if (hold != nullptr) {
    shelf.spare = hold->after_;
    shelf.spares--;
  } else {
    hold = std::make_unique<RecordHold>(*this).release();
    hold->shelf_ = own;
  }
  hold->record = record;
  link(shelf, *hold);
  return *hold;
}

// Under the mutex of the shelf `let_go` has been there already, and there is nothing left to release, or it has yet to
// come, and the store is open until then. Who dismisses writes the state before it looks at the shelf: either it sees
// that this is not lent any more, or it is seen here.
void TablesFace::give_back(RecordHold& hold) {
  {
    Shelf& shelf = shelves_[hold.shelf_];
    const std::lock_guard<std::mutex> lock(shelf.mutex);
    unlink(shelf, hold);
    hold.let_go();
    if (shelf.spares < kSpares) {
      hold.after_ = std::exchange(shelf.spare, &hold);
      shelf.spares++;
    } else {
      const std::unique_ptr<RecordHold> shell(&hold);
    }
  }
  const State state = state_.load(std::memory_order_seq_cst);
  if (state != State::Dismissed && state != State::Closed) return;
  const Entry entry(*this, Entry::Purpose::GiveBack);  // whose end looks around
}

void TablesFace::keep(std::unique_ptr<Holding> holding) {
  Holding& kept = *holding;
  kept.shelf_ = own_shelf();
  Shelf& shelf = shelves_[kept.shelf_];
  {
    const std::lock_guard<std::mutex> lock(shelf.mutex);
    link(shelf, *holding.release());
  }
  // It may have come after the look that `retire` took at what there is.
  if (retiring()) kept.cancel(false);
}

std::unique_ptr<TablesFace::Holding> TablesFace::take(Holding& holding) {
  Shelf& shelf = shelves_[holding.shelf_];
  const std::lock_guard<std::mutex> lock(shelf.mutex);
  unlink(shelf, holding);
  return std::unique_ptr<Holding>(&holding);
}

template <typename Visit>
void TablesFace::visit(Visit visit) {
  for (Shelf& shelf : shelves_) {
    const std::lock_guard<std::mutex> lock(shelf.mutex);
    for (Holding* holding = shelf.first; holding != nullptr; holding = holding->after_) visit(*holding);
  }
}

}  // namespace tenon::core
