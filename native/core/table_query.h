#ifndef TENON_CORE_TABLE_QUERY_H
#define TENON_CORE_TABLE_QUERY_H

#include "store_body.h"

namespace tenon::core {

// Store::query, count and scan; the first two while the gate is passed.
std::optional<Page> query_table(Store::Body& body, const Table& table, const Query& query, StoreFailure& failure);
std::optional<uint64_t> count_table(Store::Body& body, const Table& table, const Filter& filter, StoreFailure& failure);
std::unique_ptr<Store::Cursor> scan_table(Store::Body& body, const Table& table, const tenon_scan_t& scan,
                                          StoreFailure& failure);

}  // namespace tenon::core

#endif
