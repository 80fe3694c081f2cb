#ifndef TENON_NODE_STORE_REQUEST_H
#define TENON_NODE_STORE_REQUEST_H

#include <napi.h>

#include <memory>
#include <string>
#include <utility>

#include "store_object.h"

namespace tenon::node {

inline std::string TextOf(Napi::Value value) { return value.As<Napi::String>().Utf8Value(); }

// A TypeError is pending then.
inline Napi::Value Misuse(Napi::Env env, const std::string& message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

// Something asked of a store: how it is done on a thread of the store, and what is told then.
class StoreRequest : public core::StoreJob {
 public:
  StoreRequest(Napi::Env env, Length length) : StoreJob(length), promise(Napi::Promise::Deferred::New(env)) {}
  // What the promise is resolved with, unless it failed.
  virtual Napi::Value Tell(Napi::Env env, StoreObject& owner) = 0;

  Napi::Promise::Deferred promise;
  core::StoreFailure failure;
  const char* invalid = "StoreFailed";  // code of a failure with TENON_ERROR_INVALID
  const char* large = "SortTooLarge";   // with TENON_ERROR_TOO_LARGE
  bool failed = false;
};

// How most requests are made: what was given, what is done with it, and what is told then.
template <typename Given>
class RequestOf final : public StoreRequest {
 public:
  using Work = bool (*)(core::OpenStore&, Given&, core::StoreFailure&);
  using Told = Napi::Value (*)(Napi::Env, StoreObject&, Given&);

  RequestOf(Napi::Env env, Length length, core::OpenStore& store, Given given, Work work, Told tell)
      : StoreRequest(env, length), store_(store), given_(std::move(given)), work_(work), tell_(tell) {}

  void run() override { failed = !work_(store_, given_, failure); }
  Napi::Value Tell(Napi::Env env, StoreObject& owner) override { return tell_(env, owner, given_); }

 private:
  core::OpenStore& store_;
  Given given_;
  const Work work_;
  const Told tell_;
};

template <typename Given>
Napi::Value StoreObject::Start(Napi::Env env, core::StoreJob::Length length, Given given,
                               bool (*work)(core::OpenStore&, Given&, core::StoreFailure&),
                               Napi::Value (*tell)(Napi::Env, StoreObject&, Given&), const char* invalid,
                               const char* large) {
  if (state_ != State::Open) return Refuse(env);
  auto request = std::make_unique<RequestOf<Given>>(env, length, *store_, std::move(given), work, tell);
  request->invalid = invalid;
  request->large = large;
  return Submit(std::move(request));
}

}  // namespace tenon::node

#endif
