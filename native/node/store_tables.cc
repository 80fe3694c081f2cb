// Tables of a store, as JavaScript sees them.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store_request.h"

namespace tenon::node {

using Length = core::StoreJob::Length;

Napi::Value StoreObject::Define(const Napi::CallbackInfo& info) {
  struct Defining {
    std::string json;
    core::Table* table;
  };
  if (!info[0].IsString()) return Misuse(info.Env(), "definition: JSON is needed");
  return Start<Defining>(
      info.Env(), Length::Long, {TextOf(info[0]), nullptr},
      [](core::OpenStore& open, Defining& facts, core::StoreFailure& failure) {
        failure.status = TENON_ERROR_INVALID;
        const std::optional<core::Definition> wanted = core::read_definition(facts.json, failure.problem);
        if (!wanted) return false;
        failure = {};
        facts.table = open.store().define(*wanted, failure);
        return facts.table != nullptr;
      },
      [](Napi::Env env, StoreObject& self, Defining& facts) -> Napi::Value {
        return Napi::Number::New(env, self.NumberOf(*facts.table));
      },
      "SchemaIncompatible");
}

Napi::Value StoreObject::Incompatible(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) return Misuse(env, "definition: JSON is needed");
  if (!Check(env)) return env.Undefined();
  core::TableProblem problem;
  const std::optional<core::Definition> wanted = core::read_definition(TextOf(info[0]), problem);
  if (wanted) {
    const core::Table* const table = store().find(wanted->database, wanted->name);
    if (table == nullptr || core::evolve(*store().definition(*table), *wanted, problem)) return env.Undefined();
  }
  return Napi::String::New(env, core::sentence_of(problem));
}

Napi::Value StoreObject::Definition(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  const core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return info.Env().Undefined();
  return Napi::String::New(info.Env(), core::write_definition(*store().definition(*table)));
}

Napi::Value StoreObject::Tables(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!Check(env)) return env.Undefined();
  const std::vector<core::Table*> tables = store().tables();
  const Napi::Array list = Napi::Array::New(env, tables.size());
  for (uint32_t index = 0; index < tables.size(); index++) {
    const std::shared_ptr<const core::Definition> definition = store().definition(*tables[index]);
    const Napi::Object object = Napi::Object::New(env);
    object.Set("number", NumberOf(*tables[index]));
    object.Set("database", definition->database);
    object.Set("name", definition->name);
    list.Set(index, object);
  }
  return list;
}

Napi::Value StoreObject::Facts(const Napi::CallbackInfo& info) {
  struct Asking {
    const core::Table* table;
    core::TableFacts facts;
  };
  if (state_ != State::Open) return Refuse(info.Env());
  const core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return info.Env().Undefined();
  return Start<Asking>(
      info.Env(), Length::Short, {table, {}},
      [](core::OpenStore& open, Asking& asking, core::StoreFailure&) {
        asking.facts = open.store().facts(*asking.table);
        return true;
      },
      [](Napi::Env env, StoreObject&, Asking& asking) -> Napi::Value {
        const core::TableFacts& facts = asking.facts;
        const Napi::Object object = Napi::Object::New(env);
        const Napi::Array building = Napi::Array::New(env, facts.building.size());
        for (uint32_t index = 0; index < facts.building.size(); index++) building.Set(index, facts.building[index]);
        object.Set("estimate", static_cast<double>(facts.estimate));
        object.Set("bytes", static_cast<double>(facts.bytes));
        object.Set("building", building);
        return object;
      });
}

Napi::Value StoreObject::Drop(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return info.Env().Undefined();
  return Start<core::Table*>(
      info.Env(), Length::Long, table,
      [](core::OpenStore& open, core::Table*& dropped, core::StoreFailure& failure) {
        return open.store().drop(*dropped, failure);
      },
      [](Napi::Env env, StoreObject& self, core::Table*& dropped) -> Napi::Value {
        self.tables_[self.NumberOf(*dropped)] = nullptr;
        self.numbers_.erase(dropped);
        return env.Undefined();
      });
}

}  // namespace tenon::node
