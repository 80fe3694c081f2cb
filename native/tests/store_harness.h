#ifndef TENON_TESTS_STORE_HARNESS_H
#define TENON_TESTS_STORE_HARNESS_H

#include <memory>
#include <string>
#include <vector>

#include "definition.h"
#include "store.h"

namespace tenon::test {

// A folder that is there as long as this is.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path(const std::string& name = "tables") const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Of TENON_ROCKSDB, else the one the project brings.
std::vector<std::string> rocksdb_libraries();
core::StoreOptions options_in(const std::string& directory);

// Fails the test when there is none.
std::unique_ptr<core::Store> open_store(const core::StoreOptions& options);
core::Definition definition_of(const std::string& json);
core::Table* define(core::Store& store, const std::string& json);

// {"id","title","state" (indexed),"rank" (Int, indexed)}
extern const char* const kTask;

std::string key_of(const core::Store& store, const core::Table& table, const std::string& text);
// Of a text that lasts as long as the write.
core::Write put(core::Table* table, const std::string& json);
core::Write removal(core::Table* table, const std::string& key);
bool write(core::Store& store, core::Write write);
// The JSON of a record; "none" without one.
std::string read(core::Store& store, const core::Table& table, const std::string& key);
core::Filter filter_of(const core::Store& store, const core::Table& table, const std::string& json);
uint32_t field_of(const core::Store& store, const core::Table& table, const std::string& name);

}  // namespace tenon::test

#endif
