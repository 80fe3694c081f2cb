#include "machine.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../core/machine.h"
#include "../core/remove_folder.h"
#include "../core/service_manager.h"
#include "image_registry.h"
#include "image_threads.h"
#include "process_audit.h"
#include "thread_guard.h"

namespace tenon::node {

namespace {

std::optional<std::string> Path(const Napi::CallbackInfo& info) {
  if (info[0].IsString()) return info[0].As<Napi::String>().Utf8Value();
  Napi::TypeError::New(info.Env(), "path: a string is needed").ThrowAsJavaScriptException();
  return std::nullopt;
}

class FolderRemoval : public Napi::AsyncWorker {
 public:
  FolderRemoval(Napi::Env env, std::string path)
      : AsyncWorker(env), promise(Napi::Promise::Deferred::New(env)), path_(std::move(path)) {}

  const Napi::Promise::Deferred promise;

 protected:
  void Execute() override { is_gone_ = core::remove_folder(path_); }
  void OnOK() override { promise.Resolve(Napi::Boolean::New(Env(), is_gone_)); }
  void OnError(const Napi::Error& error) override { promise.Reject(error.Value()); }

 private:
  const std::string path_;
  bool is_gone_ = false;
};

}  // namespace

Napi::Value MayExecute(const Napi::CallbackInfo& info) {
  const std::optional<std::string> path = Path(info);
  return Napi::Boolean::New(info.Env(), path && core::may_execute(*path));
}

Napi::Value ImageMapped(const Napi::CallbackInfo& info) {
  const std::optional<std::string> path = Path(info);
  return Napi::Boolean::New(info.Env(), path && core::image_mapped(*path));
}

Napi::Value ThreadsIn(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArray()) {
    Napi::TypeError::New(env, "paths: an array is needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const Napi::Array given = info[0].As<Napi::Array>();
  std::vector<std::string> paths;
  for (uint32_t index = 0; index < given.Length(); index++) {
    const Napi::Value path = given.Get(index);
    if (!path.IsString()) {
      Napi::TypeError::New(env, "paths: strings are needed").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    paths.push_back(path.As<Napi::String>().Utf8Value());
  }
  const Napi::Array lists = Napi::Array::New(env, paths.size());
  uint32_t path = 0;
  for (const std::vector<core::ImageThread>& found : core::threads_in_images(paths)) {
    const Napi::Array list = Napi::Array::New(env, found.size());
    for (uint32_t index = 0; index < found.size(); index++) {
      const Napi::Object thread = Napi::Object::New(env);
      thread.Set("id", static_cast<double>(found[index].id));
      thread.Set("name", found[index].name);
      thread.Set("known", found[index].known);
      list.Set(index, thread);
    }
    lists.Set(path++, list);
  }
  return lists;
}

Napi::Value KeepFloatingPoint(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) {
    Napi::TypeError::New(info.Env(), "work: a function is needed").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const core::FloatingPointGuard guard;
  const core::ImageIndex image = info[1].IsNumber() && info[1].As<Napi::Number>().Int64Value() >= 0
                                     ? info[1].As<Napi::Number>().Uint32Value()
                                     : core::kNoImage;
  if (image == core::kNoImage) return info[0].As<Napi::Function>().Call({});
  const bool loading = core::image_registry::state_of(image) == core::ImageState::Loading;
  const core::Inside inside(image, loading ? core::Work::Open : core::Work::Close);
  core::SignalMaskAudit signal_mask;
  core::ProcessAudit::Section section;
  if (loading) section = core::ProcessAudit::instance().begin(image, {});
  const Napi::Value result = info[0].As<Napi::Function>().Call({});
  // What its constructors have changed is seen after the first steps of its life.
  core::ProcessAudit::instance().end(section, "opening", core::ProcessAudit::Look::Later, {});
  signal_mask.look(image, true);
  return result;
}

Napi::Value LockFile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<std::string> path = Path(info);
  if (!path) return env.Undefined();
  auto lock = std::make_shared<core::FileLock>();
  int holder = 0;
  std::string problem;
  if (!lock->acquire(*path, holder, problem)) {
    const std::string who = holder > 0 ? "process " + std::to_string(holder) + " has it" : problem;
    Napi::Error error = Napi::Error::New(env, *path + " could not be locked: " + who);
    error.Set("code", Napi::String::New(env, "DataDirectoryLocked"));
    error.Set("holder", Napi::Number::New(env, holder));
    error.ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("release", Napi::Function::New(
                            env, [lock](const Napi::CallbackInfo&) { lock->release(); }, "release"));
  object.Set("descriptor", Napi::Number::New(env, lock->descriptor()));
  return object;
}

Napi::Value ExchangeNames(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsString()) {
    Napi::TypeError::New(env, "one and other: two strings are needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const std::string one = info[0].As<Napi::String>().Utf8Value();
  const std::string other = info[1].As<Napi::String>().Utf8Value();
  std::string problem;
  const core::Exchange outcome = core::exchange_names(one, other, problem);
  if (outcome != core::Exchange::failed) return Napi::Boolean::New(env, outcome == core::Exchange::done);
  Napi::Error::New(env, one + " and " + other + " could not change places: " + problem).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value RemoveFolder(const Napi::CallbackInfo& info) {
  std::optional<std::string> path = Path(info);
  if (!path) return info.Env().Undefined();
  auto removal = std::make_unique<FolderRemoval>(info.Env(), std::move(*path));
  const Napi::Promise promise = removal->promise.Promise();
  removal.release()->Queue();  // ends itself
  return promise;
}

Napi::Value RemoveFolderNow(const Napi::CallbackInfo& info) {
  const std::optional<std::string> path = Path(info);
  return Napi::Boolean::New(info.Env(), path && core::remove_folder(*path));
}

Napi::Value NotifySystem(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsString()) {
    Napi::TypeError::New(env, "socket and text: two strings are needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const std::string socket = info[0].As<Napi::String>().Utf8Value();
  std::string problem;
  const core::Told told = core::notify_system(socket, info[1].As<Napi::String>().Utf8Value(), problem);
  if (told != core::Told::Failed) return Napi::Boolean::New(env, told == core::Told::Yes);
  Napi::Error::New(env, socket + " was not told: " + problem).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value ReapStrangers(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) {
    Napi::TypeError::New(info.Env(), "own: an array of numbers is needed").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const Napi::Array given = info[0].As<Napi::Array>();
  std::vector<pid_t> own;
  for (uint32_t index = 0; index < given.Length(); index++) {
    const Napi::Value pid = given.Get(index);
    if (pid.IsNumber()) own.push_back(pid.As<Napi::Number>().Int32Value());
  }
  return Napi::Number::New(info.Env(), core::reap_strangers(own));
}

}  // namespace tenon::node
