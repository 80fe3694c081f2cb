#ifndef TENON_NODE_FEED_OBJECT_H
#define TENON_NODE_FEED_OBJECT_H

#include <napi.h>

#include <memory>
#include <optional>

#include "store_object.h"

namespace tenon::node {

// `FeedHandle` of src/binding/store.ts. Keeps itself alive while somebody waits for `next`.
class FeedObject final : public Napi::ObjectWrap<FeedObject> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit FeedObject(const Napi::CallbackInfo& info);
  ~FeedObject() override;

  // The reader has got something.
  void Settle(Napi::Env env);
  // Nothing comes any more; whoever waits is given an empty list. Twice is fine.
  void End(Napi::Env env);
  // The same when the environment is going: nobody can be told.
  void Forget();

 private:
  Napi::Value Begin(const Napi::CallbackInfo& info);
  Napi::Value Next(const Napi::CallbackInfo& info);
  Napi::Value Ask(Napi::Env env, size_t most);
  void Close(const Napi::CallbackInfo& info);
  Napi::Value Position(const Napi::CallbackInfo& info);
  // What was asked for.
  Napi::Value List(Napi::Env env);

  StoreObject* owner_ = nullptr;
  Napi::ObjectReference owner_reference_;
  std::shared_ptr<core::FeedReader> reader_;
  std::optional<Napi::Promise::Deferred> waiter_;
};

}  // namespace tenon::node

#endif
