#include "store_object.h"

#include <cstdio>
#include <cstring>
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
// Up to here it costs less to copy bytes in JavaScript, into its pool of small Buffers, than to make a Buffer here.
constexpr size_t kSmallText = 4 * 1024;
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

  const Napi::ArrayBuffer memory = Napi::ArrayBuffer::New(env, 2 * sizeof(uint32_t) + kSmallText);
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
  } else if (!as_string && json.size <= kSmallText) {
    std::memcpy(&self.words_[2], json.data, json.size);
    napi_create_uint32(env, static_cast<uint32_t>(json.size), &bytes);
  } else {
    napi_create_buffer_copy(env, json.size, json.data, nullptr, &bytes);
  }
  self.store().release(record);
  return bytes;
}

}  // namespace tenon::node
