#include "tables_service.h"

#include "definition.h"

namespace tenon::isolated {

namespace {

void open(TablesQuestion& question, tenon_bytes_t name) {
  tenon_table_t* table = nullptr;
  const tenon_status status = question.tables.open(&question.session.host(), name, &table);
  question.writer.put<int32_t>(status);
  if (status != TENON_OK) return;
  const auto& opened = static_cast<const core::OpenTable&>(*table);
  const core::Definition& definition = *opened.definition;
  // It is there until the generation is destroyed, and the session is not after that.
  const std::shared_ptr<void> held(table, [](void*) {});
  const bool integer = definition.fields[definition.primary].type.kind == core::FieldType::Kind::Int;
  question.writer.put<uint64_t>(question.session.holdings.add_once(kHeldTable, held)).put(opened.writable);
  question.writer.put<int32_t>(integer ? TENON_VALUE_INTEGER : TENON_VALUE_TEXT);
  question.writer.put<uint32_t>(static_cast<uint32_t>(definition.fields.size()));
  for (const core::Field& field : definition.fields) question.writer.text(field.name);
}

bool get(TablesQuestion& question) {
  tenon_table_t* const table = question.table();
  tenon_value_t space;
  const tenon_value_t* const key = question.key(space);
  if (table == nullptr || !question.reader.ended()) return false;
  tenon_record_t record = {};
  record.size = sizeof record;
  question.writer.put<int32_t>(question.tables.get(table, key, &record)).text(record.bytes);
  question.tables.release(&record);
  return true;
}

bool write(TablesQuestion& question, uint16_t code) {
  tenon_table_t* const table = question.table();
  const uint32_t mode = code == wire::kUpTablesPut ? question.reader.get<uint32_t>() : 0;
  tenon_value_t space;
  const tenon_value_t* const key = code == wire::kUpTablesPut ? nullptr : question.key(space);
  const tenon_bytes_t json = code == wire::kUpTablesRemove ? tenon_bytes_t{nullptr, 0} : question.reader.bytes();
  if (table == nullptr || !question.reader.ended()) return false;
  tenon_table_problem_t problem = no_problem();
  const tenon_host_tables_t& tables = question.tables;
  question.tell(code == wire::kUpTablesPut     ? tables.put(table, json, mode, &problem)
                : code == wire::kUpTablesPatch ? tables.patch(table, key, json, &problem)
                                               : tables.remove(table, key, &problem),
                problem);
  return true;
}

bool count(TablesQuestion& question) {
  tenon_table_t* const table = question.table();
  const bool exact = question.reader.flag();
  if (table == nullptr || !question.reader.ended()) return false;
  uint64_t counted = 0;
  const tenon_status status = question.tables.count(table, exact, &counted);
  question.writer.put<int32_t>(status).put(counted);
  return true;
}

}  // namespace

bool serve_tables(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  const auto* const tables = session.service<tenon_host_tables_t>(TENON_TABLES_ID);
  if (code == wire::kUpTables) return writer.put(tables != nullptr), reader.ended();
  if (tables == nullptr) return false;
  TablesQuestion question = {session, *tables, reader, writer};
  switch (code) {
    case wire::kUpTablesOpen: {
      const tenon_bytes_t name = reader.bytes();
      if (!reader.ended()) return false;
      return open(question, name), true;
    }
    case wire::kUpTablesField: {
      const tenon_table_t* const table = question.table();
      const tenon_bytes_t name = reader.bytes();
      if (table == nullptr || !reader.ended()) return false;
      return writer.put<int32_t>(tables->field(table, name)), true;
    }
    case wire::kUpTablesGet:
      return get(question);
    case wire::kUpTablesPut:
    case wire::kUpTablesPatch:
    case wire::kUpTablesRemove:
      return write(question, code);
    case wire::kUpTablesCount:
      return count(question);
    case wire::kUpTablesBatchBegin:
    case wire::kUpTablesMayAdd:
    case wire::kUpTablesBatchAdd:
    case wire::kUpTablesBatchCommit:
      return serve_batch(question, code);
    case wire::kUpTablesScan:
    case wire::kUpTablesNext:
    case wire::kUpTablesScanEnd:
      return serve_scan(question, code);
    case wire::kUpTablesFeed:
    case wire::kUpTablesFeedNext:
    case wire::kUpTablesFeedEnd:
      return serve_feed(question, code);
    default:
      return false;
  }
}

}  // namespace tenon::isolated
