#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "remote_tables.h"

namespace tenon::runner {

namespace {

std::mutex mutex;
std::unordered_map<uint64_t, std::unique_ptr<tenon_table_t>> tables;

// What fits is what the host has sent.
template <size_t Size>
void copy_text(std::string_view text, char (&to)[Size]) {
  const size_t size = text.size() < Size ? text.size() : Size - 1;
  if (size > 0) std::memcpy(to, text.data(), size);
  to[size] = '\0';
}

tenon_status open(const tenon_host_t* host, tenon_bytes_t name, tenon_table_t** table) {
  if (table == nullptr || !is_sound(name)) return TENON_ERROR_ARGUMENT;
  wire::Writer writer;
  writer.text(name_of(name));
  const std::string answer = Host::of(host).ask(wire::kUpTablesOpen, {writer.bytes()});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  // As in process: what it was stays until the table is looked for.
  if (status == TENON_ERROR_STATE) return status;
  *table = nullptr;
  if (status != TENON_OK) return status;
  const auto number = reader.get<uint64_t>();
  const std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<tenon_table_t>& known = tables[number];
  if (!known) {
    known = std::make_unique<tenon_table_t>();
    known->number = number;
    known->is_own = reader.flag();
    known->key_kind = reader.get<int32_t>();
    const uint32_t count = reader.count(8);
    for (uint32_t index = 0; index < count; index++) {
      known->fields.emplace(reader.text(), static_cast<int32_t>(index));
    }
  }
  *table = known.get();
  return TENON_OK;
}

int32_t field(const tenon_table_t* table, tenon_bytes_t name) {
  if (table == nullptr || !is_sound(name)) return -1;
  const std::string wanted(name_of(name));
  if (const auto known = table->fields.find(wanted); known != table->fields.end()) return known->second;
  wire::Writer writer;
  writer.put(table->number).text(wanted);
  const std::string answer = Host::instance().ask(wire::kUpTablesField, {writer.bytes()});
  return wire::Reader(answer).get<int32_t>();
}

tenon_status get(tenon_table_t* table, const tenon_value_t* key, tenon_record_t* record) {
  if (table == nullptr || record == nullptr || record->size < sizeof(tenon_record_t)) return TENON_ERROR_ARGUMENT;
  record->bytes = {nullptr, 0};
  record->hold = nullptr;
  wire::Writer writer;
  writer.put(table->number);
  write_key(writer, key);
  auto answer = std::make_unique<std::string>(Host::instance().ask(wire::kUpTablesGet, {writer.bytes()}));
  wire::Reader reader(*answer);
  const auto status = reader.get<int32_t>();
  if (status != TENON_OK) return status;
  record->bytes = reader.bytes();
  record->hold = answer.release();
  return TENON_OK;
}

void release(tenon_record_t* record) {
  if (record == nullptr) return;
  record->bytes = {nullptr, 0};
  const std::unique_ptr<std::string> own(static_cast<std::string*>(std::exchange(record->hold, nullptr)));
}

// Sends `head`, and `json` behind it when there is one.
tenon_status write(uint16_t code, wire::Writer& head, const tenon_bytes_t* json, tenon_table_problem_t* problem) {
  std::string_view text;
  if (json != nullptr) {
    if (const tenon_status status = check_json(*json, problem); status != TENON_OK) return status;
    text = json->size == 0 ? std::string_view() : std::string_view(json->data, json->size);
    head.put<uint64_t>(text.size());
  }
  const std::string answer = Host::instance().ask(code, {head.bytes(), text});
  wire::Reader reader(answer);
  return take_status(reader, problem);
}

tenon_status put(tenon_table_t* table, tenon_bytes_t json, uint32_t mode, tenon_table_problem_t* problem) {
  if (mode > TENON_PUT_REPLACE) return tell(TENON_ERROR_ARGUMENT, "mode: one of TENON_PUT_ is needed", problem);
  if (table == nullptr) return tell(TENON_ERROR_ARGUMENT, "a table is needed", problem);
  wire::Writer writer;
  writer.put(table->number).put(mode);
  return write(wire::kUpTablesPut, writer, &json, problem);
}

tenon_status patch(tenon_table_t* table, const tenon_value_t* key, tenon_bytes_t json, tenon_table_problem_t* problem) {
  if (table == nullptr) return tell(TENON_ERROR_ARGUMENT, "a table is needed", problem);
  wire::Writer writer;
  writer.put(table->number);
  write_key(writer, key);
  return write(wire::kUpTablesPatch, writer, &json, problem);
}

tenon_status remove_record(tenon_table_t* table, const tenon_value_t* key, tenon_table_problem_t* problem) {
  if (table == nullptr) return tell(TENON_ERROR_ARGUMENT, "a table is needed", problem);
  wire::Writer writer;
  writer.put(table->number);
  write_key(writer, key);
  return write(wire::kUpTablesRemove, writer, nullptr, problem);
}

tenon_status count(tenon_table_t* table, bool exact, uint64_t* counted) {
  if (table == nullptr || counted == nullptr) return TENON_ERROR_ARGUMENT;
  wire::Writer writer;
  writer.put(table->number).put(exact);
  const std::string answer = Host::instance().ask(wire::kUpTablesCount, {writer.bytes()});
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  if (status == TENON_OK) *counted = reader.get<uint64_t>();
  return status;
}

constexpr tenon_host_tables_t kTables = {sizeof(tenon_host_tables_t),
                                         open,
                                         field,
                                         get,
                                         release,
                                         put,
                                         patch,
                                         remove_record,
                                         tables_batch_begin,
                                         tables_batch_put,
                                         tables_batch_patch,
                                         tables_batch_remove,
                                         tables_batch_commit,
                                         tables_batch_discard,
                                         tables_scan,
                                         tables_next,
                                         tables_scan_end,
                                         count,
                                         tables_feed_begin,
                                         tables_feed_next,
                                         tables_feed_end};

}  // namespace

void write_value(wire::Writer& writer, const tenon_value_t& value, std::string_view text) {
  writer.put(value.kind).put(value.escaped != 0).put(value.integer).put(value.number).text(text);
}

void write_key(wire::Writer& writer, const tenon_value_t* key) {
  const bool is_key = key != nullptr && is_sound(key->text);
  writer.put(is_key);
  if (is_key) write_value(writer, *key, text_of(*key).substr(0, kNameBytes));
}

tenon_status tell(tenon_status status, const char* message, tenon_table_problem_t* problem) {
  if (problem == nullptr || problem->size < sizeof(tenon_table_problem_t)) return status;
  copy_text({}, problem->field);
  copy_text(message, problem->message);
  return status;
}

tenon_status take_status(wire::Reader& reader, tenon_table_problem_t* problem) {
  const auto status = reader.get<int32_t>();
  if (status == TENON_OK || problem == nullptr || problem->size < sizeof(tenon_table_problem_t)) return status;
  copy_text(reader.text(), problem->field);
  copy_text(reader.text(), problem->message);
  return status;
}

tenon_status check_json(tenon_bytes_t json, tenon_table_problem_t* problem) {
  if (!is_sound(json)) return tell(TENON_ERROR_ARGUMENT, "json is needed", problem);
  if (json.size > TENON_TABLE_RECORD_LIMIT) return tell(TENON_ERROR_TOO_LARGE, "a record has at most 16 MiB", problem);
  return TENON_OK;
}

const void* tables_functions() {
  static const bool is_offered = [] {
    const std::string answer = Host::instance().ask(wire::kUpTables, {});
    return wire::Reader(answer).flag();
  }();
  return is_offered ? &kTables : nullptr;
}

}  // namespace tenon::runner
