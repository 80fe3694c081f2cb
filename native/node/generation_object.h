#ifndef TENON_NODE_GENERATION_OBJECT_H
#define TENON_NODE_GENERATION_OBJECT_H

#include <napi.h>

#include <memory>

#include "front_object.h"
#include "generation.h"

namespace tenon::node {

// `GenerationHandle` of src/binding/core.ts.
class GenerationObject final : public Napi::ObjectWrap<GenerationObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  // The open generation of `plugin` behind `value`, or nothing with a TypeError pending.
  static core::Generation* From(Napi::Value value, const core::Plugin& plugin);

  explicit GenerationObject(const Napi::CallbackInfo& info);
  ~GenerationObject() override;

 private:
  // A step whose only argument is its deadline.
  template <core::Step step>
  Napi::Value Perform(const Napi::CallbackInfo& info) {
    return Start(info, step, info[0], nullptr);
  }
  Napi::Value Configure(const Napi::CallbackInfo& info);
  Napi::Value Load(const Napi::CallbackInfo& info);
  Napi::Value Offers(const Napi::CallbackInfo& info);
  void Permit(const Napi::CallbackInfo& info);
  void Bind(const Napi::CallbackInfo& info);
  Napi::Value HasState(const Napi::CallbackInfo& info);
  Napi::Value CanQuiesce(const Napi::CallbackInfo& info);
  Napi::Value Leases(const Napi::CallbackInfo& info);
  Napi::Value Streams(const Napi::CallbackInfo& info);
  Napi::Value EndStreams(const Napi::CallbackInfo& info);
  void Retire(const Napi::CallbackInfo& info);
  void GiveUpQueued(const Napi::CallbackInfo& info);
  Napi::Value Counters(const Napi::CallbackInfo& info);
  Napi::Value Ledger(const Napi::CallbackInfo& info);
  Napi::Value Threads(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  Napi::Value Start(const Napi::CallbackInfo& info, core::Step step, Napi::Value deadline,
                    std::shared_ptr<core::Task> task);

  FrontObject* owner_ = nullptr;
  Napi::ObjectReference owner_reference_;
  std::shared_ptr<core::Generation> generation_;
};

}  // namespace tenon::node

#endif
