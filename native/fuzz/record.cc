// Fuzzes records: as JSON text that is checked, as a patch, and as bytes from a disk:
//   clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -Inative/include \
//     native/core/{json,json_merge,date,hash64,uuid,definition,record,key,filter}.cc native/fuzz/record.cc -o
//     record_fuzz && \
//     ./record_fuzz -max_len=4096
#include "../core/record.h"

#include <cstdlib>
#include <memory>
#include <string_view>

#include "../core/filter.h"
#include "../core/key.h"

namespace {

using namespace tenon::core;

constexpr int64_t kNow = 1769860800123;

constexpr std::string_view kDefinition =
    R"({"database":"d","name":"T","primaryKey":"id","expirationMs":1000,"fields":[{"name":"id","type":{"kind":"ID"}},
    {"name":"s","type":{"kind":"String"},"indexed":true},{"name":"i","type":{"kind":"Int"},"indexed":true},
    {"name":"f","type":{"kind":"Float"},"indexed":true},{"name":"b","type":{"kind":"Boolean"},"indexed":true},
    {"name":"d","type":{"kind":"Date"},"indexed":true},{"name":"e","type":{"kind":"Enum","values":["x","y"]}},
    {"name":"l","type":{"kind":"List","item":{"kind":"Date"}}},{"name":"a","type":{"kind":"Any"}},
    {"name":"o","type":{"kind":"Object","members":[{"name":"a","type":{"kind":"Any"}},{"name":"r","type":
    {"kind":"Int","required":true}},{"name":"o","type":{"kind":"Object","members":[
    {"name":"f","type":{"kind":"Float"}}]}}]}},
    {"name":"c","type":{"kind":"Date"},"role":"createdTime"},{"name":"x","type":{"kind":"Float"},"role":"expiresAt"}]})";

constexpr std::string_view kFilter =
    R"({"or":[{"and":[{"field":"s","op":"like","value":"*a*b"},{"field":"i","op":"gt","value":1}]},
    {"field":"f","op":"lt","value":0.5},{"field":"d","op":"ge","value":"2026-01-31"},
    {"field":"l","op":"contains","value":0},{"field":"o.o.f","op":"eq","value":1},
    {"field":"a.a.a","op":"in","value":["a",1,null]},{"not":{"field":"e","op":"eq","value":"x"}}]})";

void require(bool good) {
  if (!good) std::abort();
}

struct Table {
  Definition definition;
  Filter filter;
  std::string stored;

  Table() {
    TableProblem problem;
    definition = *read_definition(kDefinition, problem);
    filter = *read_filter(definition, kFilter, problem);
    require(make_record(definition, R"({"id":"1","s":"a\n","a":{"a":{"a":1}},"o":{"a":{"b":2},"r":1}})", {kNow, {}, {}},
                        stored, problem));
  }
};

// Whatever a record is asked once it is one.
void read_all(const Table& table, std::string_view record) {
  std::string json;
  for (uint32_t number = 0; number < table.definition.fields.size() + 2; number++) {
    const tenon_value_t value = value_of(record, number);
    size_t sum = 0;
    for (size_t i = 0; i < value.text.size; i++) sum += static_cast<unsigned char>(value.text.data[i]);
    static volatile size_t sink;
    sink = sum;
    if (number >= table.definition.fields.size()) continue;
    const Field& field = table.definition.fields[number];
    std::string entry;
    if (append_index_value(field, value, entry)) require(index_value_size(field, entry) == entry.size());
    project(table.definition, record, {number}, json);
  }
  project(table.definition, record, {}, json);
  matches(table.filter, record);
  expiry_of(record);
  revision_of(record);
}

// A record that was made is one, and its text makes the same once more.
void made(const Table& table, const std::string& record, const RecordOrigin& origin) {
  TableProblem problem;
  std::string again;
  require(is_record(record));
  read_all(table, record);
  require(make_record(table.definition, json_of(record), origin, again, problem));
  require(again == record);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Table table;
  // A copy of the exact size: the fuzzer's own buffer may be followed by readable bytes.
  const auto copy = std::make_unique<char[]>(size);
  for (size_t i = 0; i < size; i++) copy[i] = static_cast<char>(data[i]);
  const std::string_view bytes(copy.get(), size);
  TableProblem problem;
  std::string record;

  const RecordOrigin fresh{kNow, {}, {}};
  if (make_record(table.definition, bytes, fresh, record, problem)) {
    made(table, record, fresh);
  } else {
    require(!problem.message.empty());
  }
  const RecordOrigin later{kNow + 5, table.stored, "1"};
  if (patch_record(table.definition, bytes, later, record, problem)) made(table, record, later);
  if (is_record(bytes)) {
    read_all(table, bytes);
    patch_record(table.definition, R"({"i":1,"a":{"a":1},"o":{"r":2}})", {kNow, bytes, {}}, record, problem);
  }
  read_filter(table.definition, bytes, problem);
  if (const auto definition = read_definition(bytes, problem)) {
    const std::string json = write_definition(*definition);
    const auto again = read_definition(json, problem);
    require(again && write_definition(*again) == json);
  }
  return 0;
}
