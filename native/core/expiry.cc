#include "record.h"
#include "store_body.h"
#include "table_walk.h"

namespace tenon::core {

namespace {

constexpr size_t kSlice = 256;
constexpr size_t kTimeBytes = 8;

}  // namespace

void Store::Body::sweep_expired() {
  std::vector<Table*> present;
  {
    const std::lock_guard<std::mutex> lock(catalogue_mutex);
    for (const auto& table : tables) present.push_back(table.get());
  }
  const int64_t now_ms = wall_clock_ms();
  for (Table* const table : present) {
    std::string behind;
    while (!stopping() && sweep(*table, now_ms, behind)) {
    }
  }
}

// Removes some of the records that have expired, with entries after `behind`, which moves on. False when there are none
// left, or when it cannot. What cannot be read stays for another time.
bool Store::Body::sweep(Table& table, int64_t now_ms, std::string& behind) {
  const Passage passage(gate);
  StoreFailure failure;
  const LayoutHold seen(table);
  if (seen->expiry == nullptr || table.dropped.load() || !writable(failure)) return false;
  const std::string end = expiry_entry(now_ms + 1, {});
  std::vector<std::string> entries;
  {
    Walk walk(*library, database, read_options.get(), *seen->expiry);
    for (walk.seek(behind); entries.size() < kSlice && walk.valid() && walk.key() < end; walk.next()) {
      if (walk.key() != behind) entries.emplace_back(walk.key());
    }
  }
  if (entries.empty()) return false;
  Stripes::Hold hold(stripes);
  for (const std::string& entry : entries) hold.want(Stripes::hash(table, std::string_view(entry).substr(kTimeBytes)));
  hold.lock();
  if (table.dropped.load()) return false;
  const Layout& layout = *table.layout.load();
  WriteBatch batch(*library);
  Pinned record(*library);
  Turn turn(*this);
  size_t done = 0;
  for (; done < entries.size() && turn.goes_on(); done++) {
    const std::string& entry = entries[done];
    const std::string_view key = std::string_view(entry).substr(kTimeBytes);
    if (!read(*layout.records, key, read_options.get(), record, failure)) continue;
    const bool here = record && is_record(record.view());
    if (here && expiry_entry(expiry_of(record.view()), key) == entry) {
      append_index_changes(layout, key, record.view(), {}, batch);
      batch.remove(*layout.records, key);
    } else {
      batch.remove(*layout.expiry, entry);
    }
  }
  behind = entries[done - 1];
  return (batch.empty() || commit(batch, failure)) && (done < entries.size() || entries.size() == kSlice);
}

}  // namespace tenon::core
