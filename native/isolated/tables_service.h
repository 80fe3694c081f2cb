#ifndef TENON_ISOLATED_TABLES_SERVICE_H
#define TENON_ISOLATED_TABLES_SERVICE_H

#include <cstdint>
#include <memory>

#include "holdings.h"
#include "services.h"
#include "session.h"
#include "tables_face.h"

namespace tenon::isolated {

enum TablesKind : Holdings::Kind { kHeldTable = 220, kHeldCursor, kHeldFeed, kHeldBatch };

// One question about tables. What serves a part of them is in a file of its own; each as serve_tables.
struct TablesQuestion {
  Session& session;
  const tenon_host_tables_t& tables;
  wire::Reader& reader;
  wire::Writer& writer;

  // Null: the runner has none of this number.
  tenon_table_t* table() { return session.holdings.find<tenon_table_t>(kHeldTable, reader.get<uint64_t>()).get(); }
  tenon_value_t value() {
    tenon_value_t value = {};
    value.kind = reader.get<uint32_t>();
    value.escaped = reader.flag() ? 1 : 0;
    value.integer = reader.get<int64_t>();
    value.number = reader.get<double>();
    value.text = reader.bytes();
    return value;
  }
  // Null without one; else in `space`.
  const tenon_value_t* key(tenon_value_t& space) {
    if (!reader.flag()) return nullptr;
    space = value();
    return &space;
  }
  // False when it is not TENON_OK, and why is written, too.
  bool tell(tenon_status status, const tenon_table_problem_t& problem) {
    writer.put<int32_t>(status);
    if (status != TENON_OK) writer.text(problem.field).text(problem.message);
    return status == TENON_OK;
  }
};

inline tenon_table_problem_t no_problem() {
  tenon_table_problem_t problem = {};
  problem.size = sizeof problem;
  return problem;
}

bool serve_batch(TablesQuestion& question, uint16_t code);
bool serve_scan(TablesQuestion& question, uint16_t code);
bool serve_feed(TablesQuestion& question, uint16_t code);

}  // namespace tenon::isolated

#endif
