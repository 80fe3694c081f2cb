#ifndef TENON_NODE_ISOLATION_OBJECT_H
#define TENON_NODE_ISOLATION_OBJECT_H

#include <napi.h>

#include <deque>
#include <memory>
#include <mutex>

#include "isolated/isolated_plugin.h"

namespace tenon::node {

// What JavaScript sees of a plugin in processes of its own: made before its generation, which takes its instance.
class IsolationObject final : public Napi::ObjectWrap<IsolationObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit IsolationObject(const Napi::CallbackInfo& info);

  // Null, with a TypeError pending, for anything else.
  static IsolationObject* From(Napi::Value value);
  const std::shared_ptr<isolated::IsolatedPlugin>& plugin() const { return plugin_; }

 private:
  void Abandon(const Napi::CallbackInfo& info);
  // What has ended since it was last taken; filled by the plugin's keeper.
  struct Ends {
    std::mutex mutex;
    std::deque<isolated::Ending> list;
  };

  Napi::Value Processes(const Napi::CallbackInfo& info);
  Napi::Value TakeEnds(const Napi::CallbackInfo& info);

  const std::shared_ptr<Ends> ends_ = std::make_shared<Ends>();
  std::shared_ptr<isolated::IsolatedPlugin> plugin_;
};

}  // namespace tenon::node

#endif
