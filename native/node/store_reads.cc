// Reads of records that may touch a disk.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "key.h"
#include "read_query.h"
#include "record.h"
#include "store_request.h"

namespace tenon::node {

namespace {

using Length = core::StoreJob::Length;

constexpr size_t kMostKeys = 10'000;
constexpr size_t kFewKeys = 100;                    // that are read as a short job
constexpr size_t kGottenBytes = 64u * 1024 * 1024;  // of records that are read by their keys at once

struct Getting {
  core::Table* table;
  std::vector<std::string> keys;
  std::vector<std::string> records;  // empty: there is none
};

bool GetAll(core::OpenStore& open, Getting& facts, core::StoreFailure& failure) {
  core::Store& store = open.store();
  const std::shared_ptr<const core::Definition> definition = store.definition(*facts.table);
  facts.records.resize(facts.keys.size());
  std::string key;
  size_t bytes = 0;
  for (size_t index = 0; index < facts.keys.size(); index++) {
    core::TableProblem problem;
    tenon_record_t record = core::as_record({});
    key.clear();
    if (!core::append_key_text(*definition, facts.keys[index], key, problem)) continue;
    if (store.get(*facts.table, key, false, record, failure)) {
      bytes += record.bytes.size;
      if (bytes <= kGottenBytes) facts.records[index].assign(record.bytes.data, record.bytes.size);
      store.release(record);
      if (bytes > kGottenBytes) {
        failure = {TENON_ERROR_TOO_LARGE, {"", "the records of these keys have more than 64 MiB together"}, false};
        return false;
      }
    } else if (failure.status != TENON_ERROR_NOT_FOUND) {
      return false;
    }
    failure = {};
  }
  return true;
}

Napi::Value RecordOrNull(Napi::Env env, const std::string& record) {
  return record.empty() ? env.Null() : StoreObject::RecordOf(env, record);
}

}  // namespace

Napi::Value StoreObject::Get(const Napi::CallbackInfo& info) {
  if (state_ != State::Open) return Refuse(info.Env());
  core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return info.Env().Undefined();
  if (!info[1].IsString()) return Misuse(info.Env(), "key: a string is needed");
  return Start<Getting>(
      info.Env(), Length::Short, {table, {TextOf(info[1])}, {}}, GetAll,
      [](Napi::Env env, StoreObject&, Getting& facts) { return RecordOrNull(env, facts.records[0]); });
}

Napi::Value StoreObject::GetMany(const Napi::CallbackInfo& info) {
  if (state_ != State::Open) return Refuse(info.Env());
  core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return info.Env().Undefined();
  if (!info[1].IsArray() || info[1].As<Napi::Array>().Length() > kMostKeys) {
    return Misuse(info.Env(), "keys: a list of at most " + std::to_string(kMostKeys) + " strings is needed");
  }
  const Napi::Array keys = info[1].As<Napi::Array>();
  Getting facts = {table, {}, {}};
  facts.keys.reserve(keys.Length());
  for (uint32_t index = 0; index < keys.Length(); index++) {
    const Napi::Value key = keys.Get(index);
    if (!key.IsString()) return Misuse(info.Env(), "keys: a list of strings is needed");
    facts.keys.push_back(TextOf(key));
  }
  const Length length = facts.keys.size() <= kFewKeys ? Length::Short : Length::Long;
  return Start<Getting>(
      info.Env(), length, std::move(facts), GetAll,
      [](Napi::Env env, StoreObject&, Getting& got) -> Napi::Value {
        const Napi::Array list = Napi::Array::New(env, got.records.size());
        for (uint32_t index = 0; index < got.records.size(); index++) {
          list.Set(index, RecordOrNull(env, got.records[index]));
        }
        return list;
      },
      "StoreFailed", "BodyTooLarge");
}

Napi::Value StoreObject::Query(const Napi::CallbackInfo& info) {
  struct Querying {
    core::Table* table;
    std::string json;
    core::Page page;
  };
  if (state_ != State::Open) return Refuse(info.Env());
  core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return info.Env().Undefined();
  if (!info[1].IsString()) return Misuse(info.Env(), "query: JSON is needed");
  return Start<Querying>(
      info.Env(), Length::Long, {table, TextOf(info[1]), {}},
      [](core::OpenStore& open, Querying& facts, core::StoreFailure& failure) {
        core::Store& store = open.store();
        failure.status = TENON_ERROR_INVALID;
        const std::shared_ptr<const core::Definition> definition = store.definition(*facts.table);
        const std::optional<core::Query> query = core::read_query(*definition, facts.json, failure.problem);
        if (!query) return false;
        failure = {};
        std::optional<core::Page> page = store.query(*facts.table, *query, failure);
        if (page) facts.page = std::move(*page);
        if (failure.status == TENON_ERROR_INVALID && failure.problem.field == "after") {
          failure.status = TENON_ERROR_ARGUMENT;  // CursorInvalid
        }
        return page.has_value();
      },
      [](Napi::Env env, StoreObject&, Querying& facts) -> Napi::Value {
        const core::Page& page = facts.page;
        const Napi::Object object = Napi::Object::New(env);
        object.Set("json", Napi::Buffer<char>::Copy(env, page.json.data(), page.json.size()));
        object.Set("count", static_cast<double>(page.count));
        if (!page.first.empty()) object.Set("first", page.first);
        if (!page.last.empty()) object.Set("last", page.last);
        if (!page.cursors.empty()) {
          const Napi::Array cursors = Napi::Array::New(env, page.cursors.size());
          for (uint32_t at = 0; at < page.cursors.size(); at++) cursors.Set(at, page.cursors[at]);
          object.Set("cursors", cursors);
        }
        object.Set("more", page.more);
        object.Set("plan", page.plan);
        object.Set("examined", static_cast<double>(page.examined));
        return object;
      },
      "QueryInvalid");
}

Napi::Value StoreObject::Count(const Napi::CallbackInfo& info) {
  struct Counting {
    core::Table* table;
    std::string filter;
    uint64_t count;
  };
  if (state_ != State::Open) return Refuse(info.Env());
  core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return info.Env().Undefined();
  if (!info[1].IsString() && !info[1].IsUndefined()) return Misuse(info.Env(), "filter: JSON is needed");
  return Start<Counting>(
      info.Env(), Length::Long, {table, info[1].IsString() ? TextOf(info[1]) : "", 0},
      [](core::OpenStore& open, Counting& facts, core::StoreFailure& failure) {
        core::Store& store = open.store();
        std::optional<core::Filter> filter = core::Filter();
        if (!facts.filter.empty()) {
          failure.status = TENON_ERROR_INVALID;
          filter = core::read_filter(*store.definition(*facts.table), facts.filter, failure.problem);
          if (!filter) return false;
          failure = {};
        }
        const std::optional<uint64_t> count = store.count(*facts.table, *filter, failure);
        facts.count = count.value_or(0);
        return count.has_value();
      },
      [](Napi::Env env, StoreObject&, Counting& facts) -> Napi::Value {
        return Napi::Number::New(env, static_cast<double>(facts.count));
      },
      "QueryInvalid");
}

}  // namespace tenon::node
