// What concerns a store as a whole.
#include <optional>
#include <string>
#include <utility>

#include "store_request.h"

namespace tenon::node {

using Length = core::StoreJob::Length;

Napi::Value StoreObject::Sequence(const Napi::CallbackInfo& info) {
  if (!Check(info.Env())) return info.Env().Undefined();
  return Napi::String::New(info.Env(), std::to_string(store().sequence()));
}

Napi::Value StoreObject::Note(const Napi::CallbackInfo& info) {
  struct Reading {
    std::string name;
    std::optional<std::string> value;
  };
  if (!info[0].IsString()) return Misuse(info.Env(), "name: a string is needed");
  return Start<Reading>(
      info.Env(), Length::Short, {TextOf(info[0]), {}},
      [](core::OpenStore& open, Reading& facts, core::StoreFailure&) {
        std::string value;
        if (open.store().get_note(facts.name, value)) facts.value = std::move(value);
        return true;
      },
      [](Napi::Env env, StoreObject&, Reading& facts) -> Napi::Value {
        if (!facts.value) return env.Undefined();
        return Napi::String::New(env, *facts.value);
      });
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
  return Start<std::string>(
      info.Env(), Length::Short, {},
      [](core::OpenStore& open, std::string& json, core::StoreFailure&) {
        json = open.store().metrics();
        return true;
      },
      [](Napi::Env env, StoreObject&, std::string& json) -> Napi::Value { return Napi::String::New(env, json); });
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
