#include "store_harness.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <system_error>

#include "key.h"
#include "record.h"

namespace tenon::test {

using namespace tenon::core;

const char* const kTask =
    R"({"database":"todo","name":"Task","primaryKey":"id","fields":[
      {"name":"id","type":{"kind":"ID","required":true}},
      {"name":"title","type":{"kind":"String"}},
      {"name":"state","type":{"kind":"String"},"indexed":true},
      {"name":"rank","type":{"kind":"Int"},"indexed":true}]})";

Folder::Folder() {
  std::string pattern = std::filesystem::temp_directory_path().string() + "/tenon-store-XXXXXX";
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> rocksdb_libraries() {
  const char* const named = getenv("TENON_ROCKSDB");
  if (named != nullptr) return {named};
  return {TENON_ROCKSDB_PREBUILT};
}

StoreOptions options_in(const std::string& directory) {
  StoreOptions options;
  options.directory = directory;
  options.libraries = rocksdb_libraries();
  return options;
}

std::unique_ptr<Store> open_store(const StoreOptions& options) {
  StoreFailure failure;
  auto store = Store::open(options, failure);
  REQUIRE_MESSAGE(store != nullptr, failure.problem.message);
  return store;
}

Definition definition_of(const std::string& json) {
  TableProblem problem;
  auto definition = read_definition(json, problem);
  REQUIRE_MESSAGE(definition.has_value(), problem.message);
  return *definition;
}

Table* define(Store& store, const std::string& json) {
  StoreFailure failure;
  Table* const table = store.define(definition_of(json), failure);
  REQUIRE_MESSAGE(table != nullptr, failure.problem.message);
  return table;
}

std::string key_of(const Store& store, const Table& table, const std::string& text) {
  std::string key;
  TableProblem problem;
  REQUIRE(append_key_text(*store.definition(table), text, key, problem));
  return key;
}

Write put(Table* table, const std::string& json) {
  Write write;
  write.table = table;
  write.json = json;
  return write;
}

Write removal(Table* table, const std::string& key) {
  Write write;
  write.kind = Write::Kind::Remove;
  write.table = table;
  write.key = key;
  return write;
}

bool write(Store& store, Write write) {
  std::vector<Write> writes;
  writes.push_back(std::move(write));
  std::vector<Written> results;
  StoreFailure failure;
  return store.write(writes, results, failure);
}

std::string read(Store& store, const Table& table, const std::string& key) {
  tenon_record_t record = {};
  StoreFailure failure;
  if (!store.get(table, key_of(store, table, key), false, record, failure)) {
    return failure.status == TENON_ERROR_NOT_FOUND ? "none" : failure.problem.message;
  }
  const std::string json(json_of({record.bytes.data, record.bytes.size}));
  store.release(record);
  return json;
}

Filter filter_of(const Store& store, const Table& table, const std::string& json) {
  TableProblem problem;
  auto filter = read_filter(*store.definition(table), json, problem);
  REQUIRE_MESSAGE(filter.has_value(), problem.message);
  return *filter;
}

uint32_t field_of(const Store& store, const Table& table, const std::string& name) {
  const auto number = store.definition(table)->number_of(name);
  REQUIRE(number.has_value());
  return *number;
}

}  // namespace tenon::test
