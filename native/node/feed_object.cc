#include "feed_object.h"

#include <charconv>
#include <string>
#include <utility>

namespace tenon::node {

Napi::Function FeedObject::Define(Napi::Env env) {
  return DefineClass(env, "FeedHandle",
                     {InstanceMethod<&FeedObject::Begin>("begin"), InstanceMethod<&FeedObject::Next>("next"),
                      InstanceMethod<&FeedObject::Close>("close"), InstanceMethod<&FeedObject::Position>("position")});
}

FeedObject::FeedObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  StoreObject* const owner = StoreObject::From(info[0]);
  if (owner == nullptr) return;
  if (!info[1].IsArray() || !(info[2].IsUndefined() || info[2].IsString())) {
    Napi::TypeError::New(env, "tables, from: an array, and a string or undefined are needed")
        .ThrowAsJavaScriptException();
    return;
  }
  const Napi::Array numbers = info[1].As<Napi::Array>();
  std::vector<const core::Table*> tables;
  for (uint32_t index = 0; index < numbers.Length(); index++) {
    const core::Table* const table = owner->TableAt(numbers.Get(index));
    if (table == nullptr) return;
    tables.push_back(table);
  }
  const uint64_t newest = owner->store().sequence();
  uint64_t from = newest;
  if (info[2].IsString()) {
    const std::string digits = info[2].As<Napi::String>().Utf8Value();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), from);
    if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
      Napi::TypeError::New(env, "from: decimal digits of a sequence are needed").ThrowAsJavaScriptException();
      return;
    }
  }
  if (from > newest) {
    const core::StoreFailure failure = {
        TENON_ERROR_VERSION,
        {"", "there is no change " + std::to_string(from) + " yet: the newest is " + std::to_string(newest)},
        false};
    StoreObject::ErrorOf(env, failure, "ChangesGone").ThrowAsJavaScriptException();
    return;
  }
  reader_ = std::make_shared<core::FeedReader>(owner->store().feed_to_begin(tables, from), this);
  owner_ = owner;
  owner_reference_ = Napi::Persistent(owner->Value());
  owner_->Join(*this);
}

FeedObject::~FeedObject() { Forget(); }

Napi::Value FeedObject::Next(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const double most = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
  if (!(most >= 1 && most <= 100'000)) {
    Napi::TypeError::New(env, "most: 1 to 100000 is needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Ask(env, static_cast<size_t>(most));
}

Napi::Value FeedObject::Begin(const Napi::CallbackInfo& info) { return Ask(info.Env(), 0); }

Napi::Value FeedObject::Ask(Napi::Env env, size_t most) {
  if (waiter_) {
    Napi::TypeError::New(env, "begin, next: one call at a time").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Promise::Deferred promise = Napi::Promise::Deferred::New(env);
  if (!reader_) {
    promise.Resolve(Napi::Array::New(env));
    return promise.Promise();
  }
  reader_->most = most;
  if (!owner_->feeds().ask(reader_)) {
    promise.Reject(
        StoreObject::ErrorOf(env, {TENON_ERROR_STORAGE, {"", "no thread could be started"}, false}, "").Value());
    return promise.Promise();
  }
  waiter_.emplace(promise);
  Ref();
  return promise.Promise();
}

void FeedObject::Settle(Napi::Env env) {
  if (!waiter_) return;
  const Napi::Promise::Deferred waiter = *std::exchange(waiter_, std::nullopt);
  if (reader_->failed) {
    waiter.Reject(StoreObject::ErrorOf(env, reader_->failure, "ChangesGone").Value());
    Forget();
  } else {
    const Napi::Value list = List(env);
    if (env.IsExceptionPending()) {
      // Those changes are lost to it.
      waiter.Reject(env.GetAndClearPendingException().Value());
      Forget();
    } else {
      waiter.Resolve(list);
    }
  }
  Unref();
}

Napi::Value FeedObject::List(Napi::Env env) {
  if (reader_->most == 0) return env.Undefined();
  const std::vector<core::FeedChange> changes = std::exchange(reader_->changes, {});
  const Napi::Array list = Napi::Array::New(env, changes.size());
  for (uint32_t index = 0; index < changes.size(); index++) {
    const core::FeedChange& change = changes[index];
    const Napi::Object object = Napi::Object::New(env);
    object.Set("sequence", std::to_string(change.sequence));
    object.Set("table", owner_->NumberOf(*change.table));
    object.Set("removed", change.record.empty());
    object.Set("key", change.key);
    if (!change.record.empty()) object.Set("record", StoreObject::RecordOf(env, change.record));
    list.Set(index, object);
  }
  return list;
}

void FeedObject::Close(const Napi::CallbackInfo& info) { End(info.Env()); }

Napi::Value FeedObject::Position(const Napi::CallbackInfo& info) {
  const uint64_t position = reader_ ? reader_->position.load() : 0;
  return Napi::String::New(info.Env(), std::to_string(position));
}

void FeedObject::End(Napi::Env env) {
  Forget();
  if (!waiter_) return;
  std::exchange(waiter_, std::nullopt)->Resolve(Napi::Array::New(env));
  Unref();
}

void FeedObject::Forget() {
  if (!reader_) return;
  owner_->feeds().drop(*reader_);
  owner_->Leave(*this);
  reader_.reset();
  owner_reference_.Reset();
}

}  // namespace tenon::node
