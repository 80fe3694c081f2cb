#include <mutex>
#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "tables_service.h"

namespace tenon::isolated {

namespace {

// Only what is too large for one message is kept here before it is committed, and a runner does that once at a time.
constexpr size_t kBatches = 2;

struct HeldBatch {
  HeldBatch(const tenon_host_tables_t& functions, tenon_batch_t* held) : tables(functions), batch(held) {}
  HeldBatch(const HeldBatch&) = delete;
  HeldBatch& operator=(const HeldBatch&) = delete;
  ~HeldBatch() {
    if (batch != nullptr) tables.batch_discard(batch);
  }

  const tenon_host_tables_t& tables;
  tenon_batch_t* batch;  // null: it was committed
  std::mutex mutex;      // whoever has it uses the batch
};

struct Addition {
  wire::TableWrite kind;
  tenon_table_t* table;
  uint32_t mode;
  bool has_key;
  tenon_value_t key;
  tenon_bytes_t json;
};

bool read(TablesQuestion& question, std::vector<Addition>& additions) {
  const uint32_t count = question.reader.count(10);
  if (count > TENON_TABLE_BATCH_LIMIT) return false;
  for (uint32_t index = 0; index < count && question.reader.whole(); index++) {
    Addition& own = additions.emplace_back();
    own.kind = static_cast<wire::TableWrite>(question.reader.get<uint8_t>());
    if (own.kind < wire::TableWrite::Put || own.kind > wire::TableWrite::Remove) return false;
    own.table = question.table();
    if (own.table == nullptr) return false;
    if (own.kind == wire::TableWrite::Put) {
      own.mode = question.reader.get<uint32_t>();
    } else {
      own.has_key = question.key(own.key) != nullptr;
    }
    if (own.kind != wire::TableWrite::Remove) own.json = question.reader.bytes();
  }
  return question.reader.ended();
}

tenon_status add(const tenon_host_tables_t& tables, tenon_batch_t* batch, const Addition& one) {
  const tenon_value_t* const key = one.has_key ? &one.key : nullptr;
  switch (one.kind) {
    case wire::TableWrite::Put:
      return tables.batch_put(batch, one.table, one.json, one.mode);
    case wire::TableWrite::Patch:
      return tables.batch_patch(batch, one.table, key, one.json);
    default:
      return tables.batch_remove(batch, one.table, key);
  }
}

// The runner has been told all of it when the write was added; these have come true since.
const char* why(tenon_status status) {
  switch (status) {
    case TENON_ERROR_STATE:
      return "tables are there from ready until shutdown has returned";
    case TENON_ERROR_DENIED:
      return "no permission to write to this table";
    case TENON_ERROR_TOO_LARGE:
      return "a batch has at most 100,000 writes and 256 MiB";
    default:
      return "a write of the batch is not sound";
  }
}

void refuse(TablesQuestion& question, tenon_status status) {
  question.writer.put<int32_t>(status).text(std::string_view()).text(std::string_view(why(status)));
}

bool fill(TablesQuestion& question, bool commit) {
  Holdings& holdings = question.session.holdings;
  auto number = question.reader.get<uint64_t>();
  std::vector<Addition> additions;
  if (!read(question, additions)) return false;
  std::shared_ptr<HeldBatch> held;
  if (number != 0) {
    held = holdings.find<HeldBatch>(kHeldBatch, number);
    if (held == nullptr) return false;
  } else {
    tenon_batch_t* batch = nullptr;
    const tenon_status status = question.tables.batch_begin(&question.session.host(), &batch);
    if (status != TENON_OK) return refuse(question, status), true;
    held = std::make_shared<HeldBatch>(question.tables, batch);
    // Before it is filled: others fill theirs meanwhile.
    if (!commit && (number = holdings.add_below(kBatches, kHeldBatch, held)) == 0) return false;
  }
  const std::unique_lock<std::mutex> lock(held->mutex, std::try_to_lock);
  if (!lock || held->batch == nullptr) return false;
  for (const Addition& one : additions) {
    const tenon_status status = add(question.tables, held->batch, one);
    if (status == TENON_OK) continue;
    holdings.drop(kHeldBatch, number);
    return refuse(question, status), true;
  }
  if (!commit) {
    question.writer.put<int32_t>(TENON_OK);
    question.writer.put<uint64_t>(number);
    return true;
  }
  holdings.drop(kHeldBatch, number);
  tenon_table_problem_t problem = no_problem();
  const tenon_status status = question.tables.batch_commit(std::exchange(held->batch, nullptr), &problem);
  question.tell(status, problem);
  return true;
}

}  // namespace

bool serve_batch(TablesQuestion& question, uint16_t code) {
  if (code == wire::kUpTablesBatchBegin) {
    if (!question.reader.ended()) return false;
    tenon_batch_t* batch = nullptr;
    const tenon_status status = question.tables.batch_begin(&question.session.host(), &batch);
    question.writer.put<int32_t>(status);
    if (status == TENON_OK) question.tables.batch_discard(batch);
    return true;
  }
  if (code != wire::kUpTablesMayAdd) return fill(question, code == wire::kUpTablesBatchCommit);
  tenon_table_t* const table = question.table();
  const bool needs_key = question.reader.flag();
  tenon_value_t space;
  const tenon_value_t* const key = question.key(space);
  if (table == nullptr || !question.reader.ended()) return false;
  question.writer.put<int32_t>(core::TablesFace::may_add(*table, needs_key, key));
  return true;
}

}  // namespace tenon::isolated
