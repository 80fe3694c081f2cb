#include "record.h"
#include "store_body.h"
#include "table_walk.h"

namespace tenon::core {

namespace {

// Records that are indexed at once, under the locks of their keys.
constexpr size_t kSlice = 256;
// Slices until the walk is begun anew, so that it holds nothing back from being compacted.
constexpr int kWalk = 64;

}  // namespace

void Store::Body::build_indexes() {
  std::vector<std::pair<Table*, Index*>> open;
  {
    const std::lock_guard<std::mutex> lock(catalogue_mutex);
    for (const auto& table : tables) {
      for (const auto& index : table->indexes) {
        if (!index->complete.load() && !index->retired.load()) open.emplace_back(table.get(), index.get());
      }
    }
  }
  for (const auto& [table, index] : open) build_index(*table, *index);
}

// Writers keep the index too: under the lock of a key, what is in it is what the record says, whoever was first.
void Store::Body::build_index(Table& table, Index& index) {
  std::string done;
  bool begun = false;
  while (!stopping() && !index.complete.load()) {
    // A long build keeps no table waiting.
    if (begun) sweep_expired();
    const Passage passage(gate);
    StoreFailure failure;
    if (!writable(failure)) return;
    const LayoutHold layout(table);
    // That may have come while the gate was shut, or between two passes.
    if (index.retired.load() || table.dropped.load()) return;
    if (!begun) {
      Pinned note(*library);
      if (!read(*notes, building_note(*index.family), read_options.get(), note, failure)) return;
      done = note.view();
      begun = true;
    }
    const View view(*this);
    TableWalk walk(view, *layout, nullptr, {}, false);
    if (!done.empty()) walk.start_behind(done);
    bool more = true;
    std::vector<std::string> keys;
    for (int slice = 0; slice < kWalk && (more || !keys.empty()) && !stopping(); slice++) {
      Turn turn(*this);
      while (more && keys.size() < kSlice && turn.goes_on() && (more = walk.next(failure))) {
        keys.emplace_back(walk.key());
      }
      if (failure.status != TENON_OK) return;
      const size_t indexed = build_slice(table, index, keys, !more);
      if (indexed == 0) return;
      done = keys[indexed - 1];
      keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(indexed));
    }
  }
}

// How many of the keys are done, from the first on; `last` when no others follow. None: it has to end.
size_t Store::Body::build_slice(Table& table, Index& index, const std::vector<std::string>& keys, bool last) {
  Stripes::Hold hold(stripes);
  for (const std::string& key : keys) hold.want(Stripes::hash(table, key));
  // Nobody changes the definition while this holds.
  if (keys.empty()) hold.want(0);
  hold.lock();
  if (index.retired.load() || table.dropped.load()) return 0;
  const Layout& layout = *table.layout.load();
  const Field& field = layout.definition->fields[index.field];
  StoreFailure failure;
  WriteBatch batch(*library);
  Pinned record(*library);
  std::string entry;
  Turn turn(*this);
  size_t done = 0;
  for (; done < keys.size() && turn.goes_on(); done++) {
    const std::string& key = keys[done];
    if (!read(*layout.records, key, read_options.get(), record, failure)) return 0;
    if (!record || !is_record(record.view())) continue;
    if (make_index_entry(field, index.field, record.view(), key, entry)) batch.put(*index.family, entry, {});
  }
  const bool whole = last && done == keys.size();
  if (whole) {
    batch.remove(*notes, building_note(*index.family));
  } else {
    batch.put(*notes, building_note(*index.family), keys[done - 1]);
  }
  if (!commit(batch, failure)) return 0;
  if (whole) index.complete.store(true);
  return done;
}

}  // namespace tenon::core
