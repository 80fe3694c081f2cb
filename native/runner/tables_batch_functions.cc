#include <atomic>
#include <memory>
#include <mutex>

#include "json.h"
#include "remote_tables.h"

namespace tenon::runner {

namespace {

// What is beyond one message is kept by the host meanwhile: one batch at a time.
std::mutex mutex_of_large;
constexpr int64_t kSafeInteger = 9007199254740991;

// Whether the host would take it without a question. What is not certain is asked.
bool is_certain(const tenon_table_t& table, bool needs_key, const tenon_value_t* key) {
  if (!table.is_own) return false;
  if (!needs_key) return true;
  if (key == nullptr || static_cast<int32_t>(key->kind) != table.key_kind) return false;
  if (key->kind == TENON_VALUE_INTEGER) return key->integer <= kSafeInteger && key->integer >= -kSafeInteger;
  if (!is_sound(key->text)) return false;
  const std::string_view text = text_of(*key);
  return key->escaped == 0 && !text.empty() && text.size() <= TENON_TABLE_KEY_LIMIT &&
         text.find('\0') == std::string_view::npos && core::is_utf8(text);
}

tenon_status ask_whether(const tenon_table_t& table, bool needs_key, const tenon_value_t* key) {
  wire::Writer writer;
  writer.put(table.number).put(needs_key);
  write_key(writer, key);
  const std::string answer = Host::instance().ask(wire::kUpTablesMayAdd, {writer.bytes()});
  return wire::Reader(answer).get<int32_t>();
}

tenon_status add(tenon_batch_t* batch, tenon_table_t* table, wire::TableWrite kind, uint32_t mode,
                 const tenon_value_t* key, const tenon_bytes_t* json) {
  if (batch == nullptr || table == nullptr) return TENON_ERROR_ARGUMENT;
  const bool needs_key = kind != wire::TableWrite::Put;
  if (!is_certain(*table, needs_key, key)) {
    if (const tenon_status status = ask_whether(*table, needs_key, key); status != TENON_OK) return status;
  }
  if (json != nullptr) {
    if (const tenon_status status = check_json(*json, nullptr); status != TENON_OK) return status;
  }
  const size_t size = json == nullptr ? 0 : json->size;
  if (batch->count == TENON_TABLE_BATCH_LIMIT || size > TENON_TABLE_BATCH_BYTES - batch->json_bytes) {
    return TENON_ERROR_TOO_LARGE;
  }
  batch->count++;
  batch->json_bytes += size;
  wire::Writer write;
  write.put<uint8_t>(static_cast<uint8_t>(kind)).put(table->number);
  if (needs_key) {
    write_key(write, key);
  } else {
    write.put(mode);
  }
  if (batch->pieces.empty() ||
      batch->pieces.back().writes.bytes().size() + write.bytes().size() + size + 8 > wire::kBatchPieceBytes) {
    batch->pieces.emplace_back();
  }
  tenon_batch_t::Piece& piece = batch->pieces.back();
  piece.writes.raw(write.bytes());
  if (json != nullptr) piece.writes.text(*json);
  piece.count++;
  return TENON_OK;
}

std::string send(uint16_t code, uint64_t number, const tenon_batch_t::Piece& piece) {
  wire::Writer head;
  head.put(number).put(piece.count);
  return Host::instance().ask(code, {head.bytes(), piece.writes.bytes()});
}

}  // namespace

// Asked for until it may: from then on a commit is refused in time.
tenon_status tables_batch_begin(const tenon_host_t* host, tenon_batch_t** batch) {
  static std::atomic<bool> is_open{false};
  if (batch == nullptr) return TENON_ERROR_ARGUMENT;
  *batch = nullptr;
  if (!is_open.load(std::memory_order_relaxed)) {
    const std::string answer = Host::of(host).ask(wire::kUpTablesBatchBegin, {});
    const auto status = wire::Reader(answer).get<int32_t>();
    if (status != TENON_OK) return status;
    is_open.store(true, std::memory_order_relaxed);
  }
  *batch = std::make_unique<tenon_batch_t>().release();
  return TENON_OK;
}

tenon_status tables_batch_put(tenon_batch_t* batch, tenon_table_t* table, tenon_bytes_t json, uint32_t mode) {
  if (mode > TENON_PUT_REPLACE) return TENON_ERROR_ARGUMENT;
  return add(batch, table, wire::TableWrite::Put, mode, nullptr, &json);
}

tenon_status tables_batch_patch(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key,
                                tenon_bytes_t json) {
  return add(batch, table, wire::TableWrite::Patch, 0, key, &json);
}

tenon_status tables_batch_remove(tenon_batch_t* batch, tenon_table_t* table, const tenon_value_t* key) {
  return add(batch, table, wire::TableWrite::Remove, 0, key, nullptr);
}

tenon_status tables_batch_commit(tenon_batch_t* batch, tenon_table_problem_t* problem) {
  if (batch == nullptr) return tell(TENON_ERROR_ARGUMENT, "a batch is needed", problem);
  const std::unique_ptr<tenon_batch_t> own(batch);
  if (own->pieces.empty()) own->pieces.emplace_back();
  std::unique_lock<std::mutex> lock(mutex_of_large, std::defer_lock);
  if (own->pieces.size() > 1) lock.lock();
  uint64_t number = 0;
  for (size_t index = 0; index + 1 < own->pieces.size(); index++) {
    const std::string answer = send(wire::kUpTablesBatchAdd, number, own->pieces[index]);
    wire::Reader reader(answer);
    if (const tenon_status status = take_status(reader, problem); status != TENON_OK) return status;
    number = reader.get<uint64_t>();
    own->pieces[index] = {};
  }
  const std::string answer = send(wire::kUpTablesBatchCommit, number, own->pieces.back());
  wire::Reader reader(answer);
  return take_status(reader, problem);
}

void tables_batch_discard(tenon_batch_t* batch) { const std::unique_ptr<tenon_batch_t> own(batch); }

}  // namespace tenon::runner
