#include <napi.h>

#include <cstdint>

#include "black_box.h"
#include "codeless_plugin.h"
#include "feed_object.h"
#include "front_object.h"
#include "generation_object.h"
#include "image_file.h"
#include "image_threads.h"
#include "isolation_object.h"
#include "machine.h"
#include "plugin_pointer_object.h"
#include "store_object.h"
#include "tenon/types.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  tenon::core::know_present_threads();
  Napi::Object abi = Napi::Object::New(env);
  abi.Set("major", TENON_ABI_MAJOR);
  abi.Set("minor", TENON_ABI_MINOR);
  exports.Set("abi", abi);
  exports.Set("Front", tenon::node::FrontObject::Define(env));
  exports.Set("PluginPointer", tenon::node::PluginPointerObject::Define(env));
  exports.Set("Isolation", tenon::node::IsolationObject::Define(env));
  exports.Set("GenerationHandle", tenon::node::GenerationObject::Define(env));
  exports.Set("StoreHandle", tenon::node::StoreObject::Define(env));
  exports.Set("FeedHandle", tenon::node::FeedObject::Define(env));
  // An address goes through 64 bits.
  const auto codeless = reinterpret_cast<uintptr_t>(&tenon::core::codeless_plugin());
  exports.Set("codelessPlugin", Napi::BigInt::New(env, static_cast<uint64_t>(codeless)));
  exports.Set("inspectImage", Napi::Function::New<tenon::node::InspectImage>(env, "inspectImage"));
  exports.Set("mayExecute", Napi::Function::New<tenon::node::MayExecute>(env, "mayExecute"));
  exports.Set("imageMapped", Napi::Function::New<tenon::node::ImageMapped>(env, "imageMapped"));
  exports.Set("threadsIn", Napi::Function::New<tenon::node::ThreadsIn>(env, "threadsIn"));
  exports.Set("keepFloatingPoint", Napi::Function::New<tenon::node::KeepFloatingPoint>(env, "keepFloatingPoint"));
  exports.Set("lockFile", Napi::Function::New<tenon::node::LockFile>(env, "lockFile"));
  exports.Set("exchangeNames", Napi::Function::New<tenon::node::ExchangeNames>(env, "exchangeNames"));
  exports.Set("removeFolder", Napi::Function::New<tenon::node::RemoveFolder>(env, "removeFolder"));
  exports.Set("removeFolderNow", Napi::Function::New<tenon::node::RemoveFolderNow>(env, "removeFolderNow"));
  exports.Set("notifySystem", Napi::Function::New<tenon::node::NotifySystem>(env, "notifySystem"));
  exports.Set("reapStrangers", Napi::Function::New<tenon::node::ReapStrangers>(env, "reapStrangers"));
  tenon::node::DefineBlackBox(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(tenon, Init)
