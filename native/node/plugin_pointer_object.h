#ifndef TENON_NODE_PLUGIN_POINTER_OBJECT_H
#define TENON_NODE_PLUGIN_POINTER_OBJECT_H

#include <napi.h>

#include <memory>

#include "front_object.h"
#include "plugin.h"

namespace tenon::node {

// `PluginPointer` of src/binding/core.ts.
class PluginPointerObject final : public Napi::ObjectWrap<PluginPointerObject> {
 public:
  static Napi::Function Define(Napi::Env env);

  // The open pointer behind `value`, or nothing with a TypeError pending.
  static PluginPointerObject* From(Napi::Value value);

  explicit PluginPointerObject(const Napi::CallbackInfo& info);

  core::Plugin& plugin() const { return *plugin_; }
  FrontObject& owner() const { return *owner_; }

 private:
  Napi::Value Slot(const Napi::CallbackInfo& info);
  Napi::Value Gate(const Napi::CallbackInfo& info);
  void Ungate(const Napi::CallbackInfo& info);
  void SetChain(const Napi::CallbackInfo& info);
  void Hold(const Napi::CallbackInfo& info);
  void Release(const Napi::CallbackInfo& info);
  void Swap(const Napi::CallbackInfo& info);
  Napi::Value Waiting(const Napi::CallbackInfo& info);
  Napi::Value ExportValues(const Napi::CallbackInfo& info);
  void ImportValues(const Napi::CallbackInfo& info);
  Napi::Value KeepValues(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  bool Check(const Napi::CallbackInfo& info) const;

  FrontObject* owner_ = nullptr;
  Napi::ObjectReference owner_reference_;
  std::shared_ptr<core::Front> front_;
  core::Plugin* plugin_ = nullptr;
};

}  // namespace tenon::node

#endif
