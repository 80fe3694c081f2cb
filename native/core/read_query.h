#ifndef TENON_CORE_READ_QUERY_H
#define TENON_CORE_READ_QUERY_H

#include <optional>
#include <string_view>

#include "store.h"

namespace tenon::core {

constexpr uint64_t kQueryLimit = 10'000;    // records in a page
constexpr size_t kQueryOrders = 16;         // fields to sort by
constexpr size_t kQueryBytes = 256 * 1024;  // of the text

// The query in `json`, an object as TableQuery of src/binding/store.ts. Nothing and `problem`: it is none, or names
// fields that the table has not.
std::optional<Query> read_query(const Definition& definition, std::string_view json, TableProblem& problem);

}  // namespace tenon::core

#endif
