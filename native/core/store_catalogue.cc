#include <algorithm>

#include "key.h"
#include "store_body.h"

namespace tenon::core {

namespace {

constexpr std::string_view kDefinition = "d:";
constexpr std::string_view kBuilding = "b:";

std::string path_of(const Definition& definition) { return definition.database + "/" + definition.name; }
std::string records_name(const std::string& path) { return "t:" + path; }
std::string expiry_name(const std::string& path) { return "x:" + path; }
std::string index_name(const std::string& path, const Field& field) { return "i:" + path + "/" + field.name; }

bool can_expire(const Definition& definition) {
  if (definition.expiration_ms != 0) return true;
  return std::any_of(definition.fields.begin(), definition.fields.end(),
                     [](const Field& field) { return field.role == Field::Role::ExpiresAt; });
}

bool keeps_created(const Definition& definition) {
  return std::any_of(definition.fields.begin(), definition.fields.end(),
                     [](const Field& field) { return field.role == Field::Role::CreatedTime; });
}

// Whether entries of the old index would be in another place now.
bool is_other_index(const Field& old, const Field& wanted) {
  const auto ordered_as_number = [](const Field& field) { return field.type.kind == FieldType::Kind::Float; };
  return ordered_as_number(old) != ordered_as_number(wanted);
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
std::string building_note(const Family& index) { return std::string(kBuilding) + index.name; }

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
    failure = failed("to make a table", error.text());
    return nullptr;
  }
  family->id = library->column_family_handle_get_id(family->handle);
  families.push_back(std::move(family));
  return families.back().get();
}

// The handle stays, for whoever reads at this moment; its files go with it.
void Store::Body::drop_family(Family& family) {
  RocksdbError error(*library);
  library->drop_column_family(database, family.handle, error.out());
  family.dropped = true;
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
    if (!field.indexed || field.dropped) continue;
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
    auto table = std::make_unique<Table>();
    table->path = path_of(*definition);
    table->hash = hash_of(table->path);
    if (find_family(records_name(table->path)) == nullptr) {
      failure = store_failure(TENON_ERROR_INVALID, "the records of the table " + table->path + " are missing");
      return false;
    }
    // Left out when the process died between two steps of a change: made again, and built again.
    for (const Field& field : definition->fields) {
      const std::string name = index_name(table->path, field);
      if (!field.indexed || field.dropped || find_family(name) != nullptr) continue;
      Family* const family = make_family(name, failure);
      if (family == nullptr) return false;
      WriteBatch batch(*library);
      batch.put(*notes, building_note(*family), {});
      if (!write_notes(batch, failure)) return false;
    }
    if (can_expire(*definition) && find_family(expiry_name(table->path)) == nullptr &&
        make_family(expiry_name(table->path), failure) == nullptr) {
      return false;
    }
    std::set<const Family*> building;
    for (const Field& field : definition->fields) {
      const Family* const family =
          field.indexed && !field.dropped ? find_family(index_name(table->path, field)) : nullptr;
      if (family == nullptr) continue;
      Pinned note(*library);
      if (!read(*notes, building_note(*family), read_options.get(), note, failure)) return false;
      if (note) building.insert(family);
    }
    publish(*table, std::make_shared<const Definition>(std::move(*definition)), building);
    tables.push_back(std::move(table));
  }
  RocksdbError error(*library);
  walk.error(error);
  if (error) {
    failure =
        store_failure(TENON_ERROR_INVALID, "the catalogue of the tables is damaged: " + std::string(error.text()));
    return false;
  }
  // What a process that died has left of a change.
  std::set<const Family*> used = {notes};
  for (const auto& table : tables) {
    const Layout& layout = *table->layout.load();
    used.insert(layout.records);
    used.insert(layout.expiry);
    for (const Index* const index : layout.indexes) used.insert(index->family);
  }
  for (const auto& family : families) {
    if (used.count(family.get()) == 0) drop_family(*family);
  }
  return true;
}

Table* Store::Body::define(const Definition& wanted, StoreFailure& failure) {
  const Passage passage(gate);
  const std::lock_guard<std::mutex> lock(catalogue_mutex);
  if (!writable(failure)) return nullptr;
  Table* const present = find(path_of(wanted));
  if (present == nullptr) return make_table(wanted, failure);
  const Definition& old = *present->layout.load()->definition;
  std::optional<Definition> evolved = evolve(old, wanted, failure.problem);
  if (!evolved) {
    failure.status = TENON_ERROR_INVALID;
    return nullptr;
  }
  evolved->revision = old.revision;
  if (write_definition(*evolved) == write_definition(old)) return present;
  evolved->revision = old.revision + 1;
  return change_table(*present, *evolved, failure) ? present : nullptr;
}

Table* Store::Body::make_table(const Definition& wanted, StoreFailure& failure) {
  Definition definition = wanted;
  definition.revision = 1;
  const std::string path = path_of(definition);
  std::vector<std::string> names = {records_name(path)};
  if (can_expire(definition)) names.push_back(expiry_name(path));
  for (const Field& field : definition.fields) {
    if (field.indexed && !field.dropped) names.push_back(index_name(path, field));
  }
  std::vector<Family*> made;
  bool done = true;
  for (const std::string& name : names) {
    Family* const family = done ? make_family(name, failure) : nullptr;
    done = family != nullptr;
    if (done) made.push_back(family);
  }
  WriteBatch batch(*library);
  batch.put(*notes, std::string(kDefinition) + path, write_definition(definition));
  if (!done || !write_notes(batch, failure)) {
    for (Family* const family : made) drop_family(*family);
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

bool Store::Body::change_table(Table& table, const Definition& evolved, StoreFailure& failure) {
  const Layout& old = *table.layout.load();
  std::vector<Index*> gone;
  for (Index* const index : old.indexes) {
    const Field& before = old.definition->fields[index->field];
    const Field& after = evolved.fields[index->field];
    if (!after.indexed || after.dropped || is_other_index(before, after)) gone.push_back(index);
  }
  // A name is free again once its family is dropped. Should the process die now, read_catalogue makes it anew.
  Stripes::Hold hold(stripes);
  hold.want_all();
  hold.lock();
  for (Index* const index : gone) {
    index->retired.store(true);
    drop_family(*index->family);
  }
  WriteBatch batch(*library);
  batch.put(*notes, std::string(kDefinition) + table.path, write_definition(evolved));
  for (const Index* const index : gone) batch.remove(*notes, building_note(*index->family));
  std::vector<std::string> names;
  for (const Field& field : evolved.fields) {
    if (field.indexed && !field.dropped) names.push_back(index_name(table.path, field));
  }
  std::set<const Family*> fresh;
  for (const std::string& name : names) {
    if (find_family(name) != nullptr) continue;
    const Family* const family = make_family(name, failure);
    if (family == nullptr) return false;
    fresh.insert(family);
    batch.put(*notes, building_note(*family), {});
  }
  if (can_expire(evolved) && find_family(expiry_name(table.path)) == nullptr &&
      make_family(expiry_name(table.path), failure) == nullptr) {
    return false;
  }
  if (!write_notes(batch, failure)) return false;
  publish(table, std::make_shared<const Definition>(evolved), fresh);
  hold.release();
  if (!fresh.empty()) wake_worker();
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
  Stripes::Hold hold(stripes);
  hold.want_all();
  hold.lock();
  WriteBatch batch(*library);
  batch.remove(*notes, std::string(kDefinition) + table.path);
  for (const Index* const index : layout.indexes) batch.remove(*notes, building_note(*index->family));
  if (!write_notes(batch, failure)) return false;
  table.dropped.store(true);
  for (Index* const index : layout.indexes) {
    index->retired.store(true);
    drop_family(*index->family);
  }
  drop_family(*layout.records);
  if (layout.expiry != nullptr) drop_family(*layout.expiry);
  return true;
}

}  // namespace tenon::core
