#ifndef TENON_NODE_FRONT_OBJECT_H
#define TENON_NODE_FRONT_OBJECT_H

#include <napi.h>

#include <memory>

#include "front.h"
#include "loop_watch.h"

namespace tenon::node {

// `Front` of src/binding/core.ts. Keeps itself alive until it is closed.
class FrontObject final : public Napi::ObjectWrap<FrontObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  // The front behind `value`, or nothing with a TypeError pending.
  static FrontObject* From(Napi::Value value);

  explicit FrontObject(const Napi::CallbackInfo& info);
  ~FrontObject() override;

  const std::shared_ptr<core::Front>& front() const { return front_; }

  // Carry `task` out and settle the promise that is returned with its outcome.
  Napi::Value Perform(Napi::Env env, std::shared_ptr<core::Task> task, uint32_t deadline_ms);

 private:
  // Words of `result`: numbers of `Word` in src/binding/core.ts.
  enum Word { kOutcome, kStatus, kHeaders, kCall, kRefusal, kRequestLow, kRequestHigh, kGeneration, kWords };

  static napi_value Call(napi_env env, napi_callback_info info);
  static napi_value Next(napi_env env, napi_callback_info info);
  static void Wake(void* self);
  static void Turn(napi_env env, napi_value unused, void* self, void* also_unused);
  static void CleanUp(void* self);
  static bool Attend(void* self, core::Attended& attended);
  static void Neglect(void* self, core::Attended& attended);

  Napi::Value Headers(const Napi::CallbackInfo& info);
  void Cancel(const Napi::CallbackInfo& info);
  void Acknowledge(const Napi::CallbackInfo& info);
  void Fetched(const Napi::CallbackInfo& info);
  void Emit(const Napi::CallbackInfo& info);
  void EndStart(const Napi::CallbackInfo& info);
  void SetLogLevel(const Napi::CallbackInfo& info);
  Napi::Value TagOutput(const Napi::CallbackInfo& info);
  Napi::Value MetricsText(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  napi_value Tell(napi_env env, core::Delivery& delivery);
  napi_value Body(napi_env env, core::Call& call);
  void Settle(Napi::Env env, core::Task& task);
  void Log(Napi::Env env);
  void Fetch(Napi::Env env);
  void KeepLoopAlive();
  std::vector<std::shared_ptr<core::Task>> End();

  Napi::Env env_;
  std::shared_ptr<core::Front> front_;
  core::Delivery delivery_;
  std::string headers_;
  int32_t* words_ = nullptr;
  Napi::ObjectReference result_;
  Napi::FunctionReference on_ready_;
  Napi::FunctionReference on_log_;
  Napi::FunctionReference on_fetch_;
  napi_threadsafe_function wake_ = nullptr;
  std::unique_ptr<LoopWatch> watch_;
  uint32_t tasks_ = 0;
  bool holds_loop_ = false;
  bool closed_ = false;
};

}  // namespace tenon::node

#endif
