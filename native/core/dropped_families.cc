#include <algorithm>

#include "store_body.h"

namespace tenon::core {

namespace {

// A record is read without a LayoutHold.
bool has_records(const Family& family) { return family.name.compare(0, 2, "t:") == 0; }

bool is_waiting(const Family& family) { return family.dropped && family.handle != nullptr; }

}  // namespace

bool Layout::has(const Family& family) const {
  if (records == &family || expiry == &family) return true;
  return std::any_of(indexes.begin(), indexes.end(),
                     [&family](const Index* index) { return index->family == &family; });
}

// Of the worker. A dropped family has its files until its handle is given back.
void Store::Body::release_dropped() {
  const std::unique_lock<std::mutex> alone(resume_mutex_, std::try_to_lock);
  if (!alone || database == nullptr) return;
  for (rocksdb_column_family_handle_t* const handle : take_dropped()) library->column_family_handle_destroy(handle);
}

std::vector<rocksdb_column_family_handle_t*> Store::Body::take_dropped() {
  const std::lock_guard<std::mutex> lock(catalogue_mutex);
  std::vector<Family*> free;
  bool records = false;
  for (const auto& family : families) {
    if (!is_waiting(*family) || is_held(*family)) continue;
    free.push_back(family.get());
    records = records || has_records(*family);
  }
  // Records go when nobody is inside, were it for a moment; if somebody always is, with the next try.
  const bool quiet = records && gate.shut(0);
  const std::lock_guard<std::mutex> handles(families_mutex);
  std::vector<rocksdb_column_family_handle_t*> taken;
  for (Family* const family : free) {
    if (quiet || !has_records(*family)) taken.push_back(std::exchange(family->handle, nullptr));
  }
  if (quiet) gate.open();
  return taken;
}

bool Store::Body::is_held(const Family& family) const {
  const auto holds = [&family](const Table& table, const Layout& layout) {
    const bool used = layout.holders.load() != 0 || (&layout == table.layout.load() && !table.dropped.load());
    return used && layout.has(family);
  };
  return std::any_of(tables.begin(), tables.end(), [&holds](const auto& table) {
    return std::any_of(table->layouts.begin(), table->layouts.end(),
                       [&](const auto& layout) { return holds(*table, *layout); });
  });
}

}  // namespace tenon::core
