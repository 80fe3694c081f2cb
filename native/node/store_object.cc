#include "store_object.h"

#include <cstdio>
#include <utility>

#include "clock.h"
#include "feed_object.h"
#include "key.h"
#include "record.h"
#include "store_request.h"

namespace tenon::node {

namespace {

using Length = core::StoreJob::Length;

constexpr napi_type_tag kTag = {0x74656e6f6e2d7374ULL, 0x6f72650000000000ULL};
// Up to here a string of bytes costs less than a Buffer, which the garbage collector has to look after.
constexpr size_t kShortText = 16 * 1024;
// For generations that still are in the store when it is closed.
constexpr uint64_t kPatienceMs = 5000;

const core::StoreFailure kClosed = {TENON_ERROR_STATE, {"", "the store is closed"}, false};
const core::StoreFailure kNoThread = {TENON_ERROR_STORAGE, {"", "no thread could be started for the store"}, false};

std::string Digits(uint64_t number) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
  return digits;
}

}  // namespace

class OpenRequest final : public StoreRequest {
 public:
  OpenRequest(Napi::Env env, core::StoreOptions options)
      : StoreRequest(env, Length::Long), options_(std::move(options)) {}

  void run() override {
    opened_ = core::Store::open(options_, failure);
    failed = !opened_;
  }

  Napi::Value Tell(Napi::Env env, StoreObject& owner) override {
    owner.store_ = std::make_shared<core::OpenStore>(std::move(opened_));
    owner.feeds_ = std::make_unique<core::FeedServer>(*owner.store_, StoreObject::Wake, &owner);
    owner.state_ = StoreObject::State::Open;
    for (core::Table* const table : owner.store().tables()) owner.NumberOf(*table);
    return env.Undefined();
  }

 private:
  const core::StoreOptions options_;
  std::unique_ptr<core::Store> opened_;
};

// The last of a store's requests.
class CloseRequest final : public StoreRequest {
 public:
  CloseRequest(Napi::Env env, std::shared_ptr<core::OpenStore> store, core::FeedServer& feeds)
      : StoreRequest(env, Length::Long), store_(std::move(store)), feeds_(feeds) {}

  void run() override {
    feeds_.stop();
    store_->close(core::now() + core::milliseconds(kPatienceMs));
    store_.reset();
  }

  Napi::Value Tell(Napi::Env env, StoreObject& owner) override {
    owner.End();
    for (const Napi::Promise::Deferred& closer : std::exchange(owner.closers_, {})) closer.Resolve(env.Undefined());
    return env.Undefined();
  }

 private:
  std::shared_ptr<core::OpenStore> store_;
  core::FeedServer& feeds_;
};

Napi::Function StoreObject::Define(Napi::Env env) {
  return DefineClass(env, "StoreHandle",
                     {InstanceMethod<&StoreObject::Open>("open"),
                      InstanceMethod<&StoreObject::Define>("define"),
                      InstanceMethod<&StoreObject::Incompatible>("incompatible"),
                      InstanceMethod<&StoreObject::Definition>("definition"),
                      InstanceMethod<&StoreObject::Tables>("tables"),
                      InstanceMethod<&StoreObject::Facts>("facts"),
                      InstanceMethod<&StoreObject::Drop>("drop"),
                      InstanceMethod<&StoreObject::Get>("get"),
                      InstanceMethod<&StoreObject::GetMany>("getMany"),
                      InstanceMethod<&StoreObject::Query>("query"),
                      InstanceMethod<&StoreObject::Count>("count"),
                      InstanceMethod<&StoreObject::Write>("write"),
                      InstanceMethod<&StoreObject::Sequence>("sequence"),
                      InstanceMethod<&StoreObject::Note>("note"),
                      InstanceMethod<&StoreObject::SetNote>("setNote"),
                      InstanceMethod<&StoreObject::Checkpoint>("checkpoint"),
                      InstanceMethod<&StoreObject::Metrics>("metrics"),
                      InstanceMethod<&StoreObject::Trouble>("trouble"),
                      InstanceMethod<&StoreObject::Resume>("resume"),
                      InstanceMethod<&StoreObject::Close>("close"),
                      InstanceAccessor<&StoreObject::Version>("version"),
                      InstanceAccessor<&StoreObject::Library>("library"),
                      InstanceAccessor<&StoreObject::Identity>("identity")});
}

StoreObject* StoreObject::From(Napi::Value value) {
  const Napi::Env env = value.Env();
  Napi::Value candidate = value;
  for (int depth = 0; depth < 2 && candidate.IsObject(); depth++) {
    bool ours = false;
    napi_check_object_type_tag(env, candidate, &kTag, &ours);
    if (ours) {
      StoreObject* const object = Unwrap(candidate.As<Napi::Object>());
      if (object->state_ == State::Open) return object;
      break;
    }
    candidate = candidate.As<Napi::Object>().Get("handle");
    if (env.IsExceptionPending()) return nullptr;
  }
  Napi::TypeError::New(env, "store: an open store is needed").ThrowAsJavaScriptException();
  return nullptr;
}

StoreObject::StoreObject(const Napi::CallbackInfo& info) : ObjectWrap(info), env_(info.Env()) {
  const Napi::Env env = info.Env();
  napi_type_tag_object(env, info.This(), &kTag);
  state_ = State::Closed;
  const Napi::Object given = info[0].IsObject() ? info[0].As<Napi::Object>() : Napi::Object::New(env);
  if (!given.Get("directory").IsString() || !given.Get("libraries").IsArray() || !given.Get("sync").IsBoolean() ||
      !given.Get("feedBytes").IsNumber() || !given.Get("cacheBytes").IsNumber()) {
    Misuse(env,
           "options: directory must be a string, libraries a list, sync a boolean, feedBytes and cacheBytes numbers");
    return;
  }
  const Napi::Array libraries = given.Get("libraries").As<Napi::Array>();
  for (uint32_t index = 0; index < libraries.Length(); index++) {
    if (!libraries.Get(index).IsString()) {
      Misuse(env, "options.libraries: names of files are needed");
      return;
    }
    options_.libraries.push_back(TextOf(libraries.Get(index)));
  }
  options_.directory = TextOf(given.Get("directory"));
  options_.sync = given.Get("sync").As<Napi::Boolean>().Value();
  options_.feed_bytes = static_cast<uint64_t>(given.Get("feedBytes").As<Napi::Number>().Int64Value());
  options_.cache_bytes = static_cast<uint64_t>(given.Get("cacheBytes").As<Napi::Number>().Int64Value());

  const Napi::ArrayBuffer memory = Napi::ArrayBuffer::New(env, 2 * sizeof(uint32_t));
  words_ = static_cast<uint32_t*>(const_cast<Napi::ArrayBuffer&>(memory).Data());
  const Napi::Uint32Array words = Napi::Uint32Array::New(env, 2, memory, 0);
  words_reference_ = Napi::Persistent(words.As<Napi::Object>());
  // A plain function with this object as its data: unwrapping `this` costs as much as the rest.
  napi_value get_now = nullptr;
  napi_create_function(env, "getNow", NAPI_AUTO_LENGTH, GetNow, this, &get_now);
  const Napi::Object self = info.This().As<Napi::Object>();
  const napi_property_descriptor owner = {"store", nullptr, nullptr, nullptr, nullptr, self, napi_default, nullptr};
  napi_define_properties(env, get_now, 1, &owner);
  const napi_property_descriptor members[] = {
      {"getNow", nullptr, nullptr, nullptr, nullptr, get_now, napi_enumerable, nullptr},
      {"words", nullptr, nullptr, nullptr, nullptr, words, napi_enumerable, nullptr}};
  napi_define_properties(env, self, std::size(members), members);
  state_ = State::New;
}

StoreObject::~StoreObject() { CleanUp(this); }

Napi::Value StoreObject::Open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (state_ != State::New) return Misuse(env, "open: only once");
  napi_value name = nullptr;
  napi_create_string_utf8(env, "tenon:store", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, Turn, &wake_) !=
      napi_ok) {
    Napi::Error::New(env, "the store could not get a way to wake the event loop").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  napi_unref_threadsafe_function(env, wake_);
  napi_add_env_cleanup_hook(env, CleanUp, this);
  jobs_ = std::make_unique<core::StoreJobs>(Wake, this);
  state_ = State::Opening;
  Ref();
  return Submit(std::make_unique<OpenRequest>(env, options_));
}

// The environment is going: nobody can be told any more, and nobody may be in the store when the process ends.
void StoreObject::CleanUp(void* object) {
  StoreObject& self = *static_cast<StoreObject*>(object);
  if (self.wake_ == nullptr) return;
  const std::set<FeedObject*> readers = self.readers_;
  for (FeedObject* const reader : readers) reader->Forget();
  // Else that has been done, and a thread may be closing it.
  if (self.state_ == State::Open) self.store().stop_long();
  if (self.feeds_) self.feeds_->stop();
  self.jobs_->stop();
  if (self.store_) self.store_->close(core::now() + core::milliseconds(kPatienceMs));
  self.End();
}

// Nothing of it runs any more.
void StoreObject::End() {
  if (wake_ == nullptr) return;
  jobs_->stop();
  feeds_.reset();
  store_.reset();
  state_ = State::Closed;
  napi_remove_env_cleanup_hook(env_, CleanUp, this);
  napi_release_threadsafe_function(std::exchange(wake_, nullptr), napi_tsfn_abort);
}

Napi::Value StoreObject::Close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Promise::Deferred promise = Napi::Promise::Deferred::New(env);
  if (state_ == State::New || state_ == State::Closed) {
    state_ = State::Closed;
    promise.Resolve(env.Undefined());
    return promise.Promise();
  }
  closers_.push_back(promise);
  if (state_ != State::Open) return promise.Promise();
  state_ = State::Closing;
  store().stop_long();
  const std::set<FeedObject*> readers = readers_;
  for (FeedObject* const reader : readers) reader->End(env);
  if (under_way_ == 0) FinishClosing(env);
  return promise.Promise();
}

void StoreObject::FinishClosing(Napi::Env env) { Submit(std::make_unique<CloseRequest>(env, store_, *feeds_)); }

// After `jobs_` and `feeds_` have stopped nobody calls it, and only then the function is released.
void StoreObject::Wake(void* self) {
  napi_call_threadsafe_function(static_cast<StoreObject*>(self)->wake_, nullptr, napi_tsfn_nonblocking);
}

void StoreObject::Turn(napi_env raw_env, napi_value, void* context, void*) {
  StoreObject& self = *static_cast<StoreObject*>(context);
  if (raw_env == nullptr || self.wake_ == nullptr) return;
  const Napi::Env env(raw_env);
  const Napi::HandleScope scope(env);
  for (const std::unique_ptr<core::StoreJob>& job : self.jobs_->take_done()) {
    const Napi::HandleScope of_one(env);
    self.Settle(env, static_cast<StoreRequest&>(*job));
  }
  if (self.state_ == State::Open) {
    for (const std::shared_ptr<core::FeedReader>& reader : self.feeds_->take_done()) {
      const Napi::HandleScope of_one(env);
      static_cast<FeedObject*>(reader->owner)->Settle(env);
    }
  }
  if (self.state_ == State::Closing && self.under_way_ == 0) self.FinishClosing(env);
  if (self.wake_ != nullptr) {
    self.KeepLoopAlive();
  } else {
    self.Unref();
  }
}

void StoreObject::Settle(Napi::Env env, StoreRequest& request) {
  under_way_--;
  if (!request.failed) {
    Tell(env, request);
    if (state_ == State::Open && !closers_.empty()) state_ = State::Closing;
    return;
  }
  if (state_ != State::Opening) {
    request.promise.Reject(ErrorOf(env, request.failure, request.invalid, request.large).Value());
    return;
  }
  request.promise.Reject(OpeningErrorOf(env, request.failure).Value());
  End();
  for (const Napi::Promise::Deferred& closer : std::exchange(closers_, {})) closer.Resolve(env.Undefined());
}

// What one of them throws (no memory for its answer, a setter that somebody gave to every object) is its own: while an
// exception is pending no other promise could be settled.
void StoreObject::Tell(Napi::Env env, StoreRequest& request) {
  const Napi::Value answer = request.Tell(env, *this);
  if (env.IsExceptionPending()) {
    request.promise.Reject(env.GetAndClearPendingException().Value());
  } else {
    request.promise.Resolve(answer);
  }
}

// A request that is under way keeps the process alive; an open store or one who waits for changes does not.
void StoreObject::KeepLoopAlive() {
  const bool wanted = under_way_ > 0;
  if (wanted == holds_loop_) return;
  holds_loop_ = wanted;
  if (wanted) {
    napi_ref_threadsafe_function(env_, wake_);
  } else {
    napi_unref_threadsafe_function(env_, wake_);
  }
}

Napi::Value StoreObject::Submit(std::unique_ptr<StoreRequest> request) {
  const Napi::Env env(env_);
  const Napi::Promise::Deferred promise = request->promise;
  std::unique_ptr<core::StoreJob> job = std::move(request);
  under_way_++;
  KeepLoopAlive();
  if (jobs_->submit(job)) return promise.Promise();
  StoreRequest& refused = static_cast<StoreRequest&>(*job);
  refused.failed = true;
  refused.failure = kNoThread;
  Settle(env, refused);
  if (wake_ != nullptr) KeepLoopAlive();
  return promise.Promise();
}

Napi::Value StoreObject::Refuse(Napi::Env env) {
  const Napi::Promise::Deferred promise = Napi::Promise::Deferred::New(env);
  promise.Reject(ErrorOf(env, kClosed, "StoreFailed").Value());
  return promise.Promise();
}

bool StoreObject::Check(Napi::Env env) {
  if (state_ == State::Open) return true;
  ErrorOf(env, kClosed, "StoreFailed").ThrowAsJavaScriptException();
  return false;
}

Napi::Error StoreObject::ErrorOf(Napi::Env env, const core::StoreFailure& failure, const char* invalid,
                                 const char* large) {
  const core::TableProblem& problem = failure.problem;
  Napi::Error error = Napi::Error::New(env, core::sentence_of(problem));
  error.Set("code", Napi::String::New(env, CodeOf(failure, invalid, large)));
  if (!problem.field.empty()) error.Set("field", problem.field);
  return error;
}

Napi::Value StoreObject::RecordOf(Napi::Env env, std::string_view record) {
  const std::string_view json = core::json_of(record);
  const Napi::Object object = Napi::Object::New(env);
  object.Set("json", Napi::Buffer<char>::Copy(env, json.data(), json.size()));
  object.Set("revision", Digits(core::revision_of(record)));
  return object;
}

core::Table* StoreObject::TableAt(Napi::Value number) {
  const double index = number.IsNumber() ? number.As<Napi::Number>().DoubleValue() : -1;
  if (index >= 0 && index < static_cast<double>(tables_.size())) {
    core::Table* const table = tables_[static_cast<size_t>(index)];
    if (table != nullptr) return table;
  }
  Misuse(number.Env(), "table: no table has this number");
  return nullptr;
}

uint32_t StoreObject::NumberOf(const core::Table& table) {
  const auto [found, added] = numbers_.emplace(&table, static_cast<uint32_t>(tables_.size()));
  if (added) tables_.push_back(const_cast<core::Table*>(&table));
  return found->second;
}

// --- tables

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
  const Napi::Env env = info.Env();
  if (!Check(env)) return env.Undefined();
  const core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return env.Undefined();
  const core::TableFacts facts = store().facts(*table);
  const Napi::Object object = Napi::Object::New(env);
  const Napi::Array building = Napi::Array::New(env, facts.building.size());
  for (uint32_t index = 0; index < facts.building.size(); index++) building.Set(index, facts.building[index]);
  object.Set("estimate", static_cast<double>(facts.estimate));
  object.Set("bytes", static_cast<double>(facts.bytes));
  object.Set("building", building);
  return object;
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

// --- records

napi_value StoreObject::GetNow(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  StoreObject& self = *static_cast<StoreObject*>(data);
  if (!self.Check(Napi::Env(env))) return nullptr;
  core::Table* const table = self.TableAt(Napi::Value(env, arguments[0]));
  if (table == nullptr) return nullptr;
  char text[TENON_TABLE_KEY_LIMIT + 8];
  size_t size = 0;
  if (napi_get_value_string_utf8(env, arguments[1], text, sizeof text, &size) != napi_ok) {
    Misuse(Napi::Env(env), "key: a string is needed");
    return nullptr;
  }
  napi_value none = nullptr;
  core::TableProblem problem;
  std::string space;
  std::string_view key;
  core::StoreFailure failure;
  tenon_record_t record = core::as_record({});
  if (size > TENON_TABLE_KEY_LIMIT ||
      !core::view_key_text(*self.store().definition(*table), {text, size}, space, key, problem)) {
    napi_get_null(env, &none);
    return none;
  }
  if (!self.store().get(*table, key, true, record, failure)) {
    if (failure.status == TENON_ERROR_NOT_FOUND) napi_get_null(env, &none);
    return none;
  }
  const uint64_t revision = tenon_record_revision(&record);
  self.words_[0] = static_cast<uint32_t>(revision >> 32);
  self.words_[1] = static_cast<uint32_t>(revision);
  const tenon_bytes_t json = tenon_record_json(&record);
  bool as_string = false;
  napi_get_value_bool(env, arguments[2], &as_string);
  napi_value bytes = nullptr;
  if (as_string && json.size < kShortText) {
    napi_create_string_latin1(env, json.data, json.size, &bytes);
  } else {
    napi_create_buffer_copy(env, json.size, json.data, nullptr, &bytes);
  }
  self.store().release(record);
  return bytes;
}

namespace {

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
  if (state_ != State::Open) return Refuse(info.Env(), kClosed);
  core::Table* const table = TableAt(info[0]);
  if (table == nullptr) return info.Env().Undefined();
  if (!info[1].IsString()) return Misuse(info.Env(), "key: a string is needed");
  return Start<Getting>(
      info.Env(), Length::Short, {table, {TextOf(info[1])}, {}}, GetAll,
      [](Napi::Env env, StoreObject&, Getting& facts) { return RecordOrNull(env, facts.records[0]); });
}

Napi::Value StoreObject::GetMany(const Napi::CallbackInfo& info) {
  if (state_ != State::Open) return Refuse(info.Env(), kClosed);
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
  if (state_ != State::Open) return Refuse(info.Env(), kClosed);
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
  if (state_ != State::Open) return Refuse(info.Env(), kClosed);
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

Napi::Value StoreObject::Write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (state_ != State::Open) return Refuse(env, kClosed);
  if (!info[0].IsArray() || info[0].As<Napi::Array>().Length() > kMostWrites) {
    return Misuse(env, "writes: a list of at most " + std::to_string(kMostWrites) + " is needed");
  }
  const Napi::Array given = info[0].As<Napi::Array>();
  Writing writing;
  writing.writes.resize(given.Length());
  writing.texts.resize(given.Length());
  bool refused = false;
  std::string key;
  for (uint32_t index = 0; index < given.Length(); index++) {
    const Napi::HandleScope scope(env);
    const Napi::Value item = given.Get(index);
    if (!item.IsObject()) return Misuse(env, "writes: a list of objects is needed");
    core::Write& write = writing.writes[index];
    write.table = TableAt(item.As<Napi::Object>().Get("table"));
    if (write.table == nullptr) return env.Undefined();
    key.clear();
    const bool has_key = !item.As<Napi::Object>().Get("key").IsUndefined();
    const char* const flaw = ReadWrite(item.As<Napi::Object>(), write, key, writing.texts[index]);
    if (flaw != nullptr) return Misuse(env, "writes: " + std::string(flaw));
    write.json = writing.texts[index];
    core::TableProblem problem;
    if (!has_key || core::append_key_text(*store().definition(*write.table), key, write.key, problem)) continue;
    // No record can have such a key: the batch need not be tried.
    if (!refused) writing.results.resize(given.Length());
    refused = true;
    using Outcome = core::Written::Outcome;
    const bool names_one = write.kind == core::Write::Kind::Patch || write.kind == core::Write::Kind::Remove;
    writing.results[index].outcome = names_one ? Outcome::Missing : Outcome::Invalid;
    writing.results[index].problem = std::move(problem);
  }
  return Start<Writing>(
      env, Length::Write, std::move(writing),
      [](core::OpenStore& open, Writing& facts, core::StoreFailure& failure) {
        if (!facts.results.empty() || open.write(facts.writes, facts.results, failure)) return true;
        // What a write of the batch was refused for is in the results.
        return failure.status != TENON_ERROR_STORAGE && failure.status != TENON_ERROR_STATE &&
               failure.status != TENON_ERROR_TOO_LARGE && facts.results.size() == facts.writes.size();
      },
      [](Napi::Env to, StoreObject& self, Writing& facts) -> Napi::Value {
        const Napi::Array list = Napi::Array::New(to, facts.results.size());
        for (uint32_t index = 0; index < facts.results.size(); index++) {
          const Napi::HandleScope scope(to);
          const core::Written& written = facts.results[index];
          const core::Write& write = facts.writes[index];
          const std::string& encoded = written.key.empty() ? write.key : written.key;
          const Napi::Object object = Napi::Object::New(to);
          object.Set("outcome", OutcomeName(written.outcome));
          object.Set("key", encoded.empty() ? "" : core::key_text(*self.store().definition(*write.table), encoded));
          if (HasRecord(written)) object.Set("record", RecordOf(to, written.record));
          if (written.outcome == core::Written::Outcome::Invalid) {
            object.Set("field", written.problem.field);
            object.Set("message", written.problem.message);
          }
          list.Set(index, object);
        }
        return list;
      },
      "StoreFailed", "BodyTooLarge");
}

Napi::Value StoreObject::Sequence(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  return Napi::String::New(info.Env(), std::to_string(store().sequence()));
}

// --- the whole

Napi::Value StoreObject::Note(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  if (!info[0].IsString()) return Misuse(info.Env(), "name: a string is needed");
  std::string value;
  if (!store().get_note(TextOf(info[0]), value)) return info.Env().Undefined();
  return Napi::String::New(info.Env(), value);
}

Napi::Value StoreObject::SetNote(const Napi::CallbackInfo& info) {
  using Pair = std::pair<std::string, std::string>;
  if (!info[0].IsString() || !info[1].IsString()) return Misuse(info.Env(), "name, value: strings are needed");
  return Start<Pair>(
      info.Env(), Length::Write, {TextOf(info[0]), TextOf(info[1])},
      [](core::OpenStore& open, Pair& facts, core::StoreFailure& failure) {
        return open.store().put_note(facts.first, facts.second, failure);
      },
      [](Napi::Env env, StoreObject&, Pair&) { return env.Undefined(); });
}

Napi::Value StoreObject::Checkpoint(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) return Misuse(info.Env(), "directory: a string is needed");
  return Start<std::string>(
      info.Env(), Length::Long, TextOf(info[0]),
      [](core::OpenStore& open, std::string& directory, core::StoreFailure& failure) {
        return open.store().checkpoint(directory, failure);
      },
      [](Napi::Env env, StoreObject&, std::string&) { return env.Undefined(); });
}

Napi::Value StoreObject::Metrics(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  return Napi::String::New(info.Env(), store().metrics());
}

Napi::Value StoreObject::Trouble(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!Check(env)) return env.Undefined();
  const std::optional<core::StoreFailure> trouble = store().trouble();
  if (!trouble) return env.Undefined();
  const Napi::Object object = Napi::Object::New(env);
  object.Set("code", trouble->full ? "StoreFull" : "StoreFailed");
  object.Set("message", trouble->problem.message);
  return object;
}

Napi::Value StoreObject::Resume(const Napi::CallbackInfo& info) {
  struct Nothing {};
  return Start<Nothing>(
      info.Env(), Length::Long, {},
      [](core::OpenStore& open, Nothing&, core::StoreFailure& failure) { return open.store().resume(failure); },
      [](Napi::Env env, StoreObject&, Nothing&) { return env.Undefined(); });
}

Napi::Value StoreObject::Version(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  return Napi::String::New(info.Env(), store().version());
}

Napi::Value StoreObject::Library(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  return Napi::String::New(info.Env(), store().library());
}

Napi::Value StoreObject::Identity(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  return Napi::String::New(info.Env(), store().identity());
}

}  // namespace tenon::node
