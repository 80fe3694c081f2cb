#ifndef TENON_NODE_MACHINE_H
#define TENON_NODE_MACHINE_H

#include <napi.h>

namespace tenon::node {

// `mayExecute`, `imageMapped`, `threadsIn`, `keepFloatingPoint`, `lockFile`, `exchangeNames`, `removeFolder`,
// `removeFolderNow`, `notifySystem` and `reapStrangers` of src/binding/core.ts.
Napi::Value MayExecute(const Napi::CallbackInfo& info);
Napi::Value ImageMapped(const Napi::CallbackInfo& info);
Napi::Value ThreadsIn(const Napi::CallbackInfo& info);
Napi::Value KeepFloatingPoint(const Napi::CallbackInfo& info);
Napi::Value LockFile(const Napi::CallbackInfo& info);
Napi::Value ExchangeNames(const Napi::CallbackInfo& info);
Napi::Value RemoveFolder(const Napi::CallbackInfo& info);
Napi::Value RemoveFolderNow(const Napi::CallbackInfo& info);
Napi::Value NotifySystem(const Napi::CallbackInfo& info);
Napi::Value ReapStrangers(const Napi::CallbackInfo& info);

}  // namespace tenon::node

#endif
