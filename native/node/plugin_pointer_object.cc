#include "plugin_pointer_object.h"

#include <algorithm>
#include <utility>

#include "generation_object.h"
#include "pipeline.h"

namespace tenon::node {

namespace {
constexpr napi_type_tag kTag = {0x74656e6f6e2d706cULL, 0x7567696e2d707472ULL};
}  // namespace

Napi::Function PluginPointerObject::Define(Napi::Env env) {
  return DefineClass(
      env, "PluginPointer",
      {InstanceMethod<&PluginPointerObject::Slot>("slot"), InstanceMethod<&PluginPointerObject::Gate>("gate"),
       InstanceMethod<&PluginPointerObject::Ungate>("ungate"),
       InstanceMethod<&PluginPointerObject::SetChain>("setChain"), InstanceMethod<&PluginPointerObject::Hold>("hold"),
       InstanceMethod<&PluginPointerObject::Release>("release"), InstanceMethod<&PluginPointerObject::Swap>("swap"),
       InstanceMethod<&PluginPointerObject::ExportValues>("exportValues"),
       InstanceMethod<&PluginPointerObject::ImportValues>("importValues"),
       InstanceMethod<&PluginPointerObject::KeepValues>("keepValues"),
       InstanceMethod<&PluginPointerObject::Close>("close"),
       InstanceAccessor<&PluginPointerObject::Waiting>("waiting")});
}

PluginPointerObject* PluginPointerObject::From(Napi::Value value) {
  const Napi::Env env = value.Env();
  bool ours = false;
  if (value.IsObject()) napi_check_object_type_tag(env, value, &kTag, &ours);
  if (ours) {
    PluginPointerObject* const object = Unwrap(value.As<Napi::Object>());
    if (object->plugin_ != nullptr) return object;
  }
  Napi::TypeError::New(env, "plugin: an open plugin pointer is needed").ThrowAsJavaScriptException();
  return nullptr;
}

PluginPointerObject::PluginPointerObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  napi_type_tag_object(env, info.This(), &kTag);
  FrontObject* const owner = FrontObject::From(info[0]);
  if (owner == nullptr) return;
  const Napi::Object options = info[1].IsObject() ? info[1].As<Napi::Object>() : Napi::Object::New(env);
  if (!options.Get("id").IsString() || !options.Get("queueLimit").IsNumber()) {
    Napi::TypeError::New(env, "options: id must be a string, queueLimit a number").ThrowAsJavaScriptException();
    return;
  }
  core::Plugin& plugin = owner->front()->plugin(options.Get("id").As<Napi::String>().Utf8Value());
  if (plugin.is_open) {
    Napi::TypeError::New(env, "options.id: " + plugin.id() + " has a pointer already").ThrowAsJavaScriptException();
    return;
  }
  plugin.open(options.Get("queueLimit").As<Napi::Number>().Uint32Value());
  owner_ = owner;
  owner_reference_ = Napi::Persistent(info[0].As<Napi::Object>());
  front_ = owner->front();
  plugin_ = &plugin;
}

bool PluginPointerObject::Check(const Napi::CallbackInfo& info) const {
  if (plugin_ != nullptr) return true;
  Napi::TypeError::New(info.Env(), "the plugin pointer is closed").ThrowAsJavaScriptException();
  return false;
}

Napi::Value PluginPointerObject::Slot(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!Check(info)) return env.Undefined();
  const auto method = info[0].IsString() ? core::method_of(info[0].As<Napi::String>().Utf8Value()) : std::nullopt;
  if (!method || !info[1].IsString()) {
    Napi::TypeError::New(env, "method, path: a request method and a string are needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Number::New(env, front_->slot(*plugin_, *method, info[1].As<Napi::String>().Utf8Value()));
}

Napi::Value PluginPointerObject::Gate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto misuse = [env](const char* message) {
    Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
    return env.Undefined();
  };
  if (!Check(info)) return env.Undefined();
  const auto method = info[0].IsString() ? core::method_of(info[0].As<Napi::String>().Utf8Value()) : std::nullopt;
  if (!method || !info[1].IsString()) return misuse("method, path: a request method and a string are needed");
  double deadline_ms = core::Front::kPatienceMs;
  if (!info[2].IsUndefined()) {
    deadline_ms = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
    if (!(deadline_ms >= 1 && deadline_ms <= core::Route::kDeadlineMs)) {
      return misuse("deadlineMs: 1 to 3,600,000 is needed");
    }
  }
  const auto slot =
      front_->gate(*plugin_, *method, info[1].As<Napi::String>().Utf8Value(), static_cast<uint32_t>(deadline_ms));
  if (!slot) return misuse("path: the pattern of a route is needed");
  return Napi::Number::New(env, *slot);
}

void PluginPointerObject::Ungate(const Napi::CallbackInfo& info) {
  if (Check(info)) front_->ungate(*plugin_);
}

void PluginPointerObject::SetChain(const Napi::CallbackInfo& info) {
  const auto misuse = [&info](const char* message) {
    Napi::TypeError::New(info.Env(), message).ThrowAsJavaScriptException();
  };
  if (!Check(info)) return;
  if (!info[0].IsArray() || !info[1].IsObject()) return misuse("list, options: an array and an object are needed");
  const Napi::Value auth = info[1].As<Napi::Object>().Get("auth");
  const std::string need = auth.IsString() ? auth.As<Napi::String>().Utf8Value() : "";
  if (need != "open" && need != "identity") return misuse("options.auth: open or identity is needed");
  auto chain = std::make_shared<core::Chain>();
  chain->number = front_->number_chain();
  chain->identity = need == "identity";
  const Napi::Array list = info[0].As<Napi::Array>();
  for (uint32_t index = 0; index < list.Length(); index++) {
    const Napi::Value item = list.Get(index);
    if (!item.IsObject() || !item.As<Napi::Object>().Get("required").IsBoolean()) {
      return misuse("list: each needs a plugin, and required as a boolean");
    }
    const PluginPointerObject* const extension = From(item.As<Napi::Object>().Get("plugin"));
    if (extension == nullptr) return;
    if (extension->front_ != front_) return misuse("list: a plugin of another front is in it");
    const auto same = [extension](const core::ChainLink& link) { return link.plugin == extension->plugin_; };
    if (std::any_of(chain->links.begin(), chain->links.end(), same)) return misuse("list: a plugin is in it twice");
    chain->links.push_back({extension->plugin_, item.As<Napi::Object>().Get("required").As<Napi::Boolean>().Value(),
                            extension->plugin_ == plugin_});
  }
  if (chain->links.empty() && !chain->identity) chain = nullptr;
  plugin_->set_chain(std::move(chain));
}

void PluginPointerObject::Hold(const Napi::CallbackInfo& info) {
  if (Check(info)) plugin_->hold();
}

void PluginPointerObject::Release(const Napi::CallbackInfo& info) {
  if (!Check(info)) return;
  for (core::Call* const call : plugin_->release()) core::resend(*call);
}

void PluginPointerObject::Swap(const Napi::CallbackInfo& info) {
  if (!Check(info)) return;
  if (info[0].IsNull()) {
    plugin_->swap(nullptr);
    return;
  }
  const core::Generation* const generation = GenerationObject::From(info[0], *plugin_);
  if (generation != nullptr) plugin_->swap(generation->lease());
}

Napi::Value PluginPointerObject::Waiting(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), plugin_ == nullptr ? 0 : plugin_->waiting());
}

Napi::Value PluginPointerObject::ExportValues(const Napi::CallbackInfo& info) {
  if (!Check(info)) return info.Env().Undefined();
  const std::string block = plugin_->state().export_values();
  return Napi::Buffer<char>::Copy(info.Env(), block.data(), block.size());
}

void PluginPointerObject::ImportValues(const Napi::CallbackInfo& info) {
  if (!Check(info)) return;
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    Napi::TypeError::New(info.Env(), "bytes: a Uint8Array is needed").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  const std::string flaw =
      plugin_->state().import_values({reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()});
  if (flaw.empty()) return;
  Napi::Error::New(info.Env(), "the values of " + plugin_->id() + " cannot be taken: " + flaw)
      .ThrowAsJavaScriptException();
}

Napi::Value PluginPointerObject::KeepValues(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!Check(info)) return env.Undefined();
  if (info[0].IsNull()) {
    plugin_->state().keep_in_memory();
    return env.Null();
  }
  const std::string path = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos || !info[1].IsBoolean()) {
    Napi::TypeError::New(env, "file, recover: an absolute path and a boolean are needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const core::ValueFile::Found found = plugin_->state().keep_in(path, info[1].As<Napi::Boolean>().Value());
  if (found.flaw.empty()) return env.Null();
  using State = core::ValueFile::Found::State;
  const char* const kind = found.state == State::Torn      ? "torn"
                           : found.state == State::Damaged ? "damaged"
                                                           : "unreadable";
  const Napi::Object result = Napi::Object::New(env);
  result.Set("kind", kind);
  result.Set("message", found.flaw);
  return result;
}

void PluginPointerObject::Close(const Napi::CallbackInfo& info) {
  if (plugin_ == nullptr) return;
  if (plugin_->live() != nullptr) {
    Napi::Error::New(info.Env(), plugin_->id() + " still has a live generation").ThrowAsJavaScriptException();
    return;
  }
  for (core::Call* const call : plugin_->release()) core::resend(*call);
  plugin_->set_chain(nullptr);
  plugin_->is_open = false;
  front_->forget(*plugin_);
  plugin_ = nullptr;
  owner_reference_.Reset();
}

}  // namespace tenon::node
