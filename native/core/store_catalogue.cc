#include <algorithm>

#include "key.h"
#include "store_body.h"

namespace tenon::core {

namespace {

constexpr std::string_view kDefinition = "d:";
constexpr std::string_view kBuilding = "b:";
constexpr std::string_view kDropped = "g:";
constexpr const char* kFloats = "/float";

std::string path_of(const Definition& definition) { return definition.database + "/" + definition.name; }
std::string records_name(const std::string& path) { return "t:" + path; }
std::string expiry_name(const std::string& path) { return "x:" + path; }
// An index of another order has another name, so that both can be there while one takes the place of the other.
std::string index_name(const std::string& path, const Field& field) {
  return "i:" + path + "/" + field.name + (field.type.kind == FieldType::Kind::Float ? kFloats : "");
}
std::string building_note_of(const std::string& index) { return std::string(kBuilding) + index; }

bool has_index(const Field& field) { return field.indexed && !field.dropped; }

std::vector<std::string> index_names(const std::string& path, const Definition& definition) {
  std::vector<std::string> names;
  for (const Field& field : definition.fields) {
    if (has_index(field)) names.push_back(index_name(path, field));
  }
  return names;
}

bool can_expire(const Definition& definition) {
  if (definition.expiration_ms != 0) return true;
  return std::any_of(definition.fields.begin(), definition.fields.end(),
                     [](const Field& field) { return field.role == Field::Role::ExpiresAt; });
}

bool keeps_created(const Definition& definition) {
  return std::any_of(definition.fields.begin(), definition.fields.end(),
                     [](const Field& field) { return field.role == Field::Role::CreatedTime; });
}

bool is_whole(const Layout& layout) {
  return std::none_of(layout.indexes.begin(), layout.indexes.end(),
                      [](const Index* index) { return index->retired.load(); });
}

uint64_t hash_of(std::string_view text) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * UINT64_C(0x100000001b3);
  return hash;
}

}  // namespace

const Index* Layout::index_of(uint32_t field) const {
  for (const Index* const index : indexes) {
    if (index->field == field) return index;
  }
  return nullptr;
}

// What is under "b:" of an index that is being built: the last key that is done.
std::string building_note(const Family& index) { return building_note_of(index.name); }

Family* Store::Body::find_family(std::string_view name) const {
  for (const auto& family : families) {
    if (!family->dropped && family->name == name) return family.get();
  }
  return nullptr;
}

Family* Store::Body::make_family(const std::string& name, StoreFailure& failure) {
  RocksdbError error(*library);
  auto family = std::make_unique<Family>();
  family->name = name;
  family->handle = library->create_column_family(database, database_options.get(), name.c_str(), error.out());
  if (error) {
    // RocksDB makes a handle before it tries.
    if (family->handle != nullptr) library->column_family_handle_destroy(family->handle);
    failure = failed("to make a table", error.text());
    if (failure.full) set_trouble(failure);
    return nullptr;
  }
  family->id = library->column_family_handle_get_id(family->handle);
  const std::lock_guard<std::mutex> lock(families_mutex);
  families.push_back(std::move(family));
  return families.back().get();
}

bool Store::Body::make_families(const std::vector<std::string>& names, std::vector<Family*>& made,
                                StoreFailure& failure) {
  for (const std::string& name : names) {
    Family* const left = find_family(name);
    if (left != nullptr && !drop_family(*left, failure)) return false;
    Family* const family = make_family(name, failure);
    if (family == nullptr) return false;
    made.push_back(family);
  }
  return true;
}

bool Store::Body::drop_family(Family& family, StoreFailure& failure) {
  RocksdbError error(*library);
  library->drop_column_family(database, family.handle, error.out());
  if (!error) {
    const std::lock_guard<std::mutex> lock(families_mutex);
    family.dropped = true;
    return true;
  }
  failure = failed("to drop a table or an index", error.text());
  if (failure.full) set_trouble(failure);
  return false;
}

// One that stays is in nobody's way: it is dropped before another one of its name is made, or at the next opening.
void Store::Body::drop_families(const std::vector<Family*>& gone) {
  StoreFailure later;
  for (Family* const family : gone) drop_family(*family, later);
}

bool Store::Body::note_building(const std::vector<std::string>& names, StoreFailure& failure) {
  if (names.empty()) return true;
  WriteBatch batch(*library);
  for (const std::string& name : names) batch.put(*notes, building_note_of(name), {});
  return write_notes(batch, failure);
}

bool Store::Body::write_notes(const WriteBatch& batch, StoreFailure& failure) {
  RocksdbError error(*library);
  library->write(database, sync_options.get(), batch.get(), error.out());
  if (!error) return true;
  failure = failed("to keep the definition of a table", error.text());
  set_trouble(failure);
  return false;
}

Table* Store::Body::find(std::string_view path) const {
  const std::lock_guard<std::mutex> lock(tables_mutex);
  for (const auto& table : tables) {
    if (!table->dropped.load() && table->path == path) return table.get();
  }
  return nullptr;
}

// The layout of a definition whose families are all there.
const Layout& Store::Body::publish(Table& table, std::shared_ptr<const Definition> definition,
                                   const std::set<const Family*>& building) {
  auto layout = std::make_unique<Layout>();
  layout->records = find_family(records_name(table.path));
  layout->expiry = find_family(expiry_name(table.path));
  layout->keeps_created = keeps_created(*definition);
  for (uint32_t number = 0; number < definition->fields.size(); number++) {
    const Field& field = definition->fields[number];
    if (!has_index(field)) continue;
    Family* const family = find_family(index_name(table.path, field));
    const auto same = [&](const auto& index) { return !index->retired.load() && index->family == family; };
    auto found = std::find_if(table.indexes.begin(), table.indexes.end(), same);
    if (found == table.indexes.end()) {
      auto index = std::make_unique<Index>();
      index->field = number;
      index->family = family;
      index->complete.store(building.count(family) == 0);
      table.indexes.push_back(std::move(index));
      found = table.indexes.end() - 1;
    }
    layout->indexes.push_back(found->get());
  }
  layout->definition = std::move(definition);
  table.layouts.push_back(std::move(layout));
  const Layout& published = *table.layouts.back();
  table.layout.store(&published);
  return published;
}

bool Store::Body::read_catalogue(StoreFailure& failure) {
  Walk walk(*library, database, read_options.get(), *notes);
  for (walk.seek(kDefinition); walk.valid() && walk.key().substr(0, 2) == kDefinition; walk.next()) {
    TableProblem problem;
    std::optional<Definition> definition = read_definition(walk.value(), problem);
    if (!definition) {
      failure = store_failure(TENON_ERROR_INVALID, "the definition of the table " + std::string(walk.key().substr(2)) +
                                                       " is damaged: " + problem.message);
      return false;
    }
    if (!read_table(std::move(*definition), failure)) return false;
  }
  RocksdbError error(*library);
  walk.error(error);
  if (error) {
    failure =
        store_failure(TENON_ERROR_INVALID, "the catalogue of the tables is damaged: " + std::string(error.text()));
    return false;
  }
  return drop_leftovers(failure);
}

bool Store::Body::read_table(Definition definition, StoreFailure& failure) {
  auto table = std::make_unique<Table>();
  table->path = path_of(definition);
  table->hash = hash_of(table->path);
  if (find_family(records_name(table->path)) == nullptr) {
    failure = store_failure(TENON_ERROR_INVALID, "the records of the table " + table->path + " are missing");
    return false;
  }
  // Left out when the process died between two steps of a change: made again, and built again.
  const std::vector<std::string> indexes = index_names(table->path, definition);
  std::vector<std::string> missing;
  for (const std::string& name : indexes) {
    if (find_family(name) == nullptr) missing.push_back(name);
  }
  if (!note_building(missing, failure)) return false;
  if (can_expire(definition) && find_family(expiry_name(table->path)) == nullptr) {
    missing.push_back(expiry_name(table->path));
  }
  std::vector<Family*> made;
  if (!make_families(missing, made, failure)) return false;
  std::set<const Family*> building;
  for (const std::string& name : indexes) {
    Pinned note(*library);
    if (!read(*notes, building_note_of(name), read_options.get(), note, failure)) return false;
    if (note) building.insert(find_family(name));
  }
  publish(*table, std::make_shared<const Definition>(std::move(definition)), building);
  const std::lock_guard<std::mutex> lock(tables_mutex);
  tables.push_back(std::move(table));
  return true;
}

bool Store::Body::drop_leftovers(StoreFailure& failure) {
  std::set<const Family*> used = {notes};
  for (const auto& table : tables) {
    const Layout& layout = *table->layout.load();
    used.insert(layout.records);
    used.insert(layout.expiry);
    for (const Index* const index : layout.indexes) used.insert(index->family);
  }
  std::vector<Family*> gone;
  for (const auto& family : families) {
    const std::string kind = family->name.substr(0, 2);
    if (used.count(family.get()) != 0) continue;
    if (kind == "i:" || kind == "x:") gone.push_back(family.get());
    if (kind != "t:") continue;
    // Records are given up only if somebody wanted that.
    const std::string path = family->name.substr(2);
    Pinned note(*library);
    if (!read(*notes, std::string(kDropped) + path, read_options.get(), note, failure)) return false;
    Walk walk(*library, database, read_options.get(), *family);
    walk.to_first();
    RocksdbError error(*library);
    walk.error(error);
    if (!note && (walk.valid() || error)) {
      failure = store_failure(TENON_ERROR_INVALID, "there are records of the table " + path +
                                                       ", but its definition is missing: the folder " +
                                                       options.directory + " is damaged");
      return false;
    }
    gone.push_back(family.get());
  }
  drop_families(gone);
  return true;
}

Table* Store::Body::define(const Definition& wanted, StoreFailure& failure) {
  const Passage passage(gate);
  const std::lock_guard<std::mutex> lock(catalogue_mutex);
  if (!writable(failure)) return nullptr;
  Table* const present = find(path_of(wanted));
  if (present == nullptr) return make_table(wanted, failure);
  const Layout& layout = *present->layout.load();
  const Definition& old = *layout.definition;
  std::optional<Definition> evolved = evolve(old, wanted, failure.problem);
  if (!evolved) {
    failure.status = TENON_ERROR_INVALID;
    return nullptr;
  }
  evolved->revision = old.revision;
  if (write_definition(*evolved) != write_definition(old)) {
    evolved->revision = old.revision + 1;
  } else if (is_whole(layout)) {
    return present;
  }
  return change_table(*present, *evolved, failure) ? present : nullptr;
}

Table* Store::Body::make_table(const Definition& wanted, StoreFailure& failure) {
  Definition definition = wanted;
  definition.revision = 1;
  const std::string path = path_of(definition);
  std::vector<std::string> names = index_names(path, definition);
  names.push_back(records_name(path));
  if (can_expire(definition)) names.push_back(expiry_name(path));
  WriteBatch batch(*library);
  batch.put(*notes, std::string(kDefinition) + path, write_definition(definition));
  batch.remove(*notes, std::string(kDropped) + path);
  std::vector<Family*> made;
  if (!make_families(names, made, failure) || !write_notes(batch, failure)) {
    drop_families(made);
    return nullptr;
  }
  auto table = std::make_unique<Table>();
  table->path = path;
  table->hash = hash_of(path);
  publish(*table, std::make_shared<const Definition>(std::move(definition)), {});
  const std::lock_guard<std::mutex> lock(tables_mutex);
  tables.push_back(std::move(table));
  return tables.back().get();
}

// Whoever writes is kept out for a moment only: families and notes are made before, and dropped afterwards.
bool Store::Body::change_table(Table& table, const Definition& evolved, StoreFailure& failure) {
  const Layout& old = *table.layout.load();
  const std::vector<std::string> wanted = index_names(table.path, evolved);
  std::vector<Index*> gone;
  std::set<std::string> kept;
  for (Index* const index : old.indexes) {
    if (index->retired.load()) continue;
    const std::string& name = index->family->name;
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) {
      gone.push_back(index);
    } else {
      kept.insert(name);
    }
  }
  std::vector<std::string> building;
  for (const std::string& name : wanted) {
    if (kept.count(name) == 0) building.push_back(name);
  }
  if (!note_building(building, failure)) return false;
  std::vector<std::string> names = building;
  if (can_expire(evolved) && old.expiry == nullptr) names.push_back(expiry_name(table.path));
  WriteBatch batch(*library);
  batch.put(*notes, std::string(kDefinition) + table.path, write_definition(evolved));
  for (const Index* const index : gone) batch.remove(*notes, building_note(*index->family));
  std::vector<Family*> made;
  if (!make_families(names, made, failure) || !write_notes(batch, failure)) {
    drop_families(made);
    return false;
  }
  std::vector<Family*> left;
  {
    Stripes::Hold hold(stripes);
    hold.want_all();
    hold.lock();
    publish(table, std::make_shared<const Definition>(evolved), std::set<const Family*>(made.begin(), made.end()));
    for (Index* const index : gone) {
      index->retired.store(true);
      left.push_back(index->family);
    }
  }
  drop_families(left);
  wake_worker();
  return true;
}

bool Store::Body::drop(Table& table, StoreFailure& failure) {
  const Passage passage(gate);
  const std::lock_guard<std::mutex> lock(catalogue_mutex);
  if (!writable(failure)) return false;
  if (table.dropped.load()) {
    failure = store_failure(TENON_ERROR_NOT_FOUND, "the table " + table.path + " is gone already");
    return false;
  }
  const Layout& layout = *table.layout.load();
  WriteBatch batch(*library);
  batch.remove(*notes, std::string(kDefinition) + table.path);
  batch.put(*notes, std::string(kDropped) + table.path, {});
  for (const Index* const index : layout.indexes) batch.remove(*notes, building_note(*index->family));
  if (!write_notes(batch, failure)) return false;
  std::vector<Family*> gone = {layout.records};
  if (layout.expiry != nullptr) gone.push_back(layout.expiry);
  {
    Stripes::Hold hold(stripes);
    hold.want_all();
    hold.lock();
    table.dropped.store(true);
    for (Index* const index : layout.indexes) {
      if (!index->retired.load()) gone.push_back(index->family);
      index->retired.store(true);
    }
  }
  drop_families(gone);
  wake_worker();
  return true;
}

}  // namespace tenon::core
