#include "isolation_object.h"

#include <fcntl.h>

#include <string>
#include <utility>

namespace tenon::node {

namespace {
constexpr napi_type_tag kTag = {0x74656e6f6e2d6973ULL, 0x6f6c6174696f6e00ULL};
}

Napi::Function IsolationObject::Define(Napi::Env env) {
  return DefineClass(env, "Isolation", {InstanceAccessor<&IsolationObject::Processes>("processes")});
}

IsolationObject* IsolationObject::From(Napi::Value value) {
  const Napi::Env env = value.Env();
  bool ours = false;
  if (value.IsObject()) napi_check_object_type_tag(env, value, &kTag, &ours);
  if (ours) return Unwrap(value.As<Napi::Object>());
  Napi::TypeError::New(env, "options.isolation: an Isolation is needed").ThrowAsJavaScriptException();
  return nullptr;
}

IsolationObject::IsolationObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  napi_type_tag_object(env, info.This(), &kTag);
  const auto misuse = [env](const char* message) { Napi::TypeError::New(env, message).ThrowAsJavaScriptException(); };
  if (!info[0].IsObject()) {
    misuse("options: an object is needed");
    return;
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  for (const char* name : {"runner", "library", "id"}) {
    if (!options.Get(name).IsString()) {
      misuse("options: runner, library and id must be strings");
      return;
    }
  }
  for (const char* name :
       {"generation", "processes", "lifecycleMs", "graceMs", "memoryBytes", "descriptors", "childProcesses"}) {
    if (!options.Get(name).IsNumber()) {
      misuse(
          "options: generation, processes, lifecycleMs, graceMs, memoryBytes, descriptors and childProcesses must be "
          "numbers");
      return;
    }
  }
  if (!options.Get("sandbox").IsBoolean() || !options.Get("writable").IsArray()) {
    misuse("options: sandbox must be a boolean, writable a list of strings");
    return;
  }
  const auto text = [&options](const char* name) { return options.Get(name).As<Napi::String>().Utf8Value(); };
  const auto number = [&options](const char* name) { return options.Get(name).As<Napi::Number>().Int64Value(); };
  isolated::IsolationSettings settings;
  settings.processes = static_cast<uint32_t>(number("processes"));
  settings.lifecycle_ms = static_cast<uint32_t>(number("lifecycleMs"));
  settings.grace_ms = static_cast<uint32_t>(number("graceMs"));
  isolated::Launch& launch = settings.launch;
  launch.runner = text("runner");
  launch.library_path = text("library");
  wire::RunnerSettings& own = launch.settings;
  own.protocol = wire::kProtocol;
  own.id = text("id");
  own.generation = static_cast<uint64_t>(number("generation"));
  own.memory_bytes = static_cast<uint64_t>(number("memoryBytes"));
  own.descriptors = static_cast<uint32_t>(number("descriptors"));
  own.processes = static_cast<uint32_t>(number("childProcesses"));
  own.sandbox = options.Get("sandbox").As<Napi::Boolean>().Value();
  const Napi::Array writable = options.Get("writable").As<Napi::Array>();
  for (uint32_t index = 0; index < writable.Length(); index++) {
    const Napi::Value path = writable.Get(index);
    if (!path.IsString()) {
      misuse("options.writable: a list of strings is needed");
      return;
    }
    own.writable.push_back(path.As<Napi::String>().Utf8Value());
  }
  launch.library = open(launch.library_path.c_str(), O_RDONLY | O_CLOEXEC);
  if (launch.library < 0) {
    misuse("options.library: it cannot be opened");
    return;
  }
  plugin_ = std::make_shared<isolated::IsolatedPlugin>(std::move(settings));
}

Napi::Value IsolationObject::Processes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Array list = Napi::Array::New(env);
  if (!plugin_) return list;
  uint32_t index = 0;
  for (const isolated::ProcessFacts& facts : plugin_->facts()) {
    const Napi::Object process = Napi::Object::New(env);
    process.Set("pid", static_cast<double>(facts.pid));
    process.Set("restarts", static_cast<double>(facts.restarts));
    process.Set("residentBytes", static_cast<double>(facts.resident_bytes));
    process.Set("processorMs", static_cast<double>(facts.processor_ms));
    process.Set("lastEnd", facts.last_end);
    list.Set(index++, process);
  }
  return list;
}

}  // namespace tenon::node
